"""What a .docx document says, free of how its file says it: text, effective formatting, structure.

Lengths are in twips (1/20 point), sizes of type in points, colors are "RRGGBB" or "auto".
"""

from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Format:
    """The effective formatting of one character: direct, character style, paragraph style and defaults resolved."""

    bold: Any = False
    italic: Any = False
    underline: Any = ""  # "single", "double", …; "" is none
    strike: Any = ""  # "single", "double"
    font: Any = ""
    size: Any = 12.0
    color: Any = "auto"
    background: Any = ""  # highlight or shading
    position: Any = ""  # "superscript", "subscript", or a raise in half points
    case: Any = ""  # "caps", "smallCaps"
    spacing: Any = 0
    scale: Any = 100  # width in percent
    effects: Any = ()  # outline, shadow, hidden, …
    link: Any = ""  # where a hyperlink leads
    change: Any = ""  # "insertion" or "deletion", where changes were tracked


@dataclass(frozen=True)
class Mark:
    """Something that stands in a paragraph without being text of it."""

    kind: Any  # "footnote", "endnote", "comment", "bookmark", "field", "image", "shape", "break"
    start: Any  # offset in the paragraph's text
    end: Any
    content: Any = ""  # text of a note or comment, name of a bookmark, kind of a field, what a picture shows


@dataclass
class Paragraph:
    """A paragraph: `formats` holds one Format for each character of `text`."""

    text: str
    style: Any = "Normal"
    formats: list[Format] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    alignment: Any = "left"
    left: Any = 0
    right: Any = 0
    first: Any = 0  # first line's indent, negative when it hangs
    before: Any = 0
    after: Any = 0
    line: Any = ("auto", 240)  # rule and value: "auto" counts in 240ths of a line
    list_kind: Any = ""  # "bullet", "number"
    list_label: Any = ""
    list_level: Any = 0
    outline: Any = 9  # 0 is the first level of headings, 9 is text
    page_break: Any = False  # a page begins with it
    keep_next: Any = False
    keep_lines: Any = False
    background: Any = ""
    borders: Any = ()
    tabs: Any = ()
    optional: bool = False  # of an expected document: may be missing

    @property
    def is_heading(self) -> bool:
        """A heading or the document's title, by its style."""
        return self.style == "Title" or str(self.style).startswith("Heading ")


@dataclass
class Cell:
    paragraphs: list[Paragraph]
    span: Any = 1
    merged: Any = ""
    vertical: Any = "top"
    background: Any = ""
    borders: Any = ()

    @property
    def text(self) -> str:
        """The text of the cell's paragraphs, a line each."""
        return "\n".join(paragraph.text for paragraph in self.paragraphs)


@dataclass
class Table:
    rows: list[list[Cell]]
    widths: Any = ()  # of the grid's columns
    alignment: Any = "left"
    borders: Any = ()
    optional: bool = False

    @property
    def texts(self) -> list[list[str]]:
        """The cells' texts, row by row."""
        return [[cell.text for cell in row] for row in self.rows]


@dataclass
class Section:
    end: Any = None  # index of its last block; None: to the document's end
    start: Any = "nextPage"
    width: Any = 12240
    height: Any = 15840
    landscape: Any = False
    top: Any = 1440
    bottom: Any = 1440
    left: Any = 1440
    right: Any = 1440
    columns: Any = 1
    borders: Any = ()
    line_numbers: Any = False
    vertical: Any = "top"
    numbering: Any = ("decimal", "")  # of its pages: format and first number
    first_page: Any = False  # its first page has headers of its own
    header: Any = ()  # paragraphs; () without one
    footer: Any = ()
    other_headers: Any = ()  # texts of headers and footers for first and even pages


@dataclass
class Document:
    """A whole document. `blocks` are the paragraphs and tables of its body, in order."""

    blocks: list[Paragraph | Table]
    sections: list[Section]
    track_changes: Any = False
    protection: Any = ""
    background: Any = ""  # of the page
    title: Any = ""  # of the document's properties

    @property
    def paragraphs(self) -> list[Paragraph]:
        """The body's paragraphs, those in tables left out."""
        return [block for block in self.blocks if isinstance(block, Paragraph)]

    @property
    def tables(self) -> list[Table]:
        return [block for block in self.blocks if isinstance(block, Table)]

    def with_blocks(self, blocks: list[Paragraph | Table]) -> "Document":
        """The same document with another body."""
        return replace(self, blocks=blocks)
