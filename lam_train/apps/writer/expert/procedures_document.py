"""Procedures on the page and what stands on it: breaks, layout, header and footer, notes, links, tables."""

from dataclasses import replace

from lam_train.apps.writer.expert.grammar_pattern import Subtask
from lam_train.apps.writer.expert.grammar_targets import Place, Target
from lam_train.apps.writer.expert.on_screen import Find, address, cells, has_value, normal
from lam_train.apps.writer.expert.procedure import Intent, NoPlan, button, click, fill, keys, menu, on, typed
from lam_train.apps.writer.expert.procedures_text import Procedure, beside, select, to_place, to_the_start
from lam_train.records import Control, Observation

MARGIN_SIDES = {"left": ["Left"], "right": ["Right"], "top": ["Top"], "bottom": ["Bottom"]}
MARGIN_SIDES["all"] = [side for sides in MARGIN_SIDES.values() for side in sides]
NOTES = ("Insert", "Footnote and Endnote")
PAGE_STYLE = "Default Page Style"


def page_break(subtask: Subtask) -> list[Intent]:
    """Before a paragraph."""
    target = subtask.target or (subtask.place.target if subtask.place else None)
    if subtask.place is not None and subtask.place.side == "after":
        return [*to_place(subtask.place), button("Page Break", "Insert", "Page Break")]
    return [*to_the_start(target), button("Page Break", "Insert", "Page Break")]


def page_layout(*changes: Intent) -> list[Intent]:
    """Format > Page Style, tab Page."""
    return [*menu("Format", "Page Style"), click("Page", kind="TabItem"), *changes, click("OK")]


def orientation(subtask: Subtask) -> list[Intent]:
    return page_layout(click(subtask.values["orientation"], kind="Button"))


def paper_size(subtask: Subtask) -> list[Intent]:
    return page_layout(fill("Format", subtask.values["paper"], "ComboBox"))


def margin(subtask: Subtask) -> list[Intent]:
    return page_layout(*(fill(side, subtask.values["length"], "Edit") for side in MARGIN_SIDES[subtask.values["side"]]))


def columns(subtask: Subtask) -> list[Intent]:
    """For the whole page: where something is selected, the dialog offers that. Choosing resets the number."""
    number = fill("Columns", subtask.values["number"], "Edit")
    page = f"Page Style: {PAGE_STYLE}"
    whole = replace(fill("Apply to", page, "ComboBox"), unless=has_value("Apply to", page))
    return [*menu("Format", "Columns"), whole, number, click("OK")]


def area(name: str) -> Procedure:
    """Header or footer with a text: it is turned on, and the cursor is then in it."""
    return lambda subtask: [
        *menu("Insert", "Header and Footer", name, PAGE_STYLE),
        keys(typed(subtask.values["text"]), f"type the {name.lower()}"),
    ]


def page_number(subtask: Subtask) -> list[Intent]:
    return [*menu("Insert", "Header and Footer", "Footer", PAGE_STYLE), *menu("Insert", "Page Number")]


def note(*opening: Intent, say: str, leave: str = "") -> Procedure:
    """After a phrase: a footnote, endnote or comment, and its text; `leave` are keys back to the document."""
    return lambda subtask: [*select(subtask.target), *opening, keys(typed(subtask.values["text"]) + leave, say)]


def hyperlink(subtask: Subtask) -> list[Intent]:
    return [
        *select(subtask.target), *menu("Insert", "Hyperlink"),
        fill("URL", subtask.values["address"], "ComboBox"), click("OK"),
    ]  # fmt: skip


def bookmark(subtask: Subtask) -> list[Intent]:
    return [
        *select(subtask.target), *menu("Insert", "Bookmark"),
        fill("Name", subtask.values["name"], "Edit"), click("Insert", kind="Button"),
    ]  # fmt: skip


def date(subtask: Subtask) -> list[Intent]:
    place = subtask.place or Place("after", subtask.target or Target("all"))
    return [*beside(place), *menu("Insert", "Field", "Date")]


