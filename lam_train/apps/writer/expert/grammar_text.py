"""The surface of a request: quotations, courtesies, and where one clause ends and the next begins."""

import re
from collections.abc import Iterator

# A quotation is taken out of the text before anything is matched, and stands in it as ⟦0⟧, ⟦1⟧, …
QUOTE = r"⟦\d+⟧"
PAIRS = (('"', '"'), ("“", "”"), ("«", "»"), ("„", "“"), ("‘", "’"), ("'", "'"), ("`", "`"))
QUOTATION = re.compile(
    "|".join(
        # A single quotation mark is an apostrophe inside a word: it opens after a space, and closes before none.
        rf"(?<![\w]){re.escape(opening)}([^{re.escape(opening + closing)}]|(?<=\w){re.escape(closing)}(?=\w))+"
        rf"{re.escape(closing)}(?!\w)"
        for opening, closing in PAIRS
    )
)

COURTESIES = (  # what may stand before a request without being a part of it
    r"(?:hi|hello|hey)(?: there)?",
    r"please",
    r"kindly",
    r"(?:could|can|would|will) you(?: please| kindly)?",
    r"i(?: would|'d) (?:like|love|prefer)(?: you)? to",
    r"i(?: want| need)(?: you)? to",
    r"is (?:it possible|there a way) to",
    r"we(?: want| need)? to",
    r"(?:we|you) should",
    r"help me(?: to)?",
    r"let(?:'s| us)",
    r"go ahead and",
    r"make sure (?:to|you)",
    r"be sure to",
    r"(?:in|within|for) (?:the|this|my) (?:whole |entire )?(?:document|file|text|letter|report)",
    r"now|just|simply|also|next|then|first|finally|lastly|second|additionally|afterwards|after that|in addition",
)
BEFORE = re.compile(rf"(?:{'|'.join(COURTESIES)})(?:\s*[,:!]\s*|\s+)", re.IGNORECASE)
AFTERWARDS = (
    r"please",
    r"(?:for|to help) me",
    r"thanks(?: a lot| in advance)?|thank you(?: very much)?",
    r"(?:in|within|of) (?:the|this|my) (?:whole |entire )?(?:document|file)",
    r"if you (?:can|could)",
    r"now|too|as well|right away",
)
AFTER = re.compile(rf"(?:\s*[,;.!?–-]+\s*|\s+)(?:{'|'.join(AFTERWARDS)})$", re.IGNORECASE)

# Where a request may fall into two, the most certain places first.
JOINTS = tuple(
    re.compile(joint, re.IGNORECASE)
    for joint in (
        r"\s*[.;!]\s+(?:and )?(?:then |also |next |after that |finally |afterwards )?,?\s*",
        r"\s*,?\s+(?:and|but)?\s*(?:then|after that|afterwards|next|finally|also)\s*,?\s+",
        r"\s*,\s+(?:and|as well as|plus)\s+",
        r"\s+(?:and|as well as|plus)\s+",
        r"\s*,\s+",
    )
)


def take_quotations_out(request: str) -> tuple[str, list[str]]:
    """The request with ⟦n⟧ for its n-th quotation, and the quotations' texts, without their marks."""
    quotations: list[str] = []

    def keep(match: re.Match[str]) -> str:
        quotations.append(match.group()[1:-1].strip())
        return f"⟦{len(quotations) - 1}⟧"

    return QUOTATION.sub(keep, request), quotations


def put_quotations_back(text: str, quotations: list[str]) -> str:
    """The text with its ⟦n⟧ replaced by what they stand for."""
    return re.sub(QUOTE, lambda match: quotations[int(match.group()[1:-1])], text).strip()


def bare(clause: str) -> str:
    """The clause without courtesies at either end, closing punctuation and double spaces."""
    clause = re.sub(r"\s+", " ", clause).strip(" ,;:")
    changed = True
    while changed:
        before = clause
        clause = clause.rstrip(" .!?;,")
        clause = BEFORE.sub("", clause, count=1) if BEFORE.match(clause) else clause
        clause = AFTER.sub("", clause)
        changed = clause != before
    return clause


def splits(text: str) -> Iterator[tuple[str, str]]:
    """Every way to cut the text in two at a joint, the most certain first."""
    seen: set[tuple[int, int]] = set()
    for joint in JOINTS:
        for match in joint.finditer(text):
            if match.span() not in seen and match.start() > 0 and match.end() < len(text):
                seen.add(match.span())
                yield text[: match.start()], text[match.end() :]
