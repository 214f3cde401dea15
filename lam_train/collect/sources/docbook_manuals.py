"""Packaged manuals in DocBook (`usr/share/help/C/*/*.docbook` or `.xml`): MATE, GnuCash, Gnumeric, …

One file often holds a whole manual, so its chapters and first sections are the pages. Only English ("C") is read.
"""

from collections.abc import Iterator
from pathlib import Path

from lxml import etree

from lam_train.collect.document import ARROW, Markup, clean, name_of
from lam_train.collect.pairing import Page, pairs_of
from lam_train.collect.raw import RawPair
from lam_train.collect.verbs import word_set
from lam_train.collect.xml_entities import entities_in, parse_xml

_DIVISIONS = word_set("""
    book part article chapter appendix preface section sect1 sect2 sect3 sect4 sect5 simplesect refsect1 refsect2
""")
_SKIPPED = word_set("""
    note tip warning important caution figure informalfigure mediaobject inlinemediaobject screenshot table
    informaltable indexterm footnote remark programlisting screen bookinfo articleinfo chapterinfo sectioninfo
    sect1info legalnotice glossary bibliography index shortcut literallayout revhistory title titleabbrev subtitle
    example informalexample sidebar
""")


def _heading(element: etree._Element) -> int:
    """The number of divisions around a title, the book itself not counted."""
    parent = element.getparent()
    if name_of(element) != "title" or parent is None:
        return 0
    if name_of(parent) in ("info", "bookinfo", "articleinfo"):
        parent = parent.getparent()
    if name_of(parent) not in _DIVISIONS:
        return 0
    depth = sum(name_of(above) in _DIVISIONS for above in parent.iterancestors())
    return depth + (0 if _in_book(parent) else 1) or 1


def _in_book(element: etree._Element) -> bool:
    return any(name_of(above) in ("book", "article") for above in (element, *element.iterancestors()))


def _is_skipped(element: etree._Element) -> bool:
    name = name_of(element)
    return name in _SKIPPED and not (name == "title" and _heading(element))


def _inline(element: etree._Element) -> str | None:
    name = name_of(element)
    inner = [child for child in element if name_of(child) and not DOCBOOK.skips(child)]
    if name == "menuchoice" and inner:
        return ARROW.join(clean(DOCBOOK.text(child)) for child in inner)
    if name == "keycombo" and inner:
        return "+".join(clean(DOCBOOK.text(child)) for child in inner)
    if name == "xref":
        return _title_of(element)
    if name == "quote":
        return f"“{clean((element.text or '') + ''.join(DOCBOOK.text(child) + (child.tail or '') for child in inner))}”"
    return None


def _title_of(xref: etree._Element) -> str:
    """The title of what an <xref> points to, as a reader sees it."""
    for target in xref.getroottree().iterfind(f".//*[@id='{xref.get('linkend', '')}']"):
        title = target.find("{*}title")
        if title is not None:
            return f"“{clean(''.join(title.itertext()))}”"
    return ""


DOCBOOK = Markup(
    ordered=frozenset({"procedure", "orderedlist", "substeps"}),
    bullets=frozenset({"itemizedlist", "simplelist", "variablelist", "stepalternatives"}),
    items=frozenset({"step", "listitem", "member"}),
    paragraphs=frozenset({"para", "simpara"}),
    skipped=frozenset(),
    is_skipped=_is_skipped,
    heading=_heading,
    inline=_inline,
)


def read(source: str, folder: Path, app: str, license: str) -> Iterator[RawPair]:
    """All pairs of the unpacked package, file after file."""
    seen: set[bytes] = set()
    for root in (
        folder / "usr/share/help/C",
        folder / "usr/share/gnome/help",
        folder / "usr/share/doc/HTML/en",
        folder / "usr/share/doc",
    ):
        for path in sorted([*root.rglob("*.docbook"), *root.rglob("*.xml")]):
            content = path.read_bytes()
            if content in seen or path.name == "legal.xml":  # the same file under two roots
                continue
            seen.add(content)
            relative = path.relative_to(root).with_suffix("").as_posix()
            page = Page(source, relative, app, license, whole_manual=True)
            yield from read_page(content, page, _names_of(app) | entities_in(path.parent))


def _names_of(app: str) -> dict[str, str]:
    """The entities with which manuals name their application, for those whose declarations are elsewhere."""
    names = ("app", "appname", "application", "applet", "kappname", app.lower().replace(" ", ""))
    return dict.fromkeys(names, app)


def read_page(content: bytes, page: Page, entities: dict[str, str] | None = None) -> Iterator[RawPair]:
    """The pairs of one file; none if it cannot be parsed."""
    root = parse_xml(content, entities or {})
    if root is not None:
        yield from pairs_of(DOCBOOK.blocks(root), page)
