"""Families on whole paragraphs: styles, alignment, spacing, indents, lists, page breaks."""

from random import Random

from lam_train.apps.writer.tasks.comparison import ANYTHING, OneOf
from lam_train.apps.writer.tasks.document_model import Document, Paragraph
from lam_train.apps.writer.tasks.family import (
    Drawn,
    Family,
    Parameters,
    about_paragraph,
    empty_paragraph,
    find_paragraph,
    index_of,
    set_format,
)
from lam_train.apps.writer.tasks.source import Source

INCH, POINT = 1440, 20
# A style as Writer's box "Set Paragraph Style" names it -> the names it may have in the file
STYLES = {
    "Quotations": ("Quotations", "Quote"),
    "Preformatted Text": ("Preformatted Text",),
    "Text Body": ("Body Text", "Text Body"),
    "Title": ("Title",),
    "Subtitle": ("Subtitle",),
    "Heading 1": ("Heading 1",),
    "Heading 2": ("Heading 2",),
    "Heading 3": ("Heading 3",),
}
ALIGNMENTS = {  # value -> how wordings say it: verb, state, direction
    "left": ("left-align", "aligned to the left", "left"),
    "center": ("center", "centered", "center"),
    "right": ("right-align", "aligned to the right", "right"),
    "justify": ("justify", "justified", "justified"),
}
LINE_SPACINGS = {"single": 1.0, "1.15": 1.15, "1.5": 1.5, "double": 2.0}
BULLET_STYLES, NUMBER_STYLES = (
    ("List Bullet", "List 1", "List Paragraph"),
    ("List Number", "Numbering 1", "List Paragraph"),
)


def restyled(paragraph: Paragraph, styles: tuple[str, ...]) -> None:
    """Another paragraph style: what it sets may be anything, what the paragraph's text has by itself stays."""
    paragraph.style = OneOf(styles)
    for name in (
        "alignment",
        "left",
        "right",
        "first",
        "before",
        "after",
        "line",
        "outline",
        "keep_next",
        "keep_lines",
        "tabs",
    ):
        setattr(paragraph, name, ANYTHING)
    look = dict.fromkeys(("bold", "italic", "font", "size", "color", "spacing"), ANYTHING)
    set_format(paragraph, 0, len(paragraph.text), **look)


class Heading(Family):
    """Cursor into the paragraph, then the toolbar's box "Set Paragraph Style" (type the name, ENTER), Styles >
    Heading N, or Ctrl+1, Ctrl+2, Ctrl+3."""

    name = "heading"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        level = rng.choice([1, 2, 3])
        short = [p for p in [*source.headings, *source.texts] if len(p.text) <= 90 and p.style != f"Heading {level}"]
        if not short:
            return None
        return about_paragraph(source, rng.choice(short), rng, {"level": str(level)}, level=level)

    def expect(self, document: Document, parameters: Parameters) -> None:
        restyled(find_paragraph(document, parameters["paragraph"]), (f"Heading {parameters['level']}",))


class ParagraphStyle(Family):
    """Cursor into the paragraph, then the toolbar's box "Set Paragraph Style": type the name, ENTER."""

    name = "paragraph_style"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        style = rng.choice(list(STYLES))
        paragraphs = [p for p in source.texts if p.style not in STYLES[style]]
        if not paragraphs:
            return None
        return about_paragraph(source, rng.choice(paragraphs), rng, {"style": style}, style=style)

    def expect(self, document: Document, parameters: Parameters) -> None:
        restyled(find_paragraph(document, parameters["paragraph"]), STYLES[parameters["style"]])


class Alignment(Family):
    """Cursor into the paragraph, then the toolbar's "Align Left", "Center Horizontally", "Align Right", "Justified";
    Format > Align Text; Ctrl+L, E, R, J."""

    name = "alignment"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        value = rng.choice(list(ALIGNMENTS))
        paragraphs = [p for p in source.unique if p.alignment != value and not (p.list_kind and value == "justify")]
        verb, state, direction = ALIGNMENTS[value]
        slots = {"align": verb, "aligned": state, "direction": direction}
        if not paragraphs:
            return None
        return about_paragraph(source, rng.choice(paragraphs), rng, slots, alignment=value)

    def expect(self, document: Document, parameters: Parameters) -> None:
        find_paragraph(document, parameters["paragraph"]).alignment = parameters["alignment"]


class LineSpacing(Family):
    """Cursor into the paragraph, then Format > Spacing > Line Spacing: Single, 1.15, 1.5, Double; or Format >
    Paragraph, tab Indents & Spacing, Line Spacing."""

    name = "line_spacing"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        spacing = rng.choice(list(LINE_SPACINGS))
        wanted = ("auto", round(240 * LINE_SPACINGS[spacing]))
        paragraphs = [p for p in source.texts if p.line != wanted]
        if not paragraphs:
            return None
        return about_paragraph(source, rng.choice(paragraphs), rng, {"spacing": spacing}, spacing=spacing)

    def expect(self, document: Document, parameters: Parameters) -> None:
        value = round(240 * LINE_SPACINGS[parameters["spacing"]])
        find_paragraph(document, parameters["paragraph"]).line = ("auto", value)


