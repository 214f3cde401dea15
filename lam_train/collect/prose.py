"""Pairs in running text: "To insert a row, choose Table > Insert Row and click OK."

They are weaker than ordered lists (kind "prose"): short, and the sentence around them is lost.
"""

import re
from collections.abc import Iterator

_START = (
    r"(?:choose|click|select|press|open|double-click|right-click|drag|enter|type|use|hold|place|set|check|uncheck|"
    r"enable|disable|drop|move|mark|clear|tick|untick|activate|scroll|expand|go to|switch to|"
    r"(?:in|on|from|under|at) the)"
)
_VERB_AFTER_AND = (
    r"(?:choose|click|select|press|open|double-click|right-click|drag|enter|type|set|hold|drop|move|"
    r"release|check|uncheck|mark|clear|tick|activate|use|go to|scroll|edit|confirm|save|close|paste|insert)"
)

_TASK_FIRST = re.compile(
    r"(?:(?<=^)|(?<=[.!?:] ))(?:If you want to|If you would like to|In order to|To) "
    r"(?P<task>(?!access this|do (?:this|that|so)\b)[a-z][^.,:;!?]{6,120}), "
    r"(?:you (?:can|must|should|need to) )?"
    rf"(?P<steps>(?:first |simply |just |either |please )?{_START}\b"
    r"[^.!?]{3,300}(?:\.[a-z0-9][^.!?]{0,80})*[.!?]?)(?=\s|$)",
)
_NEXT_STEP = re.compile(rf",? (?:and then|then|and) (?={_VERB_AFTER_AND}\b)|; (?:then )?(?={_VERB_AFTER_AND}\b)")
_CHOICE = re.compile(rf"\bor (?:by )?(?:right-|double-)?{_VERB_AFTER_AND}\b", re.IGNORECASE)
_FILLER = re.compile(r"^(?:first|simply|just|please),? ", re.IGNORECASE)
_UNBALANCED = str.maketrans("", "", "()")


def pairs_in(paragraph: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(task, steps) of each sentence that says both."""
    for match in _TASK_FIRST.finditer(paragraph):
        sentence = match["steps"].strip()
        if sentence.endswith((":", "following")) or "the following" in sentence:
            continue
        parts = [sentence] if _CHOICE.search(sentence) else _NEXT_STEP.split(sentence)
        steps = [_FILLER.sub("", step.strip(" ,.;")) for step in parts]
        steps = [_whole(step) for step in steps if len(step) > 3]
        if steps:
            yield match["task"], tuple(steps)


def _whole(step: str) -> str:
    """A step without a parenthesis that the sentence's end cut open."""
    if step.count("(") != step.count(")"):
        step = step[: step.rfind("(")] if step.rfind("(") > step.rfind(")") else step.translate(_UNBALANCED)
    return step.strip()
