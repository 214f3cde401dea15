"""A page of documentation as a flat list of blocks, whatever its markup was.

Each source walks its own markup with a `Markup` and gives `Block`s; `pairing.py` makes pairs of them.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from lxml import etree

from lam_train.collect.verbs import is_instruction

ARROW = " > "
_SPACE = re.compile(r"\s+")
_BEFORE_PUNCTUATION = re.compile(r"\s+([,.;:!?)\]])(?=\s|$|[\"”’')])")


@dataclass(frozen=True)
class Block:
    """A heading (`level`, 1 the page's own), a paragraph, ordered steps (`text` their title), or an access path."""

    kind: Literal["heading", "paragraph", "steps", "access"]
    text: str
    level: int = 0
    items: tuple[str, ...] = ()
    app: str = ""
    anchor: str = ""


def name_of(element: etree._Element) -> str:
    """The tag without its namespace; "" for comments and processing instructions."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def clean(text: str | None) -> str:
    """One line, single spaces, no space before punctuation, one arrow for menus."""
    line = _SPACE.sub(" ", (text or "").replace("\u00ad", "").replace("\u200b", "").replace("\u200e", ""))
    line = re.sub(r"\s*(?:→|▸|▶|⇒|⟶|►|▹|➜|➝|(?<=\w) -> (?=\w)|(?<=\w)->(?=\w)|(?<=\w) \| (?=[A-Z]))\s*", ARROW, line)
    line = re.sub(r"\s*>(?:\s*>)+\s*", ARROW, line)
    line = re.sub(r"\s\(\s*\)", "", line)  # an icon stood there
    line = re.sub(r"(?<=[a-z]),(?=[a-z]{2})", ", ", line)
    return _BEFORE_PUNCTUATION.sub(r"\1", line).strip()


def never(element: etree._Element) -> bool:
    return False


def no_text(element: etree._Element) -> str | None:
    return None


@dataclass(frozen=True)
class Markup:
    """How a markup language says what pairs are made of. Sets hold local tag names."""

    ordered: frozenset[str]
    """Lists of steps."""
    bullets: frozenset[str]
    """Lists of choices or remarks."""
    items: frozenset[str]
    """A list's entries."""
    paragraphs: frozenset[str]
    """Blocks of running text."""
    skipped: frozenset[str]
    """Elements whose content is left out wherever they stand (notes, tables, code, figures)."""
    is_skipped: Callable[[etree._Element], bool] = never
    """The same, decided by the element."""
    heading: Callable[[etree._Element], int] = lambda element: 0
    """The level of a heading, 0 for what is none."""
    inline: Callable[[etree._Element], str | None] = no_text
    """The text of an element that is not simply its content (a menu path, a key combination, a switch), or None."""

    def skips(self, element: etree._Element) -> bool:
        return not isinstance(element.tag, str) or name_of(element) in self.skipped or self.is_skipped(element)

    def is_list(self, element: etree._Element) -> bool:
        return name_of(element) in self.ordered or name_of(element) in self.bullets

    def _is_block(self, element: etree._Element) -> bool:
        return self.is_list(element) or name_of(element) in self.paragraphs

    def text(self, element: etree._Element) -> str:
        """The text of an element, nested lists left out; not yet clean."""
        special = self.inline(element)
        if special is not None:
            return special
        parts = [element.text or ""]
        for child in element:
            if not self.skips(child) and not self.is_list(child):
                inner = self.text(child)
                parts.append(f" {inner} " if name_of(child) in self.paragraphs else inner)
            parts.append(child.tail or "")
        return "".join(parts)

    def blocks(self, element: etree._Element) -> Iterator[Block]:
        """The blocks under `element`, in reading order."""
        if self.skips(element):
            return
        level = self.heading(element)
        if level:
            yield Block("heading", clean(self.text(element)), level, anchor=_anchor(element))
            return
        name = name_of(element)
        if name in self.ordered:
            yield Block("steps", self._list_title(element), items=tuple(self.steps(element)))
            return
        if name in self.paragraphs or (name in self.items and self._has_own_text(element)):
            text = clean(self.text(element))
            if text:
                yield Block("paragraph", text)
            for child in element:
                if not self.skips(child) and self.is_list(child):
                    yield from self.blocks(child)
            return
        for child in element:
            yield from self.blocks(child)

    def _has_own_text(self, item: etree._Element) -> bool:
        return bool((item.text or "").strip()) and not any(name_of(child) in self.paragraphs for child in item)

    def _list_title(self, element: etree._Element) -> str:
        titles = (child for child in element if name_of(child) in ("title", "info"))
        for child in titles:
            title = child if name_of(child) == "title" else child.find("{*}title")
            if title is not None and title.get("type") is None:
                return clean(self.text(title))
        return ""

    def steps(self, ordered: etree._Element) -> Iterator[str]:
        """The steps of an ordered list. A nested ordered list's steps follow; bullets stay with their step."""
        for item in ordered:
            if name_of(item) in self.items and not self.skips(item):
                yield from self._step(item)
            elif name_of(item) in self.ordered and not self.skips(item):
                yield from self.steps(item)

    def _step(self, item: etree._Element) -> Iterator[str]:
        paragraphs, bullets, substeps = [], [], []
        self._collect(item, paragraphs, bullets, substeps)
        kept = [text for number, text in enumerate(paragraphs) if number == 0 or is_instruction(text)]
        text = " ".join(part if part[-1] in ".:;!?,)" else part + "." for part in kept)
        if bullets:
            text = f"{text} " + " ".join(f"({chr(97 + i % 26)}) {bullet}" for i, bullet in enumerate(bullets))
        if substeps and text.endswith(":"):  # "In the dialog:" and its own steps
            substeps[0] = f"{text} {substeps[0]}"
        elif text.strip():
            yield clean(text)
        yield from substeps

    def _collect(self, element: etree._Element, paragraphs: list[str], bullets: list[str], substeps: list[str]) -> None:
        """Sorts the content of a step into its paragraphs, its bulleted choices, and its own steps."""
        loose = [element.text or ""]

        def flush() -> None:
            text = clean("".join(loose))
            if text and re.search(r"\w", text):
                paragraphs.append(text)
            loose.clear()

        for child in element:
            name = name_of(child)
            if self.skips(child):
                pass
            elif name in self.ordered:
                flush()
                substeps.extend(self.steps(child))
            elif name in self.bullets:
                flush()
                bullets.extend(self._bullets(child))
            elif name in self.paragraphs or any(self._is_block(inner) for inner in child.iterdescendants()):
                flush()
                self._collect(child, paragraphs, bullets, substeps)
            else:
                loose.append(self.text(child))
            loose.append(child.tail or "")
        flush()

    def _bullets(self, bullets: etree._Element) -> Iterator[str]:
        for item in bullets:
            if name_of(item) in self.items and not self.skips(item):
                text = " ".join(self._step(item))
                if text:
                    yield text


def _anchor(element: etree._Element) -> str:
    for candidate in (element, element.getparent()):
        if candidate is not None:
            anchor = candidate.get("id") or candidate.get("{http://www.w3.org/XML/1998/namespace}id")
            if anchor:
                return anchor
    return ""
