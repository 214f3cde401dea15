"""LibreOffice Help (Debian's libreoffice-help-*): HTML with HowTo markup, a page a file.

Its traps: a `switch` holds variants of a text by system and by application, of which a reader sees one;
menus are written "Format - Page Style"; "To access this command" boxes hold menu paths (kind "menu_path").
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lxml import etree, html

from lam_train.collect.document import ARROW, Block, Markup, clean
from lam_train.collect.pairing import Page, pairs_of
from lam_train.collect.raw import RawPair
from lam_train.collect.sources.html_manuals import HTML, join_lists
from lam_train.collect.verbs import is_instruction

ROOT = "usr/share/libreoffice/help/en-US/text"
APPS = {
    "swriter": "LibreOffice Writer",
    "scalc": "LibreOffice Calc",
    "simpress": "LibreOffice Impress",
    "sdraw": "LibreOffice Draw",
    "smath": "LibreOffice Math",
    "schart": "LibreOffice Chart",
    "sdatabase": "LibreOffice Base",
    "sbasic": "LibreOffice Basic",
    "shared": "LibreOffice",
}
_SYSTEMS = {"MAC", "WIN", "UNIX"}
_MODULES = {
    "WRITER": "swriter",
    "CALC": "scalc",
    "IMPRESS": "simpress",
    "DRAW": "sdraw",
    "MATH": "smath",
    "CHART": "schart",
    "BASE": "sdatabase",
    "BASIC": "sbasic",
}
_SKIPPED = {"howtoget", "note", "tip", "warning", "relatedtopics", "related", "noteicon", "iconcell"}
_MENU = {"menuitem", "emph"}
_DASH = re.compile(r"(?:(?<=[\w.)])|(?<=^))\s+[-–]\s+(?=\w)")


class HelpPage:
    """One page, read as on Linux in its own application."""

    def __init__(self, module: str) -> None:
        self.module = module
        self.markup: Markup = replace(HTML, is_skipped=self._is_skipped, inline=self._inline)

    def _is_skipped(self, element: etree._Element) -> bool:
        classes = set((element.get("class") or "").split())
        return bool(classes & _SKIPPED) or not self._is_shown(element, classes)

    def _is_shown(self, element: etree._Element, classes: set[str]) -> bool:
        """Of the variants in a switch, the one for Linux, or for the page's application, else the default."""
        parent = element.getparent()
        if parent is None or not {"switch", "switchinline"} & set((parent.get("class") or "").split()):
            return "MAC" not in classes
        variants = [set((other.get("class") or "").split()) for other in parent]
        mine = {name for name, module in _MODULES.items() if module == self.module} | {"UNIX"}
        for wanted in (
            lambda names: names & mine,
            lambda names: not names & (_SYSTEMS | set(_MODULES)),
            lambda names: not names & {"MAC"},
        ):
            shown = [names for names in variants if wanted(names)]
            if shown:
                return classes == shown[0] and parent.index(element) == variants.index(shown[0])
        return False

    def _inline(self, element: etree._Element) -> str | None:
        classes = set((element.get("class") or "").split())
        if not classes & _MENU:
            return None
        inner = (element.text or "") + "".join(
            ("" if self._is_skipped(child) else self.markup.text(child)) + (child.tail or "") for child in element
        )
        return _DASH.sub(ARROW, inner)

    def access_paths(self, root: etree._Element) -> Iterator[Block]:
        """The menu paths of "To access this command" boxes."""
        everything = replace(
            self.markup,
            is_skipped=lambda element: not self._is_shown(element, set((element.get("class") or "").split())),
        )
        for body in root.iter("div"):
            if body.get("class") != "howtogetbody":
                continue
            for paragraph in body.iter("p"):
                if any(everything.skips(above) for above in paragraph.iterancestors()):
                    continue
                if any(above.get("class") == "iconcell" for above in paragraph.iterancestors()):
                    continue
                text = menu_text(clean(everything.text(paragraph)))
                if re.search(r"\bclick(?: on)?$", text):
                    text = f"{text} {_icon_label(paragraph)}".strip()
                text, app = _for_app(text)
                if _KEYS.match(text):
                    text = f"Press {text}"
                if text and is_instruction(text) and len(text) > 8 and text[-1] not in ":,":
                    yield Block("access", "", items=tuple(split_path(text)), app=app)


