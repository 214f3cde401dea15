"""Where a plan begins: the cursor in a paragraph, text selected, a table, an image … and how to get there."""

from dataclasses import dataclass, field

from lam_train.apps.writer.walk.plans import Act, Move


def _menu(*path: str) -> Move:
    return Move(text="", acts=[Act(function="click_input", name=label, types=["MenuItem"]) for label in path])


def _button(name: str) -> Move:
    return Move(text="", acts=[Act(function="click_input", name=name, types=["Button"])])


def _keys(keys: str) -> Move:
    return Move(text="", acts=[Act(function="keyboard_input", args={"keys": keys})])


def _click_in(value: str, nth: int, text: str) -> Move:
    """A click in the nth paragraph of a style, or in a table's cell."""
    return Move(text=text, acts=[Act(function="click_input", types=["Document"], value=value, nth=nth)])


def _select(text: str, words: str) -> Move:
    return Move(text=words, acts=[Act(function="select_text", args={"text": text})])


@dataclass(frozen=True)
class Context:
    """A state of a template from which plans begin.

    `prepare` brings the state and belongs to no plan (a frame that must be there); `moves` are the plan's own first
    steps. `of` names what a plan then acts on; where `moves` is empty, the task must say it.
    """

    name: str
    template: str
    of: str
    prepare: list[Move] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)

    @property
    def of_task(self) -> str:
        """What a task must name: what is selected or held by the cursor; "" for the document as such."""
        return "" if self.name == "document" else self.of


CONTEXTS = {
    context.name: context
    for context in (
        Context(
            "paragraph",
            "report.docx",
            "the current paragraph",
            moves=[_click_in("Default Paragraph Style", 1, "Click in the paragraph.")],
        ),
        Context("text", "report.docx", "the selected text", moves=[_select("Saturdays", "Select the text.")]),
        Context(
            "document",
            "report.docx",
            "the document",
            moves=[_click_in("Default Paragraph Style", 0, "Click in the text.")],
        ),
        Context(
            "table", "report.docx", "the table", moves=[_click_in("Table1.B2", 0, "Click in a cell of the table.")]
        ),
        Context(
            "cells",
            "report.docx",
            "the selected table",
            moves=[Move(text="Select the table.", acts=[Act(function="select_table", args={"number": 1})])],
        ),
        Context("first row", "report.docx", "the table", moves=[_click_in("Table1.A1", 0, "Click in the first row.")]),
        Context("list", "report.docx", "the list", moves=[_click_in("List", 1, "Click in a list item.")]),
        Context("heading", "report.docx", "the heading", moves=[_click_in("Heading", 1, "Click in the heading.")]),
        Context(
            "image",
            "report.docx",
            "the selected image",
            prepare=[_click_in("Default Paragraph Style", 0, ""), _keys("+{F4}")],
        ),
        Context(
            "frame", "letter.docx", "the selected frame", prepare=[_menu("Insert", "Frame", "Frame"), _button("OK")]
        ),
        Context("shape", "letter.docx", "the selected shape", prepare=[_menu("Insert", "Fontwork"), _button("OK")]),
        Context(
            "change",
            "letter.docx",
            "the tracked change",
            prepare=[
                _menu("Edit", "Track Changes", "Record"),
                _click_in("Default Paragraph Style", 6, ""),
                _keys("{HOME}new "),
                _keys("{LEFT 2}"),
            ],
        ),
        Context("comment", "letter.docx", "the comment", prepare=[_menu("Insert", "Comment")]),
        Context(
            "footnote", "letter.docx", "the footnote", prepare=[_menu("Insert", "Footnote and Endnote", "Footnote")]
        ),
        Context(
            "copied",
            "report.docx",
            "the copied text",
            prepare=[_select("Saturdays", ""), _keys("^c")],
            moves=[_click_in("Default Paragraph Style", 1, "Click in the paragraph.")],
        ),
        Context("section", "letter.docx", "the section", prepare=[_menu("Insert", "Section"), _button("Insert")]),
        Context(
            "index",
            "report.docx",
            "the table of contents",
            prepare=[
                _click_in("Default Paragraph Style", 0, ""),
                _menu("Insert", "Table of Contents and Index", "Table of Contents, Index or Bibliography"),
                _button("OK"),
            ],
        ),
        Context("field", "letter.docx", "the field", prepare=[_menu("Insert", "Field", "Date"), _keys("{LEFT}")]),
    )
}

# The contexts in which an entry is tried, by the beginning of its path; the first in which it is enabled is taken.
_PREFERRED: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("Edit", "Track Changes"), ("change",)),
    (("Edit", "Comment"), ("comment",)),
    (("Edit", "Paste"), ("copied",)),
    (("Edit", "Paste Special"), ("copied",)),
    (("Edit",), ("text", "field", "footnote")),
    (("Insert", "Caption"), ("image", "table")),
    (("Insert", "Header and Footer"), ("document",)),
    (("Insert",), ("paragraph",)),
    (("Format", "Text"), ("text",)),
    (("Format", "Character"), ("text",)),
    (("Format", "Lists"), ("list",)),
    (("Format", "Bullets and Numbering"), ("list",)),
    (("Format", "Image"), ("image",)),
    (("Format", "Frame and Object"), ("frame",)),
    (("Format", "Text Box and Shape"), ("shape",)),
    (("Format", "Page Style"), ("document",)),
    (("Format", "Columns"), ("document",)),
    (("Format", "Sections"), ("section",)),
    (("Format", "Title Page"), ("document",)),
    (("Format", "Watermark"), ("document",)),
    (("Format",), ("paragraph", "text", "image", "shape", "frame", "comment", "table")),
    (("Styles",), ("paragraph", "text")),
    (("Table", "Insert Table"), ("document",)),
    (("Font Name",), ("text",)),
    (("Font Size",), ("text",)),
    (("Paragraph Style",), ("paragraph",)),
    (("Table",), ("table", "cells", "first row", "text")),
    (("Tools", "Update"), ("document", "index")),
    (("Tools",), ("document", "text", "table")),
)


def contexts_of(path: tuple[str, ...]) -> tuple[Context, ...]:
    """The contexts to try an entry of the menus in, best first."""
    names = next((names for start, names in _PREFERRED if path[: len(start)] == start), ("document", "text", "table"))
    return tuple(CONTEXTS[name] for name in names)
