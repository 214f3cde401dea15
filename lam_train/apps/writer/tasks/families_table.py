"""Families on tables. The templates have one table at most, so that "the table" names it."""

from random import Random

from lam_train.apps.writer.tasks.comparison import ANYTHING
from lam_train.apps.writer.tasks.document_model import Cell, Document, Table
from lam_train.apps.writer.tasks.family import (
    ANY_FORMAT,
    Drawn,
    Family,
    Parameters,
    empty_paragraph,
    find_paragraph,
    index_of,
)
from lam_train.apps.writer.tasks.source import Source
from lam_train.apps.writer.templates import material
from lam_train.errors import UserError

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")


def blank_cell() -> Cell:
    """An empty cell of any look."""
    paragraph = empty_paragraph()
    paragraph.optional = False
    return Cell([paragraph], vertical=ANYTHING, background=ANYTHING, borders=ANYTHING)


def only_table(document: Document) -> Table:
    if not document.tables:
        raise UserError("the document has no table: is it the one that the task was made from?")
    return document.tables[0]


class InsertTable(Family):
    """insert_table(rows, columns) at the cursor; by hand Table > Insert Table (Ctrl+F12), Columns and Rows, Insert.
    Where a place is given: cursor to the end of that heading (select it, then RIGHT), or Ctrl+END, first."""

    name, structural = "insert_table", True

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        rows, columns = rng.randint(2, 8), rng.randint(2, 6)
        parameters: Parameters = {"rows": rows, "columns": columns, "place": "anywhere"}
        slots = {"rows": str(rows), "columns": str(columns), "place": "", "a": "an" if rows == 8 else "a"}
        slots |= {"rows_word": NUMBERS[rows], "columns_word": NUMBERS[columns]}
        kind = rng.random()
        if kind < 0.3:
            parameters["place"], slots["place"] = "end", " at the end of the document"
        elif kind < 0.6 and source.headings:
            heading = rng.choice(source.headings)
            parameters |= {"place": "after", "paragraph": heading.text}
            slots["place"] = rng.choice([" below", " under", " after"]) + f' the heading "{heading.text}"'
        return Drawn(parameters, slots, frozenset(["table", parameters.get("paragraph", "end")]))

    def expect(self, document: Document, parameters: Parameters) -> list[Document]:
        blocks = document.blocks
        if parameters["place"] == "end":
            places = [len(blocks)]
        elif parameters["place"] == "after":
            places = [index_of(document, find_paragraph(document, parameters["paragraph"])) + 1]
        else:
            places = list(range(len(blocks) + 1))
        rows = [[blank_cell() for _ in range(parameters["columns"])] for _ in range(parameters["rows"])]
        table = Table(rows, ANYTHING, ANYTHING, ANYTHING)
        added = [empty_paragraph(), table, empty_paragraph()]
        return [document.with_blocks([*blocks[:place], *added, *blocks[place:]]) for place in places]


class DeleteTable(Family):
    """Cursor into the table, then Table > Delete > Table."""

    name, structural = "delete_table", True

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        if not source.document.tables:
            return None
        headers = [text for text in source.document.tables[0].texts[0] if text]
        return Drawn({}, {"header": rng.choice(headers)}, frozenset(["table"]))

    def expect(self, document: Document, parameters: Parameters) -> None:
        index = index_of(document, only_table(document))
        document.blocks[index] = empty_paragraph()


class InsertRow(Family):
    """Cursor into the row, then Table > Insert > Rows Above or Rows Below."""

    name = "insert_row"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        labels = row_labels(source)
        if not labels:
            return None
        kind = rng.random()
        if kind < 0.25:
            return Drawn({"side": "end"}, {"place": "at the end of the table"}, frozenset(["table"]))
        label, side = rng.choice(labels), "below" if kind < 0.65 else "above"
        words = {"below": ["below", "after"], "above": ["above", "before"]}[side]
        place = f'{rng.choice(words)} the row that begins with "{label}"'
        return Drawn({"side": side, "row": label}, {"place": place}, frozenset(["table"]))

    def expect(self, document: Document, parameters: Parameters) -> None:
        rows = only_table(document).rows
        place = len(rows)
        if parameters["side"] != "end":
            place = row_index(rows, parameters["row"]) + (parameters["side"] == "below")
        rows.insert(place, [blank_cell() for _ in rows[0]])


