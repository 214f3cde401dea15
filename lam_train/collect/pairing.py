"""From a page's blocks to pairs: which text says the task of which steps, and which page they belong to."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lam_train.collect.document import Block
from lam_train.collect.prose import pairs_in
from lam_train.collect.raw import RawPair, slug
from lam_train.collect.verbs import VERBS, first_word

_LEAD_IN = re.compile(r"^(?:if you (?:want|wish|would like) to|in order to|how to|to) (?P<task>\S.*)$", re.IGNORECASE)
_LEAD_END = re.compile(
    r"(?:[,:;]|\s[-–])?\s*(?:(?:please |simply |just |you (?:can|need to|must|should|have to) )?"
    r"(?:do (?:either|any|one|the following|as follows|this)|proceed|follow|perform (?:one|the|any|these)|"
    r"use (?:one of )?(?:the )?(?:following|these)|complete (?:the|these)|carry out|take (?:the|these)|"
    r"execute the|go through|the following|as follows|these steps|there are|try (?:the|one|these))\b.*|[:.])$",
    re.IGNORECASE,
)


_OWN_CLAUSE = re.compile(
    r", (?P<clause>(?:you|there|it|this|these|the|a|an|one|first|please|simply|just|i|we|by|"
    r"press|click|choose|select|use|open|drag|type|enter|go|double-click|right-click|hold|place)\b.*)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Page:
    """Where blocks come from. `path` is unique in its source and becomes part of the id."""

    source: str
    path: str
    app: str
    license: str
    whole_manual: bool = False
    """The file is a whole manual: its chapters and first sections are the pages."""


def lead_in_task(paragraph: str) -> str:
    """The task that a paragraph before a list announces: "To insert a row, do this:" gives "To insert a row"."""
    sentence = re.split(r"(?<=[.!?])\s+(?=[A-Z])", paragraph.strip())[-1]
    match = _LEAD_IN.match(sentence)
    if not match or len(sentence) > 250:
        return ""
    task = _LEAD_END.sub("", match["task"])
    clause = _OWN_CLAUSE.search(task)
    if clause is not None:
        if first_word(clause["clause"]) in VERBS:  # the sentence says its own plan; the list is about something else
            return ""
        task = task[: clause.start()]
    return "To " + task.rstrip(" ,:;.")


def pairs_of(blocks: Iterable[Block], page: Page) -> Iterator[RawPair]:
    """The pairs of one page: ordered lists ("steps"), sentences ("prose") and access paths ("menu_path")."""
    headings: dict[int, str] = {}
    path, before, counts = page.path, "", {}
    for block in blocks:
        if block.kind == "heading":
            headings = {level: text for level, text in headings.items() if level < block.level}
            headings[block.level] = block.text
            before = ""
            if page.whole_manual and block.level <= 2:
                path, counts = f"{page.path}/{slug(block.anchor or block.text)}", {}
            continue
        above = tuple(headings[level] for level in sorted(headings, reverse=True))
        for kind, titles, steps, app in _pairs_of_block(block, above, before):
            counts[kind] = counts.get(kind, 0) + 1
            full = f"{page.source}/{slug(path)}"
            mark = {"steps": "", "prose": "prose-", "menu_path": "menu-"}[kind]
            yield RawPair(
                task_id=f"{full}/{mark}{counts[kind]}",
                page=full,
                titles=titles,
                steps=steps,
                source=page.source,
                app=app or page.app,
                license=page.license,
                kind=kind,
                headings=above,
            )
        before = block.text if block.kind == "paragraph" else ""


def _pairs_of_block(block: Block, above: tuple[str, ...], before: str) -> Iterator[tuple]:
    """(kind, titles, steps, app) of each pair in a block."""
    if block.kind == "steps" and _are_alternatives(block.items):
        for item in block.items:
            for task, steps in pairs_in(item):
                yield "prose", (f"To {task}",), steps, block.app
    elif block.kind == "steps" and block.items:
        lead = lead_in_task(before)
        own = lead_in_task(block.text) or block.text.rstrip(":")
        kind = "steps" if len(block.items) > 1 else "prose"  # one step in a list is no better than a sentence
        yield kind, tuple(title for title in (own, lead, *above) if title), block.items, block.app
    elif block.kind == "paragraph":
        for task, steps in pairs_in(block.text):
            yield "prose", (f"To {task}",), steps, block.app
    elif block.kind == "access" and above:
        yield "menu_path", above, block.items, block.app


def _are_alternatives(items: tuple[str, ...]) -> bool:
    """Whether a list is no procedure but names several tasks: "To undo it, …", "To switch it off, …"."""
    return bool(items) and 2 * sum(item.startswith("To ") for item in items) > len(items)
