"""Reads a .docx into the document model."""

import hashlib
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import docx
from docx.oxml.ns import qn
from lxml import etree

from lam_train.apps.writer.tasks.document_model import Cell, Document, Format, Mark, Paragraph, Section, Table
from lam_train.apps.writer.tasks.docx_styles import Styles, border_lines, child, get, is_on, number, shading
from lam_train.errors import UserError

ALIGNMENTS = {"start": "left", "both": "justify", "distribute": "justify", "end": "right"}
SWITCHES = {"pageBreakBefore": "page_break", "keepNext": "keep_next", "keepLines": "keep_lines"}
NAMESPACES = {"a": "http://schemas.openxmlformats.org/drawingml/2006/main"}
MOST_BYTES = 200_000_000
PARSER = etree.XMLParser(resolve_entities=False, no_network=True)  # a document is not to be trusted
RELATION = qn("r:embed")


def read_document(path: str | Path) -> Document:
    """The model of a .docx; raises UserError where the file is none, or is too large to be one of ours."""
    try:
        with zipfile.ZipFile(path) as parts:
            size = sum(part.file_size for part in parts.infolist())
        if size > MOST_BYTES:
            raise UserError(f"{path}: unpacks to {size:,} bytes; more than {MOST_BYTES:,} are not read")
        return Reader(docx.Document(str(path))).document()
    except UserError:
        raise
    except Exception as error:  # a damaged file can fail at any place of any of the libraries that read it
        raise UserError(f"{path}: not a readable .docx ({type(error).__name__}: {error})") from None


