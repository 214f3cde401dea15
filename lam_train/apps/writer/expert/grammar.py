"""From the text of a request to the subtasks that it asks for.

The grammar knows commands ("make X bold", "could you please …") and what should be ("X should be bold"), one of them
or two together. Wishes ("I want X in bold"), notes without a verb ("Bold for X"), questions, stories and three things
at once are outside of it; what it cannot read whole it does not guess at.
"""

from dataclasses import replace
from functools import lru_cache

from lam_train.apps.writer.expert import grammar_commands, grammar_formatting, grammar_page, grammar_tables
from lam_train.apps.writer.expert.grammar_keywords import may_be
from lam_train.apps.writer.expert.grammar_pattern import Pattern, Subtask
from lam_train.apps.writer.expert.grammar_targets import Target, instead_of_same, place_instead_of_same
from lam_train.apps.writer.expert.grammar_text import bare, splits, take_quotations_out

PATTERNS = grammar_formatting.PATTERNS + grammar_page.PATTERNS + grammar_tables.PATTERNS + grammar_commands.PATTERNS
BY_OPERATION: dict[str, list[Pattern]] = {}
for _pattern in PATTERNS:
    BY_OPERATION.setdefault(_pattern.operation, []).append(_pattern)
MOST_SUBTASKS = 2
LONGEST_REQUEST = 1000  # characters; what is longer is not two things, and would take long to refuse
LONGEST_ELLIPSIS = 8  # words
ELLIPSES = ("make it {}", "set it in {}", "apply {} to it", "{} it", "set its {}", "give it {}")
"""What a clause without its verb or its target may be short for: "… and italic", "… and 14 points", "… and centre"."""


@lru_cache(maxsize=4096)
def read_request(request: str) -> tuple[Subtask, ...] | None:
    """The subtasks in their order, or None where a part of the request is not understood."""
    if len(request) > LONGEST_REQUEST:
        return None
    text, quotations = take_quotations_out(request)
    return _read(text, quotations, None, MOST_SUBTASKS)


def _read(text: str, quotations: list[str], earlier: Target | None, most: int) -> tuple[Subtask, ...] | None:
    """The text as one clause, else as a clause and what follows it. `earlier`: what "it" stands for."""
    if not most:
        return None
    clause = bare(text)
    subtask = _clause(clause, quotations, earlier)
    if subtask is not None:
        return (subtask,)
    for left, right in splits(clause):
        first = _clause(bare(left), quotations, earlier)
        if first is not None:
            about = first.target or (first.place.target if first.place else None) or earlier
            if first.operation == "select":
                return _read(right, quotations, about, most)
            rest = _read(right, quotations, about, most - 1)
            if rest is not None:
                return (first, *rest)
    return None


def _clause(clause: str, quotations: list[str], earlier: Target | None) -> Subtask | None:
    """The one thing that a clause asks for, or None."""
    likely = [pattern for name, found in BY_OPERATION.items() if may_be(name, clause) for pattern in found]
    short = earlier is not None and len(clause.split()) <= LONGEST_ELLIPSIS
    for whole in (clause, *(ellipsis.format(clause) for ellipsis in ELLIPSES if short)):
        for pattern in likely:
            subtask = pattern.read(whole, quotations)
            if subtask is None:
                continue
            target = subtask.target and instead_of_same(subtask.target, earlier)
            place = subtask.place and place_instead_of_same(subtask.place, earlier)
            if (subtask.target is None) == (target is None) and (subtask.place is None) == (place is None):
                return replace(subtask, target=target, place=place)
    return None