class DeleteRow(Family):
    """Cursor into the row, then Table > Delete > Rows."""

    name = "delete_row"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        labels = row_labels(source)[1:]  # not the header
        if not labels:
            return None
        label = rng.choice(labels)
        return Drawn({"row": label}, {"row": label}, frozenset(["table"]))

    def expect(self, document: Document, parameters: Parameters) -> None:
        rows = only_table(document).rows
        del rows[row_index(rows, parameters["row"])]


class InsertColumn(Family):
    """Cursor into the column, then Table > Insert > Columns Before or Columns After."""

    name = "insert_column"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        headers = column_headers(source)
        if not headers:
            return None
        kind = rng.random()
        if kind < 0.25:
            return Drawn({"side": "end"}, {"place": "at the right end of the table"}, frozenset(["table"]))
        header, side = rng.choice(headers), "after" if kind < 0.65 else "before"
        words = {"after": ["after", "to the right of"], "before": ["before", "to the left of"]}[side]
        place = f'{rng.choice(words)} the column "{header}"'
        return Drawn({"side": side, "column": header}, {"place": place}, frozenset(["table"]))

    def expect(self, document: Document, parameters: Parameters) -> None:
        table = only_table(document)
        table.widths = ANYTHING
        place = len(table.rows[0])
        if parameters["side"] != "end":
            place = column_index(table, parameters["column"]) + (parameters["side"] == "after")
        for row in table.rows:
            row.insert(place, blank_cell())


class DeleteColumn(Family):
    """Cursor into the column, then Table > Delete > Columns."""

    name = "delete_column"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        headers = column_headers(source)
        if not headers:
            return None
        header = rng.choice(headers)
        return Drawn({"column": header}, {"column": header}, frozenset(["table"]))

    def expect(self, document: Document, parameters: Parameters) -> None:
        table = only_table(document)
        table.widths = ANYTHING
        place = column_index(table, parameters["column"])
        for row in table.rows:
            del row[place]


class SetCell(Family):
    """set_edit_text on the cell's control, or select the old text and type the new one."""

    name = "set_cell"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        texts = source.document.tables[0].texts if source.document.tables else []
        cells = [(r, c) for r, row in enumerate(texts) for c, text in enumerate(row) if r and source.occurs_once(text)]
        if not cells:
            return None
        row, column = rng.choice(cells)
        text = rng.choice([value for value in material(source.template)["cells"] if value != texts[row][column]])
        slots = {"cell": f"{chr(ord('A') + column)}{row + 1}", "old": texts[row][column], "text": text}
        return Drawn({"row": row, "column": column, "text": text}, slots, frozenset(["table"]))

    def expect(self, document: Document, parameters: Parameters) -> None:
        cell = only_table(document).rows[parameters["row"]][parameters["column"]]
        paragraph = cell.paragraphs[0]
        look = paragraph.formats[0] if paragraph.formats else ANY_FORMAT
        paragraph.text, paragraph.formats = parameters["text"], [look] * len(parameters["text"])
        cell.paragraphs = [paragraph]


def row_labels(source: Source) -> list[str]:
    """The first cells of the table's rows, those that occur once in the document; the header's first."""
    texts = source.document.tables[0].texts if source.document.tables else []
    return [row[0] for row in texts if row[0] and source.occurs_once(row[0])]


def column_headers(source: Source) -> list[str]:
    texts = source.document.tables[0].texts if source.document.tables else [[]]
    return [text for text in texts[0] if text and source.occurs_once(text)]


def row_index(rows: list[list[Cell]], label: str) -> int:
    for index, row in enumerate(rows):
        if row[0].text == label:
            return index
    raise UserError(f"the table has no row that begins with {label!r}: is it the one that the task was made from?")


def column_index(table: Table, header: str) -> int:
    texts = table.texts[0]
    if header not in texts:
        raise UserError(f"the table has no column {header!r}: is it the one that the task was made from?")
    return texts.index(header)


FAMILIES: tuple[Family, ...] = (
    InsertTable(),
    DeleteTable(),
    InsertRow(),
    DeleteRow(),
    InsertColumn(),
    DeleteColumn(),
    SetCell(),
)
