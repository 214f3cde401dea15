"""Other packaged manuals in HTML (GIMP, KeePassXC, Dia, Rhythmbox, …)."""

import re
from collections.abc import Iterator
from pathlib import Path

from lxml import etree, html

from lam_train.collect.document import ARROW, Markup, clean, name_of
from lam_train.collect.pairing import Page, pairs_of
from lam_train.collect.raw import RawPair

_SKIPPED_CLASSES = {
    "note",
    "tip",
    "warning",
    "important",
    "caution",
    "admonitionblock",
    "footnote",
    "navheader",
    "navfooter",
    "toc",
    "glossary",
    "caption",
    "figure",
    "mediaobject",
    "imageblock",
    "bibliography",
}
_ROOTS = re.compile(r"usr/share/(?:doc|gimp|[^/]+)/")


def _heading(element: etree._Element) -> int:
    name = name_of(element)
    return int(name[1]) if re.fullmatch(r"h[1-6]", name) else 0


def _is_skipped(element: etree._Element) -> bool:
    return bool(set((element.get("class") or "").split()) & _SKIPPED_CLASSES)


def _inline(element: etree._Element) -> str | None:
    """Menu paths (DocBook's and AsciiDoc's HTML) and key combinations."""
    classes = set((element.get("class") or "").split())
    if classes & {"menuseq", "menuchoice"}:
        return re.sub(r"\s*[›→>]\s*", ARROW, "".join(element.itertext()))
    if "keyseq" in classes:
        return re.sub(r"\s*\+\s*", "+", "".join(element.itertext()))
    return None


HTML = Markup(
    ordered=frozenset({"ol"}),
    bullets=frozenset({"ul"}),
    items=frozenset({"li", "dd", "td"}),
    paragraphs=frozenset({"p"}),
    skipped=frozenset(
        {"script", "style", "nav", "header", "footer", "pre", "img", "figure", "head", "button", "table"}
    ),
    is_skipped=_is_skipped,
    heading=_heading,
    inline=_inline,
)


def read(source: str, folder: Path, app: str, license: str, whole_manual: bool = False) -> Iterator[RawPair]:
    """All pairs of the unpacked package, file after file, in English."""
    for path in sorted(folder.rglob("*.htm*")):
        relative = path.relative_to(folder).as_posix()
        if path.suffix in (".html", ".htm") and not _OTHER_LANGUAGE.search(relative):
            short = re.sub(r"^usr/share/(?:doc/)?", "", relative).rsplit(".", 1)[0]
            yield from read_page(path.read_bytes(), Page(source, short, app, license, whole_manual))


_OTHER_LANGUAGE = re.compile(  # and Wireshark's guide for developers
    r"/wsdg_|/(?:ar|bg|bn|br|ca|cs|da|de|el|es|et|eu|fa|fi|fr|gl|he|hr|hu|id|it|ja|ko|lt|nb|nl|nn|no|oc|pl|pt|pt[-_]BR|pt_PT|ro|ru|"
    r"sk|sl|sr|sv|ta|tr|uk|vi|zh[^/]*)/",
    re.IGNORECASE,
)


def read_page(content: bytes, page: Page) -> Iterator[RawPair]:
    """The pairs of one page; none if it cannot be parsed."""
    if not content.strip():
        return
    try:
        root = html.fromstring(content, parser=html.HTMLParser(encoding=_encoding(content)))
    except (etree.ParserError, etree.XMLSyntaxError, LookupError):
        return
    join_lists(root)
    yield from pairs_of(HTML.blocks(root), page)


def join_lists(root: etree._Element) -> None:
    """Mends lists that a page cuts in pieces: a list after "Do one of the following:", and `start` above 1."""
    for ordered in list(root.iter("ol")):
        if ordered.getparent() is None or len(ordered) == 0:
            continue
        following = ordered.getnext()
        while following is not None and not _ends_list(following):
            after = following.getnext()
            if following.tag == "ol" and (following.get("start") or "1") != "1":
                if following.get("start") != str(1 + sum(item.tag == "li" for item in ordered)):
                    break
                ordered.extend(list(following))
                following.getparent().remove(following)
            elif following.tag in ("ul", "ol"):
                announced = clean("".join(ordered[-1].itertext()))
                if announced.endswith(":"):
                    following.tag = "ul" if _CHOICE.search(announced) else following.tag
                    ordered[-1].append(following)
                elif following.tag == "ol":
                    break
            following = after


_CHOICE = re.compile(r"\b(?:one of|either|any of)\b[^.]*:$")


def _ends_list(element: etree._Element) -> bool:
    return bool(re.fullmatch(r"h[1-6]|section|div", name_of(element))) and not _is_skipped(element)


def _encoding(content: bytes) -> str:
    match = re.search(rb"charset=[\"']?([\w-]+)", content[:2000])
    return match.group(1).decode("ascii") if match else "utf-8"
