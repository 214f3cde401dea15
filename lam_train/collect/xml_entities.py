"""XML with entities of its own: &app; is resolved from the files' declarations, and nothing is fetched."""

import html.entities
import re
from functools import lru_cache
from pathlib import Path

from lxml import etree

_DECLARATION = re.compile(r"<!ENTITY\s+([\w.:-]+)\s+(?:\"([^\"]*)\"|'([^']*)')\s*>")
_DOCTYPE = re.compile(rb"<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL)
_REFERENCE = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);|#)([\w.:-]+);")
_MOST = 10_000


@lru_cache(maxsize=64)
def entities_in(folder: Path) -> dict[str, str]:
    """The text entities that the files of a folder declare."""
    found: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in (".docbook", ".xml", ".ent", ".page", ".dtd") and path.is_file():
            found |= declared(path.read_bytes()[:200_000].decode("utf-8", errors="replace"))
    return found


def declared(text: str) -> dict[str, str]:
    """The text entities declared in `text` (entities that name a file are left out)."""
    return {name: double or single for name, double, single in _DECLARATION.findall(text)}


def parse_xml(content: bytes, entities: dict[str, str]) -> etree._Element | None:
    """The root element, with entities resolved; None if there is no XML."""
    text = content.decode("utf-8", errors="replace")
    known = entities | declared(text[:200_000])
    text = _DOCTYPE.sub(b"", text.encode("utf-8"), count=1).decode("utf-8")
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    for _ in range(3):  # an entity may hold another
        text = _REFERENCE.sub(lambda match: _resolve(match.group(1), known), text)
    parser = etree.XMLParser(
        recover=True, no_network=True, resolve_entities=False, remove_comments=True, remove_pis=True
    )
    try:
        return etree.fromstring(text.encode("utf-8"), parser)
    except etree.XMLSyntaxError:
        return None


def _resolve(name: str, known: dict[str, str]) -> str:
    if name in known:
        return known[name][:_MOST]
    character = html.entities.html5.get(f"{name};")
    if character is not None:
        return character
    return ""  # a chapter's file: it is read by itself
