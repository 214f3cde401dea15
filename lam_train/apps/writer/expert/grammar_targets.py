"""What a clause is about, and where something goes: targets and places, and the words that name them."""

import re
from dataclasses import dataclass, replace
from typing import Literal

from lam_train.apps.writer.expert.grammar_text import QUOTE, put_quotations_back
from lam_train.apps.writer.expert.grammar_values import ORDINAL, counted

Match = Literal["is", "starts", "contains", "ends"]


@dataclass(frozen=True)
class Target:
    """The text that a clause is about."""

    kind: Literal["phrase", "paragraph", "table", "all", "same"]
    text: str = ""  # what the request quotes
    match: Match = "is"
    number: int = 0  # 1: the first; -1: the last; 0: not counted
    style: str = ""  # only such paragraphs are counted: "heading", "title", "subtitle", "item", "text"
    under: str = ""  # counted from this heading on


@dataclass(frozen=True)
class Place:
    """Where something goes, relative to a target."""

    side: Literal["before", "after", "at"]
    target: Target


PIECE = (  # what a quotation may be called
    r"(?:phrase|words?|text|term|expression|name|string|passage|part|bit|snippet|piece(?: of text)?|fragment|wording|"
    r"sentence|(?:section )?title|subtitle|line|entry|(?:list )?item|(?:section )?heading|bullet(?: point)?)"
)
PARAGRAPH = (
    r"(?:paragraph|line|text block|block|section|(?:list )?item|bullet(?: point)?|heading|title|sentence|part|entry|"
    r"point|one)"
)
WAYS: dict[Match, str] = {
    "starts": r"(?:(?:that |which )?(?:starts?|begins?|opens?|starting|beginning|opening)(?: with| from)?)",
    "contains": (
        r"(?:(?:that |which )?(?:contains?|mentions?|includes?|containing|mentioning|including|has|says|reads|with|"
        r"reading|saying)(?: the (?:words?|phrase|text))?)"
    ),
    "ends": r"(?:(?:that |which )?(?:ends?|ending|closes|closing)(?: with| in| on)?)",
}
SAME = (
    r"(?:it|them|that|this|those|these|(?:the )?(?:same|that|this|those|these) "
    rf"(?:{PIECE}|paragraph|table|place|spot))"
)
ALL = (
    r"(?:all(?: of)?(?: the)? (?:text|document|paragraphs|content)|everything|every paragraph|(?:the|this) "
    r"(?:document|text)|(?:the )?(?:whole|entire|complete|full) (?:text|document|file|letter|report))"
)
HEADINGS = (
    rf"(?:the )?(?:{ORDINAL} (?:section )?(?:heading|section title)|"
    r"(?:document's )?(?:main )?(?:sub)?title(?: of the document| line)?)"
)
TABLE = rf"(?:(?:the|this) )?(?:(?:{ORDINAL}|only) )?table(?: (?:\d+|number \d+))?(?: in the document)?"
QUOTED_PARAGRAPH = rf"(?:the )?(?:whole |entire )?{PARAGRAPH},? (?:{'|'.join(WAYS.values())}) {QUOTE}"
NUMBERED_PARAGRAPH = (
    rf"(?:the )?(?:whole |entire |very )?(?:{ORDINAL} {PARAGRAPH}|paragraph (?:number |no\. ?)?\d+)"
    rf"(?: (?:under|below|after|beneath|following|of|in) (?:the )?(?:heading|title|section) {QUOTE}| in the document)?"
)
QUOTED = rf"(?:the )?(?:whole |entire |exact )?(?:(?:{PIECE}|paragraph),? )?:? ?{QUOTE}(?: (?:{PIECE}|paragraph))?"
TARGET = rf"(?:{QUOTED_PARAGRAPH}|{QUOTED}|{NUMBERED_PARAGRAPH}|{HEADINGS}|{ALL}|{SAME})"

OF_DOCUMENT = r"of (?:the|this) (?:document|text|file|page)"
START_OF_DOCUMENT = rf"(?:(?:at|to|from) )?(?:the )?(?:very )?(?:start|beginning|top) {OF_DOCUMENT}"
END_OF_DOCUMENT = (
    rf"(?:(?:(?:at|to|from) )?(?:the )?(?:very )?(?:end|bottom) {OF_DOCUMENT}|at the (?:very )?end|after everything)"
)
RIGHT = r"(?:(?:right|just|directly|immediately) )?"
SIDES = {
    "before": (
        rf"(?:{RIGHT}(?:before|above|ahead of|in front of|preceding|on top of)|(?:at|to) the (?:start|beginning) of)"
    ),
    "after": (
        rf"(?:{RIGHT}(?:after|below|under|underneath|beneath|behind|following|next to|beside)|(?:at|to) the end of)"
    ),
    "at": r"(?:at|on|to|for|in|from|of)",
}
PLACE = rf"(?:{START_OF_DOCUMENT}|{END_OF_DOCUMENT}|(?:{'|'.join(SIDES.values())}) {TARGET})"


def target(text: str, quotations: list[str]) -> Target:
    """The target that a piece of a clause names."""
    text = text.strip()
    quoted = re.search(QUOTE, text)
    words = re.sub(QUOTE, "", text).lower()
    if quoted is not None:
        said = put_quotations_back(quoted.group(), quotations)
        if re.fullmatch(NUMBERED_PARAGRAPH, text, re.IGNORECASE):
            return Target("paragraph", number=counted(words), style="text", under=said)
        for match, pattern in WAYS.items():
            if re.search(rf"\b{PARAGRAPH},? {pattern} *$", words):
                return Target("paragraph", said, match)
        whole = re.search(r"\b(?:paragraph|heading|title|subtitle|line|item|bullet|entry)\b", words)
        return Target("paragraph" if whole else "phrase", said)
    if re.fullmatch(TABLE, words, re.IGNORECASE):
        return Target("table", number=counted(words))
    if re.fullmatch(SAME, words, re.IGNORECASE):
        return Target("same")
    if re.fullmatch(ALL, words, re.IGNORECASE):
        return Target("all")
    styles = ("subtitle", "title", "heading", "section", "item", "bullet")
    style = next((style for style in styles if style in words), "text")
    return Target("paragraph", number=counted(words), style={"section": "heading", "bullet": "item"}.get(style, style))


def place(text: str, quotations: list[str]) -> Place:
    """The place that a piece of a clause names."""
    if re.fullmatch(START_OF_DOCUMENT, text, re.IGNORECASE):
        return Place("before", Target("all"))
    if re.fullmatch(END_OF_DOCUMENT, text, re.IGNORECASE):
        return Place("after", Target("all"))
    for side in ("before", "after"):
        if found := re.match(rf"{SIDES[side]} ", text, re.IGNORECASE):
            return Place(side, target(text[found.end() :], quotations))  # type: ignore[arg-type]
    return Place("at", target(text.partition(" ")[2], quotations))


def instead_of_same(found: Target, earlier: Target | None) -> Target | None:
    """`found`, or what "it" stands for: the target of an earlier clause. None where there is none."""
    return earlier if found.kind == "same" else found


def place_instead_of_same(found: Place, earlier: Target | None) -> Place | None:
    """The place with "it" replaced by the earlier clause's target."""
    there = instead_of_same(found.target, earlier)
    return None if there is None else replace(found, target=there)
