"""Compares an expected document with the one that was saved, and says in words where they differ."""

from dataclasses import dataclass, fields
from difflib import SequenceMatcher
from typing import Any

from lam_train.apps.writer.tasks.document_model import Document, Format, Mark, Paragraph, Section, Table

TWIPS = 15  # 0.26 mm: what conversions between inches, millimeters and twips lose
TOLERANCES = {"line": 3, "size": 0.3}
STRUCTURE = ("text", "formats", "marks", "optional", "rows", "header", "footer", "end")
UNSEEN_ON_SPACES = ("bold", "italic", "color", "case")


class Anything:
    """In an expected document: whatever is found is right."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Anything)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "anything"


ANYTHING = Anything()


@dataclass(frozen=True)
class OneOf:
    """In an expected document: any of these is right; the first is what a message names."""

    values: tuple

    def __repr__(self) -> str:
        return repr(self.values[0])


@dataclass(frozen=True)
class Difference:
    where: str  # 'the paragraph "Dear Ms. …"', "page", …
    what: str  # "alignment", "bold", "text", …
    expected: Any
    found: Any
    start: int = 0  # of characters: the range in the paragraph
    end: int = 0
    characters: str = ""

    def __str__(self) -> str:
        place = f'"{self.characters}" in {self.where}' if self.characters else self.where
        return f"{place}: {self.what} is {worded(self.found)}, not {worded(self.expected)}"

    def same_place(self, other: "Difference") -> bool:
        """Whether both are about the same property of the same thing."""
        overlap = (self.start < other.end and other.start < self.end) or not (self.characters and other.characters)
        return (self.where, self.what) == (other.where, other.what) and overlap


def worded(value: Any) -> str:
    if value in ("", (), None):
        return "none"
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else repr(value)


def fits(expected: Any, found: Any, tolerance: float = TWIPS) -> bool:
    """Whether a found value is as expected; numbers (and those in tuples) within the tolerance."""
    if isinstance(expected, Anything):
        return True
    if isinstance(expected, OneOf):
        return any(fits(value, found, tolerance) for value in expected.values)
    if isinstance(expected, tuple) and isinstance(found, tuple):
        return len(expected) == len(found) and all(fits(*pair, tolerance) for pair in zip(expected, found, strict=True))
    if isinstance(expected, (int, float)) and isinstance(found, (int, float)) and not isinstance(expected, bool):
        return abs(expected - found) <= tolerance
    return expected == found


def compare(expected: Document, found: Document) -> list[Difference]:
    """Everything in which the found document is not as expected."""
    differences = compare_blocks(expected.blocks, found.blocks)
    if len(expected.sections) != len(found.sections):
        differences.append(
            Difference("the document", "number of sections", len(expected.sections), len(found.sections))
        )
    for before, after in zip(expected.sections, found.sections, strict=False):
        differences += compare_sections(before, after)
    for what in ("track_changes", "protection", "background", "title"):
        if not fits(getattr(expected, what), getattr(found, what)):
            name = what.replace("_", " ")
            differences.append(Difference("the document", name, getattr(expected, what), getattr(found, what)))
    return differences


def compare_sections(expected: Section, found: Section) -> list[Difference]:
    differences = compare_fields("the page", expected, found)
    for part in ("header", "footer"):
        before, after = getattr(expected, part), getattr(found, part)
        if not isinstance(before, Anything):
            differences += compare_blocks(list(before), list(after), f"the {part}'s ")
    return differences


def compare_fields(where: str, expected: Any, found: Any) -> list[Difference]:
    """The differences in the plain properties of two paragraphs, tables, cells or sections."""
    differences = []
    for item in fields(expected):
        if item.name in STRUCTURE or item.name == "paragraphs":
            continue
        before, after = getattr(expected, item.name), getattr(found, item.name)
        if not fits(before, after, TOLERANCES.get(item.name, TWIPS if item.name not in EXACT else 0)):
            differences.append(Difference(where, item.name.replace("_", " "), before, after))
    return differences


EXACT = ("columns", "outline", "list_level", "span")  # numbers that are no lengths


def key(block: Paragraph | Table) -> tuple:
    """What blocks are aligned by."""
    return ("paragraph", block.text) if isinstance(block, Paragraph) else ("table", str(block.texts))


def name(block: Paragraph | Table, prefix: str = "the ") -> str:
    """How a message calls a block."""
    if isinstance(block, Table):
        return f'{prefix}table that begins "{block.texts[0][0] if block.rows and block.rows[0] else ""}"'
    if not block.text:
        return f"{prefix}empty paragraph" if not block.marks else f"{prefix}paragraph of a {block.marks[0].kind}"
    return f'{prefix}paragraph "{block.text if len(block.text) <= 40 else block.text[:37] + "…"}"'


def compare_blocks(expected: list, found: list, prefix: str = "the ") -> list[Difference]:
    """Differences of two sequences of blocks, aligned by their texts."""
    differences = []
    for before, after in aligned(expected, found):
        if before is None:
            differences.append(Difference(name(after, prefix), "presence", False, True))
        elif after is None:
            if not before.optional:
                differences.append(Difference(name(before, prefix), "presence", True, False))
        elif isinstance(before, Paragraph) and isinstance(after, Paragraph):
            differences += compare_paragraphs(before, after, name(before, prefix))
        elif isinstance(before, Table) and isinstance(after, Table):
            differences += compare_tables(before, after, name(before, prefix))
        else:
            differences.append(Difference(name(before, prefix), "presence", True, False))
            differences.append(Difference(name(after, prefix), "presence", False, True))
    return differences


def aligned(expected: list, found: list) -> list[tuple]:
    """Pairs of blocks that belong together; None where one has no partner."""
    if len(expected) == len(found) and not any(block.optional for block in expected):
        mismatched = sum(key(e) != key(f) for e, f in zip(expected, found, strict=True))
        if mismatched <= 1:
            return list(zip(expected, found, strict=True))
    pairs: list[tuple] = []
    matcher = SequenceMatcher(None, [key(block) for block in expected], [key(block) for block in found], autojunk=False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        left, right = expected[i:i_end], found[j:j_end]
        if tag == "replace":
            wanted = [block for block in left if not block.optional]
            if len(wanted) == len(right) and all(type(a) is type(b) for a, b in zip(wanted, right, strict=True)):
                pairs += zip(wanted, right, strict=True)
                continue
        if tag == "equal":
            pairs += zip(left, right, strict=True)
        else:
            pairs += [(block, None) for block in left] + [(None, block) for block in right]
    return pairs


def compare_paragraphs(expected: Paragraph, found: Paragraph, where: str) -> list[Difference]:
    differences = compare_fields(where, expected, found)
    if expected.text != found.text:
        differences.append(Difference(where, "text", expected.text, found.text))
    else:
        differences += compare_formats(expected, found, where)
    return differences + compare_marks(expected.marks, found.marks, where)


def compare_formats(expected: Paragraph, found: Paragraph, where: str) -> list[Difference]:
    """Differences in characters' formats; neighbors with the same difference are one."""
    differences: list[Difference] = []
    if expected.formats == found.formats:
        return differences
    for item in fields(Format):
        run: list[int] = []
        for index, (before, after) in enumerate(zip(expected.formats, found.formats, strict=True)):
            want, have = getattr(before, item.name), getattr(after, item.name)
            wrong = not fits(want, have, TOLERANCES.get(item.name, 3))
            if wrong and item.name in UNSEEN_ON_SPACES and expected.text[index].isspace():
                continue
            if wrong and run and values_at(expected, found, run[0], item.name) == (want, have):
                run.append(index)
            elif wrong or run:
                differences += character_difference(expected, found, run, item.name, where)
                run = [index] if wrong else []
        differences += character_difference(expected, found, run, item.name, where)
    return differences