class Reader:
    """One document's parts while it is read."""

    def __init__(self, source) -> None:
        self.source = source
        self.part = source.part
        self.styles = Styles(self.xml("styles"), self.xml("numbering"))
        self.comments = {get(c, "id"): plain_text(c) for c in iterate(self.xml("comments"), "comment")}
        self.notes = {
            kind: {get(n, "id"): plain_text(n).strip() for n in iterate(self.xml(f"{kind}s"), kind)}
            for kind in ("footnote", "endnote")
        }

    def xml(self, kind: str):
        """The root of the main document's part of a kind ("styles", "comments", …), or None."""
        for relation in self.part.rels.values():
            if relation.reltype.endswith(f"/{kind}") and not relation.is_external:
                return etree.fromstring(relation.target_part.blob, PARSER)
        return None

    def document(self) -> Document:
        body = self.source.element.body
        blocks: list[Paragraph | Table] = []
        sections: list[Section] = []
        for element in unwrapped(body):
            if element.tag == qn("w:tbl"):
                blocks.append(self.table(element))
            elif element.tag == qn("w:p"):
                blocks.append(self.paragraph(element, self.part))
                if child(element, "pPr/sectPr") is not None:
                    sections.append(self.section(child(element, "pPr/sectPr"), len(blocks) - 1))
        sections.append(self.section(child(body, "sectPr"), None))
        page_breaks(blocks)
        settings = self.xml("settings")
        return Document(
            blocks=blocks,
            sections=sections,
            track_changes=is_on(child(settings, "trackRevisions")),
            protection=get(child(settings, "documentProtection"), "edit", ""),
            background=get(child(self.source.element, "background"), "color", ""),
            title=self.source.core_properties.title or "",
        )

    def paragraph(self, element, part) -> Paragraph:
        """A <w:p> of `part` (the body, a header, …)."""
        properties = child(element, "pPr")
        style_id = get(child(properties, "pStyle"), "val", self.styles.default_paragraph)
        content = Content(self, part, style_id)
        content.walk(element)
        paragraph = Paragraph("".join(content.text), self.styles.name(style_id), content.formats, content.all_marks())
        for style in self.styles.chain(style_id):
            self.apply(paragraph, child(style, "pPr"))
        if properties is not None:
            self.apply(paragraph, properties)
        return paragraph

    def apply(self, paragraph: Paragraph, properties) -> None:
        """Sets what a <w:pPr> says."""
        for item in () if properties is None else properties:
            name = etree.QName(item).localname
            value = get(item, "val")
            if name == "numPr":
                self.apply_list(paragraph, item)
            elif name == "jc":
                paragraph.alignment = ALIGNMENTS.get(value, value)
            elif name == "spacing":
                paragraph.before = number(get(item, "before"), paragraph.before)
                paragraph.after = number(get(item, "after"), paragraph.after)
                if get(item, "line") is not None:
                    paragraph.line = (get(item, "lineRule", "auto"), number(get(item, "line")))
            elif name == "outlineLvl":
                paragraph.outline = number(value, 9)
            elif name in SWITCHES:
                setattr(paragraph, SWITCHES[name], is_on(item))
            elif name == "shd":
                paragraph.background = shading(item)
            elif name == "pBdr":
                paragraph.borders = border_lines(item)
            elif name == "tabs":
                stops = ((number(get(t, "pos")), get(t, "val")) for t in item)
                paragraph.tabs = tuple(sorted(stop for stop in stops if stop[1] != "clear"))
        apply_indents(paragraph, child(properties, "ind"))  # they win over the list's, wherever they stand

    def apply_list(self, paragraph: Paragraph, properties) -> None:
        level = number(get(child(properties, "ilvl"), "val"), paragraph.list_level)
        found = self.styles.levels.get((get(child(properties, "numId"), "val"), level))
        paragraph.list_kind, paragraph.list_label = (found.kind, found.label) if found else ("", "")
        paragraph.list_level = level if paragraph.list_kind else 0
        apply_indents(paragraph, found.indents if found else None)

    def table(self, element) -> Table:
        rows = []
        for row in element.iter(qn("w:tr")):
            cells = []
            for cell in row.iter(qn("w:tc")):
                properties = child(cell, "tcPr")
                merge = child(properties, "vMerge")
                cells.append(
                    Cell(
                        [self.paragraph(p, self.part) for p in cell.iter(qn("w:p"))],
                        span=number(get(child(properties, "gridSpan"), "val"), 1),
                        merged="" if merge is None else get(merge, "val", "continue"),
                        vertical=get(child(properties, "vAlign"), "val", "top"),
                        background=shading(child(properties, "shd")),
                        borders=border_lines(child(properties, "tcBorders")),
                    )
                )
            rows.append(cells)
        widths = tuple(number(get(column, "w")) for column in iterate(child(element, "tblGrid"), "gridCol"))
        alignment = get(child(element, "tblPr/jc"), "val", "left")
        borders = child(element, "tblPr/tblBorders")
        for style in self.styles.chain(get(child(element, "tblPr/tblStyle"), "val")):
            borders = child(style, "tblPr/tblBorders") if borders is None else borders
        return Table(rows, widths, ALIGNMENTS.get(alignment, alignment), border_lines(borders))

    def section(self, properties, end: int | None) -> Section:
        if properties is None:
            return Section(end=end)
        size, margins, columns = child(properties, "pgSz"), child(properties, "pgMar"), child(properties, "cols")
        pages = child(properties, "pgNumType")
        section = Section(
            end=end,
            start=get(child(properties, "type"), "val", "nextPage"),
            width=number(get(size, "w"), 12240),
            height=number(get(size, "h"), 15840),
            columns=max(number(get(columns, "num"), 1), 1),
            borders=border_lines(child(properties, "pgBorders")),
            line_numbers=child(properties, "lnNumType") is not None,
            vertical=get(child(properties, "vAlign"), "val", "top"),
            numbering=(get(pages, "fmt", "decimal"), get(pages, "start", "")),
            first_page=is_on(child(properties, "titlePg")),
            **{side: number(get(margins, side), 1440) for side in ("top", "bottom", "left", "right")},
        )
        section.landscape = section.width > section.height
        for kind in ("header", "footer"):
            for reference in properties.iter(qn(f"w:{kind}Reference")):
                part = self.part.related_parts[reference.get(qn("r:id"))]
                root = etree.fromstring(part.blob, PARSER)
                if get(reference, "type", "default") == "default":
                    setattr(section, kind, tuple(self.paragraph(p, part) for p in root.iter(qn("w:p"))))
                elif plain_text(root).strip():
                    section.other_headers += ((kind, get(reference, "type"), plain_text(root).strip()),)
        return section


