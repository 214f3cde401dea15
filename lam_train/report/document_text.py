"""A .docx as lines of text that show formatting too, so that two versions can be compared line by line."""

import zipfile
from pathlib import Path

from lxml import etree

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
# Written anew at every save, or without a meaning for a reader.
SKIPPED = ("lang", "rsid", "paraId", "textId", "proofErr", "lastRenderedPageBreak", "bookmarkStart._Toc")
PARTS = ("word/document.xml", "word/footnotes.xml", "word/endnotes.xml", "word/comments.xml")


def document_lines(path: Path) -> list[str]:
    """A line a paragraph, table edge and section, in order; then headers, footers, notes and comments.

    `Heading 2 {jc=center} Rates and ⟨b⟩fees⟨/b⟩`: the paragraph's style, its own formatting, the text, and the
    formatting of characters in angle brackets. Raises OSError, zipfile.BadZipFile or ValueError for a bad file.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    lines: list[str] = []
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        extra = sorted(name for name in names if name.startswith(("word/header", "word/footer")))
        for part in [*PARTS, *extra]:
            if part not in names:
                continue
            try:
                root = etree.fromstring(archive.read(part), parser)
            except etree.XMLSyntaxError as error:
                raise ValueError(f"{path}: {part} is no XML: {error}") from None
            found = list(_block_lines(root))
            if part != PARTS[0]:
                kind = part.removeprefix("word/").removesuffix(".xml")
                found = [f"[{kind}] {line}" for line in found if line.strip()]
            lines += found
    return lines


def _block_lines(node, indent: str = ""):
    for child in node:
        tag = _name(child)
        if tag == "p":
            yield indent + _paragraph(child)
        elif tag == "tbl":
            yield f"{indent}[table {_settings(child.find(W + 'tblPr'))}]"
            for row in child.findall(W + "tr"):
                yield f"{indent}  [row]"
                for cell in row.findall(W + "tc"):
                    yield from _block_lines(cell, indent + "    ")
            yield f"{indent}[end of table]"
        elif tag == "sectPr":
            yield f"[section {_settings(child)}]"
        elif tag in ("body", "sdt", "sdtContent", "footnote", "endnote", "comment"):
            yield from _block_lines(child, indent)


def _paragraph(node) -> str:
    properties = node.find(W + "pPr")
    style = "" if properties is None else _value(properties.find(W + "pStyle"))
    own = _settings(properties, without=("pStyle", "rPr", "sectPr"))
    text = "".join(_inline(node))
    line = " ".join(filter(None, [style, f"{{{own}}}" if own else "", text]))
    section = None if properties is None else properties.find(W + "sectPr")
    return line if section is None else f"{line} [section {_settings(section)}]"


def _inline(node):
    """Text with ⟨formatting⟩ around what has it; equal neighbours are joined."""
    pieces: list[tuple[str, str]] = []
    for piece in _pieces(node, ""):
        if pieces and pieces[-1][0] == piece[0]:
            pieces[-1] = (piece[0], pieces[-1][1] + piece[1])
        else:
            pieces.append(piece)
    return (f"⟨{form}⟩{text}⟨/⟩" if form else text for form, text in pieces if text)


def _pieces(node, around: str):
    """(formatting, text) of every run below."""
    for child in node:
        tag = _name(child)
        if tag == "r":
            form = " ".join(filter(None, [around, _settings(child.find(W + "rPr"))]))
            text = "".join(map(_run_text, child))
            yield form, text
        elif tag in ("ins", "del", "hyperlink", "moveFrom", "moveTo"):
            yield from _pieces(
                child, " ".join(filter(None, [around, {"ins": "inserted", "del": "deleted"}.get(tag, tag)]))
            )
        elif tag == "bookmarkStart" and not (child.get(W + "name") or "").startswith("_"):
            yield around, f"[bookmark {child.get(W + 'name')}]"
        elif tag in ("smartTag", "sdt", "sdtContent", "fldSimple"):
            yield from _pieces(child, around)


def _run_text(node) -> str:
    tag = _name(node)
    if tag in ("t", "delText"):
        return node.text or ""
    if tag == "instrText":
        return f"[field {(node.text or '').strip()}]"
    shown = {
        "tab": "[tab]",
        "br": f"[{node.get(W + 'type') or 'line'} break]",
        "drawing": "[picture]",
        "footnoteReference": "[footnote]",
        "endnoteReference": "[endnote]",
        "commentReference": "[comment]",
        "sym": "[symbol]",
    }
    return shown.get(tag, "")


def _settings(node, without: tuple[str, ...] = ()) -> str:
    """`jc=center spacing.before=240 b`: properties as short words, in the file's order."""
    if node is None:
        return ""
    words = []
    for child in node:
        tag = _name(child)
        if tag in without or tag in SKIPPED or not isinstance(child.tag, str):
            continue
        attributes = {etree.QName(key).localname: value for key, value in child.attrib.items()}
        attributes = {key: value for key, value in attributes.items() if not key.startswith("rsid") and key != "id"}
        nested = _settings(child)
        if not attributes and not nested:
            words.append(tag)
        elif set(attributes) == {"val"}:
            words.append(f"{tag}={attributes['val']}")
        else:
            words += [f"{tag}.{key}={value}" for key, value in attributes.items()]
        if nested:
            words.append(f"{tag}({nested})")
    return " ".join(words)


def _value(node) -> str:
    return "" if node is None else node.get(W + "val") or ""


def _name(node) -> str:
    return etree.QName(node).localname if isinstance(node.tag, str) else ""