def values_at(expected: Paragraph, found: Paragraph, index: int, what: str) -> tuple:
    return getattr(expected.formats[index], what), getattr(found.formats[index], what)


def character_difference(expected: Paragraph, found: Paragraph, run: list[int], what: str, where: str) -> list:
    if not run:
        return []
    start, end = run[0], run[-1] + 1
    want, have = values_at(expected, found, start, what)
    return [Difference(where, what, want, have, start, end, expected.text[start:end])]


def compare_marks(expected: list[Mark], found: list[Mark], where: str) -> list[Difference]:
    """Notes, comments, bookmarks, fields and pictures, each expected one with a found one of its own."""
    left = list(found)
    differences = []
    for mark in expected:
        match = next(
            (m for m in left if all(fits(getattr(mark, f.name), getattr(m, f.name), 2) for f in fields(Mark))), None
        )
        if match is None:
            near = next((m for m in left if m.kind == mark.kind), None)
            differences.append(Difference(where, str(mark.kind), mark.content, near.content if near else ""))
            left = [m for m in left if m is not near]
        else:
            left.remove(match)
    return differences + [Difference(where, str(mark.kind), "", mark.content or mark.kind) for mark in left]


def compare_tables(expected: Table, found: Table, where: str) -> list[Difference]:
    shapes = [[len(row) for row in table.rows] for table in (expected, found)]
    if shapes[0] != shapes[1]:
        sizes = [f"{len(shape)} rows of {max(shape, default=0)} cells" for shape in shapes]
        return [Difference(where, "size", *sizes)]
    differences = compare_fields(where, expected, found)
    for number, (row, other) in enumerate(zip(expected.rows, found.rows, strict=True), start=1):
        for column, (before, after) in enumerate(zip(row, other, strict=True)):
            place = f"cell {chr(ord('A') + column)}{number} of {where}"
            differences += compare_fields(place, before, after)
            if len(before.paragraphs) == len(after.paragraphs):
                for one, two in zip(before.paragraphs, after.paragraphs, strict=True):
                    differences += compare_paragraphs(one, two, place)
            else:
                differences.append(Difference(place, "text", before.text, after.text))
    return differences