class Content:
    """The text of a paragraph as it is collected: characters, their formats, marks."""

    def __init__(self, reader: Reader, part, style_id: str) -> None:
        self.reader, self.part, self.style_id = reader, part, style_id
        self.text: list[str] = []
        self.formats: list[Format] = []
        self.marks: list[Mark] = []
        self.link, self.change = "", ""
        self.open: dict[tuple[str, str], tuple[int, str]] = {}  # bookmarks and comments that have begun
        self.instructions: list[str] = []  # of fields that have begun
        self.results: list[bool] = []  # whether such a field's result has begun

    def walk(self, element) -> None:
        for item in element:
            name = etree.QName(item).localname if isinstance(item.tag, str) else ""
            if name == "r":
                self.run(item)
            elif name in ("hyperlink", "ins", "del", "moveFrom", "moveTo"):
                self.wrapped(item, name)
            elif name == "fldSimple":
                self.field(get(item, "instr", ""))
            elif name in ("smartTag", "sdt", "sdtContent", "dir", "bdo"):
                self.walk(item)
            elif name in ("bookmarkStart", "commentRangeStart"):
                kind = "bookmark" if name == "bookmarkStart" else "comment"
                content = get(item, "name", "") if kind == "bookmark" else self.reader.comments.get(get(item, "id"), "")
                self.open[kind, get(item, "id")] = (len(self.text), content)
            elif name in ("bookmarkEnd", "commentRangeEnd"):
                self.close("bookmark" if name == "bookmarkEnd" else "comment", get(item, "id"))

    def wrapped(self, item, name: str) -> None:
        """A hyperlink or a tracked change around runs."""
        link, change = self.link, self.change
        if name == "hyperlink":
            relation = item.get(qn("r:id"))
            self.link = (
                self.part.rels[relation].target_ref if relation in self.part.rels else f"#{get(item, 'anchor', '')}"
            )
        else:
            self.change = "insertion" if name in ("ins", "moveTo") else "deletion"
        self.walk(item)
        self.link, self.change = link, change

    def run(self, run) -> None:
        look = self.reader.styles.character_format(self.style_id, child(run, "rPr"))
        look = replace(look, link=self.link, change=self.change)
        for item in run:
            name = etree.QName(item).localname if isinstance(item.tag, str) else ""
            if name == "fldChar":
                self.field_character(get(item, "fldCharType"))
            elif name == "instrText" and self.instructions:
                self.instructions[-1] += item.text or ""
            elif name in ("t", "delText"):
                self.add(item.text or "", look)
            elif name == "tab":
                self.add("\t", look)
            elif name in ("noBreakHyphen", "softHyphen"):
                self.add("\u2011" if name == "noBreakHyphen" else "\u00ad", look)
            elif (name == "br" and get(item, "type", "textWrapping") == "textWrapping") or name == "cr":
                self.add("\n", look)
            elif name == "br":
                self.mark("break", get(item, "type"))
            elif name in ("footnoteReference", "endnoteReference"):
                kind = name.removesuffix("Reference")
                self.mark(kind, self.reader.notes[kind].get(get(item, "id"), ""))
            elif name == "commentReference" and ("comment", get(item, "id")) not in self.open:
                if not any(mark.kind == "comment" for mark in self.marks):
                    self.mark("comment", self.reader.comments.get(get(item, "id"), ""))
            elif name in ("drawing", "pict", "object", "AlternateContent"):
                self.drawing(item)

    def add(self, text: str, look: Format) -> None:
        if any(self.results):  # a field's result is no text of the document: it changes by itself
            return
        self.text.extend(text)
        self.formats.extend([look] * len(text))

    def mark(self, kind: str, content: object) -> None:
        self.marks.append(Mark(kind, len(self.text), len(self.text), content))

    def close(self, kind: str, key: str) -> None:
        start, content = self.open.pop((kind, key), (len(self.text), ""))
        if not content.startswith("_"):  # bookmarks that programs set for themselves
            self.marks.append(Mark(kind, start, len(self.text), content))

    def field(self, instruction: str) -> None:
        self.mark("field", field_kind(instruction))

    def field_character(self, kind: str | None) -> None:
        if kind == "begin":
            self.instructions.append("")
            self.results.append(False)
        elif kind == "separate" and self.instructions:
            instruction = self.instructions[-1]
            if field_kind(instruction) == "HYPERLINK":
                target = re.search(r'"([^"]*)"', instruction)
                self.link = target[1] if target else ""
            else:
                self.field(instruction)
                self.results[-1] = True
        elif kind == "end" and self.instructions:
            instruction = self.instructions.pop()
            if field_kind(instruction) == "HYPERLINK":
                self.link = ""
            elif not self.results[-1]:
                self.field(instruction)
            self.results.pop()

    def drawing(self, item) -> None:
        """A picture by its content and size, anything else drawn by its text and size."""
        extent = next((e for e in item.iter() if str(e.tag).endswith("}extent")), None)
        size = tuple(round(int(extent.get(side)) / 12700) for side in ("cx", "cy")) if extent is not None else ()
        picture = next((blip.get(RELATION) for blip in item.iterfind(".//a:blip", NAMESPACES)), None)
        if picture in self.part.related_parts:
            digest = hashlib.sha256(self.part.related_parts[picture].blob).hexdigest()[:12]
            anchored = any(str(element.tag).endswith("}anchor") for element in item.iter())
            self.mark("image", (digest, *size, "anchored" if anchored else "in line"))
        else:
            self.mark("shape", (plain_text(item), *size))

    def all_marks(self) -> list[Mark]:
        for kind, key in list(self.open):  # they end in another paragraph
            self.close(kind, key)
        return sorted(self.marks, key=lambda mark: (mark.start, mark.kind, str(mark.content)))