class ParagraphSpacing(Family):
    """Cursor into the paragraph, then Format > Paragraph, tab Indents & Spacing, "Above paragraph" or "Below
    paragraph" (the fields take "12 pt"), OK."""

    def __init__(self, name: str, attribute: str) -> None:
        self.name, self.attribute = name, attribute

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        points = rng.choice([0, 3, 8, 10, 12, 14, 18, 20, 24, 30, 36])
        paragraphs = [p for p in [*source.texts, *source.headings] if getattr(p, self.attribute) != points * POINT]
        if not paragraphs:
            return None
        return about_paragraph(source, rng.choice(paragraphs), rng, {"points": str(points)}, points=points)

    def expect(self, document: Document, parameters: Parameters) -> None:
        setattr(find_paragraph(document, parameters["paragraph"]), self.attribute, parameters["points"] * POINT)


class Indent(Family):
    """Cursor into the paragraph, then Format > Paragraph, tab Indents & Spacing, "Before text", "After text" or
    "First line" (the fields are in inches), OK."""

    def __init__(self, name: str, attribute: str) -> None:
        self.name, self.attribute = name, attribute

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        inches = rng.choice(["0.25", "0.3", "0.4", "0.5", "0.75", "0.8", "1", "1.25", "1.5"])
        if not source.texts:
            return None
        return about_paragraph(source, rng.choice(source.texts), rng, {"inches": inches}, inches=inches)

    def expect(self, document: Document, parameters: Parameters) -> None:
        value = round(float(parameters["inches"]) * INCH)
        setattr(find_paragraph(document, parameters["paragraph"]), self.attribute, value)


class List(Family):
    """Cursor into the paragraph, then the toolbar's "Toggle Unordered List" or "Toggle Ordered List"; Format >
    Bullets and Numbering; F12 for numbers, Shift+F12 for bullets."""

    def __init__(self, name: str, kind: str, styles: tuple[str, ...]) -> None:
        self.name, self.kind, self.styles = name, kind, styles

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        paragraphs = [p for p in source.texts if not p.list_kind]
        paragraphs += [p for p in source.items if p.list_kind != self.kind] if rng.random() < 0.3 else []
        return about_paragraph(source, rng.choice(paragraphs), rng, {}) if paragraphs else None

    def expect(self, document: Document, parameters: Parameters) -> None:
        paragraph = find_paragraph(document, parameters["paragraph"])
        paragraph.style = OneOf((paragraph.style, *self.styles))
        paragraph.list_kind = self.kind
        for name in ("list_label", "list_level", "left", "first", "before", "after", "tabs"):
            setattr(paragraph, name, ANYTHING)


class RemoveList(Family):
    """Cursor into the item, then the toolbar's button of its list (it is pressed), or Format > Lists > No List."""

    name = "remove_list"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        if not source.items:
            return None
        item = rng.choice(source.items)
        label = "bullet" if item.list_kind == "bullet" else "number"
        return about_paragraph(source, item, rng, {"label": label, "text": item.text})

    def expect(self, document: Document, parameters: Parameters) -> None:
        paragraph = find_paragraph(document, parameters["paragraph"])
        paragraph.list_kind = paragraph.list_label = ""
        paragraph.list_level = 0
        paragraph.style = OneOf((paragraph.style, "Normal", "Body Text"))
        for name in ("left", "first", "before", "after", "tabs", "line"):
            setattr(paragraph, name, ANYTHING)


class PageBreak(Family):
    """Cursor to the paragraph's beginning, then Insert > Page Break or Ctrl+ENTER (an empty paragraph may stay
    behind on the old page); or Format > Paragraph, tab Text Flow, Breaks: Insert."""

    name, structural = "page_break", True

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        paragraphs = [p for p in [*source.headings * 2, *source.texts] if p is not source.document.blocks[0]]
        return about_paragraph(source, rng.choice(paragraphs), rng, {}) if paragraphs else None

    def expect(self, document: Document, parameters: Parameters) -> None:
        paragraph = find_paragraph(document, parameters["paragraph"])
        paragraph.page_break = True
        document.blocks.insert(index_of(document, paragraph), empty_paragraph())


FAMILIES: tuple[Family, ...] = (
    Heading(),
    ParagraphStyle(),
    Alignment(),
    LineSpacing(),
    ParagraphSpacing("space_above", "before"),
    ParagraphSpacing("space_below", "after"),
    Indent("indent_left", "left"),
    Indent("indent_right", "right"),
    Indent("indent_first_line", "first"),
    List("bullets", "bullet", BULLET_STYLES),
    List("numbering", "number", NUMBER_STYLES),
    RemoveList(),
    PageBreak(),
)
