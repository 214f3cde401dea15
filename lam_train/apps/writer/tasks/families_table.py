"""Families on tables."""

from random import Random

from lam_train.apps.writer.tasks.comparison import ANYTHING
from lam_train.apps.writer.tasks.document_model import Cell, Document, Format, Table
from lam_train.apps.writer.tasks.families_paragraph import empty_paragraph
from lam_train.apps.writer.tasks.family import Drawn, Family, Parameters, find_paragraph
from lam_train.apps.writer.tasks.source import Source

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


def cell(text: str = "") -> Cell:
    """A cell with this text, of any look."""
    paragraph = empty_paragraph()
    paragraph.text, paragraph.optional = text, False
    paragraph.formats = [Format(**dict.fromkeys(Format.__dataclass_fields__, ANYTHING))] * len(text)
    return Cell([paragraph], background=ANYTHING, borders=ANYTHING)


class InsertTable(Family):
    """insert_table(rows, columns) at the cursor; by hand Table > Insert Table (Ctrl+F12), Columns and Rows, Insert.
    Where a place is given: cursor to the end of that paragraph (select, then RIGHT; Ctrl+END) first."""

    name, structural = "insert_table", True

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        rows, columns = rng.randint(2, 8), rng.randint(2, 6)
        parameters: Parameters = {"rows": rows, "columns": columns, "place": "anywhere"}
        slots = {"rows": str(rows), "columns": str(columns), "rows_word": NUMBERS[rows], "place": "",
                 "columns_word": NUMBERS[columns]}  # fmt: skip
        kind = rng.random()
        if kind < 0.3:
            parameters["place"], slots["place"] = "end", " at the end of the document"
        elif kind < 0.6 and source.headings:
            heading = rng.choice(source.headings)
            parameters |= {"place": "after", "paragraph": heading.text}
            slots["place"] = rng.choice([" below", " under", " after"]) + f' the heading "{heading.text}"'
        return Drawn(parameters, slots, frozenset(["insert_table", parameters.get("paragraph", "end")]))

    def expect(self, document: Document, parameters: Parameters) -> list[Document]:
        blocks = document.blocks
        if parameters["place"] == "end":
            places = [len(blocks)]
        elif parameters["place"] == "after":
            anchor = find_paragraph(document, parameters["paragraph"])
            places = [next(i for i, block in enumerate(blocks) if block is anchor) + 1]
        else:
            places = list(range(len(blocks) + 1))
        rows = [[cell() for _ in range(parameters["columns"])] for _ in range(parameters["rows"])]
        table = Table(rows, ANYTHING, ANYTHING, ANYTHING)
        return [with_blocks(document, place, [empty_paragraph(), table, empty_paragraph()]) for place in places]


def with_blocks(document: Document, place: int, inserted: list) -> Document:
    """The document with more blocks before the one at `place`."""
    blocks = [*document.blocks[:place], *inserted, *document.blocks[place:]]
    return Document(blocks, document.sections, document.track_changes, document.protection, document.background,
                    document.title)  # fmt: skip


FAMILIES: tuple[Family, ...] = (InsertTable(),)
