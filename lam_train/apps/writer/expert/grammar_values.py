"""The values that a request names: numbers, colours, lengths, sizes, fonts, styles.

Each is a regular expression without named groups, and a function that reads the matched text.
"""

import re

from lam_train.apps.writer.expert.grammar_text import QUOTE, put_quotations_back

NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
]
ORDINALS = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
]
PALETTE = [
    "Black",
    "White",
    "Yellow",
    "Gold",
    "Orange",
    "Brick",
    "Red",
    "Magenta",
    "Purple",
    "Indigo",
    "Blue",
    "Teal",
    "Green",
    "Lime",
    "Gray",
]
COLOURS = (
    {name.lower(): name for name in PALETTE}
    | {  # as a request may say it → as Writer's palette calls it
        "grey": "Gray",
        "violet": "Purple",
        **{
            f"{tone} {name.lower()}": f"{tone.capitalize()} {name} 2"
            for tone in ("dark", "light")
            for name in PALETTE[2:]
        },
    }
)
FONTS = (
    "Liberation Sans Narrow|Liberation Sans|Liberation Serif|Liberation Mono|DejaVu Sans Mono|DejaVu Sans|"
    "DejaVu Serif|Arial|Times New Roman|Courier New|Carlito|Caladea|Calibri|Cambria|Georgia|Verdana|Helvetica|Garamond"
)
STYLES = (
    "Text Body|Body Text|Default Paragraph Style|Preformatted Text|Block Quotation|Quotations|Quote|Intense Quote|"
    "List Paragraph|Subtitle|Title|Caption|Signature|Salutation|Footnote|Normal|No Spacing|Marginalia|"
    "Text Body Indent|First Line Indent|Hanging Indent|List Bullet|List Number"
)
STYLE_NAMES = {"body text": "Text Body", "quote": "Quotations", "normal": "Default Paragraph Style"}
AMOUNTS = {"half an": "0.5", "half a": "0.5", "one": "1", "two": "2", "three": "3", "an": "1", "a": "1"}
UNITS = {"c": "cm", "m": "mm", "i": '"', '"': '"', "p": "pt"}

NUMBER = rf"(?:\d+|{'|'.join(NUMBERS)}|a|an|single)"
ORDINAL = rf"(?:{'|'.join(ORDINALS)}|last|final|\d+(?:st|nd|rd|th))"
DECIMAL = r"\d+(?:[.,]\d+)?"
UNIT = r"(?:cm|centimet(?:er|re)s?|mm|millimet(?:er|re)s?|in|inch(?:es)?|\"|pt|points?)"
LENGTH = rf"(?:{DECIMAL}\s?-?{UNIT}|(?:one|two|three|half an?|a|an) (?:inch(?:es)?|centimet(?:er|re)s?))(?![a-z])"
COLOUR = rf"(?:(?:bright|plain|pure) )?(?:{'|'.join(sorted(COLOURS, key=len, reverse=True))})"
SIZE = rf"(?:size )?{DECIMAL}(?:[ -]?(?:pt|points?))?(?: in size)?"
FONT = rf"(?:{FONTS}|{QUOTE})"
LEVEL_NUMBER = r"(?:[1-6]|one|two|three|four|five|six)"
HEADING = rf"(?:(?:heading|header)(?: (?:of|at))?[ -]?(?:level )?{LEVEL_NUMBER}|level[ -]{LEVEL_NUMBER} heading)"
STYLE = rf"(?:{HEADING}|{STYLES}|{QUOTE})"
PAPER = r"(?:A[3-6]|B[4-6]|Letter|Legal|Tabloid)"
CELL = r"[A-Z]\d{1,2}"


def number(text: str) -> int:
    """ "3", "three" and "a" as numbers."""
    text = text.lower()
    if text in ("a", "an", "single"):
        return 1
    return int(text) if text.isdigit() else NUMBERS.index(text)


def ordinal(text: str) -> int:
    """ "third" and "3rd" are 3, "last" is -1."""
    text = text.lower()
    if text in ("last", "final"):
        return -1
    return int(text[:-2]) if text[0].isdigit() else ORDINALS.index(text) + 1


def counted(words: str) -> int:
    """The number in "the third paragraph" and "paragraph 3"; 1 where there is none."""
    found = re.search(rf"\b{ORDINAL}\b", words) or re.search(r"\d+", words)
    if found is None:
        return 1
    return int(found[0]) if found[0].isdigit() else ordinal(found[0])


def colour(text: str) -> str:
    """A colour by the name that Writer's palette has for it."""
    return COLOURS[re.sub(r"^(?:bright|plain|pure) ", "", text.lower())]


def size(text: str) -> str:
    """A size of type in points, as one types it: "14", "10.5"."""
    return re.findall(DECIMAL, text)[0].replace(",", ".")


def length(text: str) -> str:
    """A length with its unit, as one types it into a field: "2 cm", "0.5\\"", "12 pt"."""
    text = text.lower()
    split = rf"({DECIMAL})[\s-]*(.+)" if text[0].isdigit() else r"(half an?|\S+) (.+)"
    amount, unit = re.findall(split, text)[0]
    unit = UNITS[unit[0]]
    return f"{AMOUNTS.get(amount, amount).replace(',', '.')}{'' if unit == UNITS['i'] else ' '}{unit}"


def paper(text: str) -> str:
    """A size of paper by its name in Writer."""
    return text.capitalize()


def font_name(text: str, quotations: list[str]) -> str | None:
    """A font's name; None where what is quoted is none."""
    text = put_quotations_back(text, quotations)
    return next((name for name in FONTS.split("|") if name.lower() == text.lower()), None)


def style_name(text: str, quotations: list[str]) -> str | None:
    """A paragraph style by its name in Writer; None where what is quoted is none."""
    text = put_quotations_back(text, quotations)
    level = re.findall(rf"\b{LEVEL_NUMBER}\b", text, re.IGNORECASE)
    if level and re.fullmatch(HEADING, text, re.IGNORECASE):
        return f"Heading {number(level[0])}"
    known = {name.lower(): name for name in STYLES.split("|")} | STYLE_NAMES
    return known.get(text.lower())