def _icon_label(paragraph: etree._Element) -> str:
    """The name of the icon that a table after the paragraph shows."""
    for cell in paragraph.xpath("following::div[@class='iconcell'][position() <= 2]"):
        label = clean(cell.text_content())
        if label:
            return label
    return ""


_KEYS = re.compile(r"^(?:(?:Ctrl|Shift|Alt|Option)\s?\+\s?)+\S+$|^F\d{1,2}$")
_REMARK = re.compile(r"\s*\([^()]*\b(?:only|documents?|Charts?|LibreOffice|some)\b[^()]*\)(?=\.?$)")
_FOR_APPS = re.compile(r"\s*\((LibreOffice \w+)((?:(?:,| and| or)+ LibreOffice \w+)*)\)")


def _for_app(text: str) -> tuple[str, str]:
    """A path without its "(LibreOffice Draw)", and that application ("" when it is for several or says none)."""
    match = _FOR_APPS.search(text)
    if match is None:
        return _REMARK.sub("", text), ""
    return _FOR_APPS.sub("", text), "" if match.group(2) else match.group(1)


def menu_text(text: str) -> str:
    """Dashes between menu entries as arrows, in a paragraph that is nothing but a path."""
    return _DASH.sub(ARROW, text)


_DASH_IN_PATH = re.compile(r"((?:[Cc]hoose|[Ss]elect|[Oo]pen|>) (?:the )?[A-Z][^.,;:>–-]{0,40}?) [-–] (?=[A-Z])")


def _with_arrows(block: Block) -> Block:
    """The block with arrows in the menu paths that have no markup."""
    return replace(block, text=_arrows(block.text), items=tuple(map(_arrows, block.items)))


def _arrows(text: str) -> str:
    before = ""
    while before != text:
        before, text = text, _DASH_IN_PATH.sub(rf"\1{ARROW}", text)
    return text


def split_path(text: str) -> list[str]:
    """ "Choose Format > Page Style > Header tab" as steps: the menu, then the tab."""
    match = re.match(
        r"^(?P<menu>Choose .+?)(?:, (?:and )?(?:then )?| > )(?P<tab>(?:click |on )?[^>,]*?\btab)\.?$", text
    )
    if match:
        tab = re.sub(r"^(?:click |on )?(?:the )?", "", match["tab"])
        return [match["menu"], f"Click the {tab}"]
    return [text]


def read(source: str, folder: Path, license: str) -> Iterator[RawPair]:
    """All pairs of the unpacked package, page after page."""
    root = folder / ROOT
    for path in sorted(root.rglob("*.html")):
        relative = path.relative_to(root).with_suffix("").as_posix()
        yield from read_page(path.read_bytes(), Page(source, relative, app_of(relative), license))


def app_of(path: str) -> str:
    """The application that a page's path names."""
    return APPS.get(path.split("/")[0], "LibreOffice")


def read_page(content: bytes, page: Page) -> Iterator[RawPair]:
    """The pairs of one page."""
    root = html.fromstring(content, parser=html.HTMLParser(encoding="utf-8"))
    shown = root.get_element_by_id("DisplayArea", root)
    join_lists(shown)
    help_page = HelpPage(page.path.split("/")[0])
    blocks = [_with_arrows(block) for block in help_page.markup.blocks(shown)]
    title = next((block for block in blocks if block.kind == "heading"), None)
    if title is not None:
        blocks += [title, *help_page.access_paths(shown)]
    yield from pairs_of(blocks, page)