def field_kind(instruction: str) -> str:
    """ "PAGE", "DATE", …: the first word of a field's instruction."""
    return instruction.split()[0].upper() if instruction.split() else ""


def apply_indents(paragraph: Paragraph, indents) -> None:
    if indents is None:
        return
    paragraph.left = number(get(indents, "left", get(indents, "start")), paragraph.left)
    paragraph.right = number(get(indents, "right", get(indents, "end")), paragraph.right)
    if get(indents, "hanging") is not None:
        paragraph.first = -number(get(indents, "hanging"))
    paragraph.first = number(get(indents, "firstLine"), paragraph.first)
    if get(indents, "firstLine") == "0" and number(get(indents, "hanging")):
        paragraph.first = -number(get(indents, "hanging"))


def page_breaks(blocks: list) -> None:
    """Breaks at a paragraph's beginning or end become `page_break` of the paragraph that they push to a new page."""
    for index, block in enumerate(blocks):
        if not isinstance(block, Paragraph):
            continue
        for mark in [mark for mark in block.marks if mark.kind == "break" and mark.content == "page"]:
            following = blocks[index + 1] if index + 1 < len(blocks) else None
            if mark.start == len(block.text) and isinstance(following, Paragraph):
                following.page_break = True
            elif mark.start == 0:
                block.page_break = True
            else:
                continue
            block.marks.remove(mark)


def plain_text(element) -> str:
    """The text of an element's paragraphs, a line each."""
    paragraphs = element.iter(qn("w:p"))
    return "\n".join("".join(t.text or "" for t in p.iter(qn("w:t"), qn("w:delText"))) for p in paragraphs)


def iterate(element, name: str):
    return () if element is None else element.iter(qn(f"w:{name}"))


def unwrapped(body):
    """The body's elements; content controls (a table of contents, …) give what they hold."""
    for element in body:
        if element.tag == qn("w:sdt"):
            content = child(element, "sdtContent")
            yield from () if content is None else unwrapped(content)
        else:
            yield element
