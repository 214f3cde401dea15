"""What changed in a document, as its XML says it: the paper's canvas_diff."""

import difflib
import zipfile
from collections.abc import Iterator
from pathlib import Path

from lxml import etree

LIMIT = 6000  # characters shown to a judge
# Written anew at every save, or no part of what a user sees.
IGNORED_PARTS = ("docProps/", "_rels/", "/_rels/", "theme/", "fontTable", "webSettings", "[Content_Types]", "META-INF/")
IGNORED_ATTRIBUTES = ("rsid", "paraId", "textId")
MOST_PART_BYTES = 50_000_000  # a part that unpacks to more is not read


def canvas_diff(before: Path, after: Path, limit: int = LIMIT) -> str:
    """A unified diff of the XML parts of two documents (.docx, .odt, .xlsx …), cut at `limit` characters; "" for none.

    Raises OSError or zipfile.BadZipFile for a file that is no such document.
    """
    old, new = _parts(before), _parts(after)
    lines: list[str] = []
    for name in sorted({*old, *new}, key=lambda name: ("document" not in name, name)):
        changed = difflib.unified_diff(old.get(name, []), new.get(name, []), name, name, n=3, lineterm="")
        lines += [line for line in changed if not line.startswith("+++")]
    text = "\n".join(lines)
    return text if len(text) <= limit else f"{text[:limit]}\n… ({len(text) - limit} more characters)"


def _parts(path: Path) -> dict[str, list[str]]:
    with zipfile.ZipFile(path) as archive:
        return {
            entry.filename: _lines(archive.read(entry))
            for entry in archive.infolist()
            if entry.filename.endswith(".xml")
            and entry.file_size <= MOST_PART_BYTES
            and not any(part in entry.filename for part in IGNORED_PARTS)
        }


def _lines(data: bytes) -> list[str]:
    """An element a line, indented by depth."""
    try:
        root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError:
        return [f"(not XML, {len(data)} bytes)"]
    return list(_element(root, 0))


def _element(node, depth: int) -> Iterator[str]:
    if not isinstance(node.tag, str):  # a comment or a processing instruction
        return
    attributes = "".join(
        f' {etree.QName(key).localname}="{value}"'
        for key, value in node.attrib.items()
        if not etree.QName(key).localname.startswith(IGNORED_ATTRIBUTES)
    )
    text = (node.text or "").strip()
    yield f"{' ' * depth}<{etree.QName(node).localname}{attributes}>{text}"
    for child in node:
        yield from _element(child, depth + 1)
        if (child.tail or "").strip():
            yield f"{' ' * (depth + 1)}{child.tail.strip()}"
