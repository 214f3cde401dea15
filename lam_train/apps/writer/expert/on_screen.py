"""Finds what a procedure needs in an observation: controls by name, paragraphs and cells by what a target says."""

import itertools
import re
from collections.abc import Callable

from lam_train.apps.writer.expert.grammar_targets import Target
from lam_train.records import Control, Observation

OUTSIDE = re.compile(r"(?:Header|Footer)\b|(?:Footnote|Endnote|Comment) \d+$")
"""The value of text that is not the body's."""
Find = Callable[[Observation], Control | None]


def normal(name: str) -> str:
    """A name without what varies: case, the dots of a command that opens a dialog, spaces at the ends."""
    return name.strip().rstrip(".…:").strip().casefold()


def named(*names: str, kind: str = "") -> Find:
    """The first control, other than the document's text, with the first of these names that is on the screen."""

    def find(observation: Observation) -> Control | None:
        for name in names:
            for control in observation.controls:
                if control.control_type == "Document" or kind not in ("", control.control_type):
                    continue
                if normal(control.control_text) == normal(name):
                    return control
        return None

    return find


def button_before(name: str) -> Find:
    """The button that stands right before the control of this name: its own name is the value that it holds."""

    def find(observation: Observation) -> Control | None:
        for control, following in itertools.pairwise(observation.controls):
            if control.control_type == "Button" and normal(following.control_text) == normal(name):
                return control
        return None

    return find


def is_checked(name: str) -> Callable[[Observation], bool]:
    """Whether the control of this name is checked."""

    def holds(observation: Observation) -> bool:
        control = named(name)(observation)
        return control is not None and bool(control.checked)

    return holds


def has_value(name: str, value: str) -> Callable[[Observation], bool]:
    """Whether the field of this name holds this value."""

    def holds(observation: Observation) -> bool:
        control = named(name)(observation)
        return control is not None and control.value == value

    return holds


def paragraphs(observation: Observation) -> list[Control]:
    """The body's paragraphs that are not empty, in order."""
    texts = [c for c in observation.controls if c.control_type == "Document" and c.control_text]
    return [c for c in texts if not is_cell(c) and not OUTSIDE.match(c.value or "")]


def is_cell(control: Control) -> bool:
    """Whether a piece of text is a cell: its value is then the cell's name, as "Table1.B2"."""
    _, dot, cell = (control.value or "").rpartition(".")
    return bool(dot) and cell[:1].isalpha() and cell[1:].isdigit()


def text_of(target: Target) -> Find:
    """The paragraph or cell that a target names, or that holds the phrase it names."""

    def find(observation: Observation) -> Control | None:
        texts = paragraphs(observation)
        if target.under:
            heading = next((i for i, c in enumerate(texts) if normal(c.control_text) == normal(target.under)), None)
            if heading is None:
                return None
            texts = texts[heading + 1 :]
        if target.text:
            return _quoted(target, observation, texts)
        if target.kind == "all":
            return texts[0] if texts else None
        counted = [c for c in texts if _has_style(c, target.style)]
        place = target.number - 1 if target.number > 0 else target.number
        return counted[place] if -len(counted) <= place < len(counted) else None

    return find


def _quoted(target: Target, observation: Observation, texts: list[Control]) -> Control | None:
    """The text that is, starts with, contains or ends with what is quoted, in this order of trust."""
    cells = [c for c in observation.controls if is_cell(c)]
    wanted = normal(target.text)
    ways = {
        "is": lambda text: text == wanted,
        "starts": lambda text: text.startswith(wanted),
        "ends": lambda text: text.endswith(wanted),
        "contains": lambda text: wanted in text,
    }
    order = [target.match, "starts", "contains"] if target.match == "is" else [target.match]
    for way in order:
        for control in [*texts, *cells]:
            if ways[way](normal(control.control_text)):
                return control
    return None


def _has_style(control: Control, style: str) -> bool:
    """Whether a paragraph counts, where only headings, titles or items of lists are counted."""
    value = control.value or ""
    if style == "heading":
        return value.startswith("Heading")
    if style == "item":
        return value.startswith("List")
    if style == "text":
        return not value.startswith(("Heading", "Title", "Subtitle", "Caption"))
    return not style or value.lower() == style


def tables(observation: Observation) -> list[str]:
    """The tables' names in the order of the document."""
    names = [(c.value or "").rpartition(".")[0] for c in observation.controls if is_cell(c)]
    return list(dict.fromkeys(names))


def cells(observation: Observation, target: Target | None) -> list[Control]:
    """The cells of the table that a target names, the first table by default; none where there is no such table."""
    known = tables(observation)
    number = target.number if target is not None and target.kind == "table" and target.number else 1
    place = number - 1 if number > 0 else number
    if not -len(known) <= place < len(known):
        return []
    return [c for c in observation.controls if is_cell(c) and (c.value or "").rpartition(".")[0] == known[place]]


def address(control: Control) -> tuple[int, int]:
    """Row and column of a cell, both from 1: "Table1.B3" is (3, 2)."""
    cell = (control.value or "").rpartition(".")[2]
    letters = cell.rstrip("0123456789")
    column = 0
    for letter in letters:
        column = column * 26 + ord(letter.upper()) - ord("A") + 1
    return int(cell[len(letters) :]), column