def horizontal_line(subtask: Subtask) -> list[Intent]:
    return [*to_place(subtask.place), *menu("Insert", "Horizontal Line")]


def track_changes(subtask: Subtask) -> list[Intent]:
    record = on(click("Record")) if subtask.values["on"] == "yes" else click("Record")
    return [*menu("Edit", "Track Changes"), record]


def insert_table(subtask: Subtask) -> list[Intent]:
    """Where no place is said, at the end: at the cursor it would replace what is selected."""
    size = {"rows": int(subtask.values["rows"]), "columns": int(subtask.values["columns"])}
    place = subtask.place or Place("after", Target("all"))
    return [*to_place(place), Intent("insert_table", "insert the table", args=size)]


# Tables --------------------------------------------------------------------------------------------------------------


def table_cell(subtask: Subtask, axis: int) -> Find:
    """The cell that says which row (`axis` 0) or column (1) a subtask is about, or any cell of its table."""

    def find(observation: Observation) -> Control | None:
        known = cells(observation, subtask.target)
        values = subtask.values
        if "cell" in values:
            return next((c for c in known if (c.value or "").endswith(f".{values['cell']}")), None)
        if "text" in values:
            return next((c for c in known if normal(c.control_text) == normal(values["text"])), None)
        last = max((address(c)[axis] for c in known), default=0)
        wanted = int(values.get("ordinal", values.get("number", {"end": -1, "": 1}.get(values.get("at", ""), 1))))
        wanted = wanted if wanted > 0 else last + 1 + wanted
        return next((c for c in known if address(c)[axis] == wanted), None)

    return find


def in_table(axis: int, *entries: str, say: str = "click the cell") -> Procedure:
    """Into a cell, then an entry of the menu Table."""
    return lambda subtask: [Intent("click_input", say, table_cell(subtask, axis)), *menu("Table", *entries)]


def insert_line(axis: int) -> Procedure:
    """A row or a column before or after one."""
    entries = (("Rows Above", "Rows Below"), ("Columns Before", "Columns After"))[axis]
    return lambda subtask: in_table(axis, "Insert", entries[subtask.values["side"] == "after"])(subtask)


def set_cell(subtask: Subtask) -> list[Intent]:
    if "cell" in subtask.values:
        where, text = table_cell(subtask, 0), subtask.values["text"]
    else:
        where, text = table_cell(subtask, 0), subtask.values["new"]
    return [Intent("set_edit_text", "write the cell", where, args={"text": text})]


def sort(subtask: Subtask) -> list[Intent]:
    if subtask.target is None or subtask.target.kind != "table":
        raise NoPlan("only tables are sorted")
    column = subtask.values.get("ordinal", subtask.values.get("number", "1"))
    return [
        *select(subtask.target),
        *menu("Table", "Sort"),
        fill("Column", column, "Edit"),
        click("Descending" if subtask.values.get("order") == "descending" else "Ascending"),
        click("OK"),
    ]


PROCEDURES: dict[str, Procedure] = {
    "page_break": page_break,
    "orientation": orientation,
    "paper_size": paper_size,
    "margin": margin,
    "columns": columns,
    "header": area("Header"),
    "footer": area("Footer"),
    "page_number": page_number,
    "footnote": note(button("Footnote", *NOTES, "Footnote"), say="type the footnote"),
    "endnote": note(button("Endnote", *NOTES, "Endnote"), say="type the endnote"),
    "comment": note(*menu("Insert", "Comment"), say="type the comment", leave="{ESC}"),
    "hyperlink": hyperlink,
    "bookmark": bookmark,
    "date": date,
    "horizontal_line": horizontal_line,
    "track_changes": track_changes,
    "insert_table": insert_table,
    "delete_table": in_table(0, "Delete", "Table"),
    "insert_row": insert_line(0),
    "insert_column": insert_line(1),
    "delete_row": in_table(0, "Delete", "Delete Rows"),
    "delete_column": in_table(1, "Delete", "Delete Columns"),
    "set_cell": set_cell,
    "sort": sort,
}
