"""GNOME user docs and every packaged application help in Mallard (`usr/share/help/C/*/*.page`), a page a file."""

from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from lam_train.collect.document import ARROW, Markup, clean, name_of
from lam_train.collect.pairing import Page, pairs_of
from lam_train.collect.raw import RawPair
from lam_train.collect.verbs import word_set
from lam_train.collect.xml_entities import entities_in, parse_xml

_APPS = {"gnome-help": "GNOME desktop", "system-admin-guide": "GNOME desktop", "mate-user-guide": "MATE desktop"}
_SKIPPED = word_set("info note figure media screen table desc cite comment links tabs")


def _heading(element: etree._Element) -> int:
    """A page's title is level 1, a section's is one more for each section around it."""
    parent = element.getparent()
    if name_of(element) != "title" or parent is None or name_of(parent) not in ("page", "section"):
        return 0
    return 1 + sum(name_of(above) == "section" for above in element.iterancestors())


def _inline(element: etree._Element) -> str | None:
    name = name_of(element)
    if name == "guiseq":
        return ARROW.join(clean(MALLARD.text(child)) for child in element if name_of(child))
    if name == "keyseq":
        joint = " " if element.get("type") == "sequence" else "+"
        return joint.join(clean(MALLARD.text(child)) for child in element if name_of(child))
    return None


def _is_skipped(element: etree._Element) -> bool:
    """A listing (`code` outside a paragraph), and content for a phone."""
    parent = element.getparent()
    if name_of(element) == "code" and parent is not None and name_of(parent) in ("page", "section", "item", "example"):
        return True
    return any(key.endswith("}if") or key == "if" for key in element.attrib) and "target:mobile" in "".join(
        element.attrib.values()
    )


MALLARD = Markup(
    ordered=frozenset({"steps"}),
    bullets=frozenset({"list", "terms", "tree"}),
    items=frozenset({"item"}),
    paragraphs=frozenset({"p"}),
    skipped=_SKIPPED,
    is_skipped=_is_skipped,
    heading=_heading,
    inline=_inline,
)


def read(source: str, folder: Path, app: str, license: str) -> Iterator[RawPair]:
    """All pairs of the unpacked package, page after page, in English ("C")."""
    root = folder / "usr/share/help/C"
    for path in sorted(root.rglob("*.page")):
        relative = path.relative_to(root).with_suffix("").as_posix()
        document = relative.split("/")[0]
        page = Page(source, relative, _APPS.get(document, app), license)
        yield from read_page(path.read_bytes(), page, entities_in(path.parent))


def read_page(content: bytes, page: Page, entities: dict[str, str] | None = None) -> Iterator[RawPair]:
    """The pairs of one page; none if it cannot be parsed."""
    root = parse_xml(content, entities or {})
    if root is not None:
        yield from pairs_of(MALLARD.blocks(root), page)
