"""Values that a walk gives to fields: plausible ones, other than what the field holds, the same on every machine."""

import hashlib

from lam_train.apps.writer.walk.plans import same_value, split_number

_SIZES = (0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.75, 0.8, 1, 1.25, 1.5, 2)
_NUMBERS = {
    '"': _SIZES,
    "in": _SIZES,
    "cm": (0.2, 0.3, 0.5, 0.8, 1, 1.2, 1.5, 2, 2.5, 3),
    "mm": (1, 2, 3, 5, 8, 10, 15, 20),
    "pt": (1, 2, 3, 4, 6, 8, 9, 10, 12, 14, 16, 18, 20, 24),
    "%": (20, 25, 30, 40, 50, 60, 75, 80, 90, 110, 120, 150),
    "°": (10, 15, 30, 45, 60, 90, 120, 180),
    "": (1, 2, 3, 4, 5, 6, 7, 8),
}
_TEXTS = {
    "name": ("Results", "Overview", "Budget", "Chapter One", "Figures", "Summary2024"),
    "title": ("Annual Report", "Field Notes", "Project Plan", "Meeting Summary"),
    "before": ("(", "[", "No. ", "- "),
    "after": (")", "]", ":", " -"),
    "separator": (":", " - ", ". ", "|"),
    "url": ("https://example.org", "https://example.com/help"),
    "subject": ("Spring schedule", "Garden project", "Travel costs"),
    "author": ("Maria Lopez", "Jan Novak", "Aiko Tanaka"),
    "initials": ("ML", "JN", "AT"),
    "alternative": ("A chart of visits by month", "The company's logo"),
    "description": ("A short explanation for readers", "Shown where the picture cannot be"),
}
_OTHER_TEXTS = ("Draft", "Final version", "For review", "North office", "Week 12", "See appendix", "Important")


def numbers(shown: str, key: str, most: int) -> list[str]:
    """Up to `most` values in the unit of a number field that shows `shown`; [] where that is no number."""
    parsed = split_number(shown)
    if parsed is None or parsed[1] not in _NUMBERS:
        return []
    unit = parsed[1]
    joint = " " if unit in ("pt", "cm", "mm", "in") else ""
    values = [f"{value:g}{joint}{unit}" for value in _shuffled(_NUMBERS[unit], key)]
    return [value for value in values if not same_value(value, shown)][:most]


def texts(label: str, shown: str, key: str, most: int) -> list[str]:
    """Up to `most` texts for a text field of this label."""
    pool = next((texts for word, texts in _TEXTS.items() if word in label.lower()), _OTHER_TEXTS)
    return [text for text in _shuffled(pool, key) if text != shown][:most]


def some(choices: list[str], key: str, most: int) -> list[str]:
    """All choices of a short list, else as many as `most`, spread over it by the key; in the list's order."""
    if len(choices) <= most:
        return choices
    kept = set(_shuffled(choices, key)[:most])
    return [choice for choice in choices if choice in kept]


def _shuffled(values, key: str) -> list:
    return sorted(values, key=lambda value: hashlib.sha256(f"{key}\n{value}".encode()).digest())
