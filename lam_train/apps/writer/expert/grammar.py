"""From the text of a request to the subtasks that it asks for. It knows idioms, not the tasks; what it cannot read
it refuses to guess at.
"""

from dataclasses import replace
from functools import lru_cache

from lam_train.apps.writer.expert import grammar_commands, grammar_formatting, grammar_page, grammar_tables
from lam_train.apps.writer.expert.grammar_pattern import Subtask
from lam_train.apps.writer.expert.grammar_targets import Target, instead_of_same, place_instead_of_same
from lam_train.apps.writer.expert.grammar_text import bare, splits, take_quotations_out

PATTERNS = grammar_formatting.PATTERNS + grammar_page.PATTERNS + grammar_tables.PATTERNS + grammar_commands.PATTERNS
ELLIPSES = ("{}", "make it {}", "set it in {}", "apply {} to it", "{} it", "set its {}", "give it {}")
"""What a clause without its verb or its target may be short for: "… and italic", "… and 14 points", "… and centre"."""


@lru_cache(maxsize=4096)
def read_request(request: str) -> tuple[Subtask, ...] | None:
    """The subtasks in their order, or None where a part of the request is not understood."""
    text, quotations = take_quotations_out(request)
    return _read(text, quotations, None)


def _read(text: str, quotations: list[str], earlier: Target | None) -> tuple[Subtask, ...] | None:
    """The text as one clause, else as a clause and what follows it. `earlier`: what "it" stands for."""
    clause = bare(text)
    subtask = _clause(clause, quotations, earlier)
    if subtask is not None:
        return (subtask,)
    for left, right in splits(clause):
        first = _clause(bare(left), quotations, earlier)
        if first is not None:
            about = first.target or (first.place.target if first.place else None) or earlier
            rest = _read(right, quotations, about)
            if rest is not None:
                return (first, *rest) if first.operation != "select" else rest
    return None


def _clause(clause: str, quotations: list[str], earlier: Target | None) -> Subtask | None:
    """The one thing that a clause asks for, or None."""
    for ellipsis in ELLIPSES if earlier else ELLIPSES[:1]:
        whole = ellipsis.format(clause)
        for pattern in PATTERNS:
            subtask = pattern.read(whole, quotations)
            if subtask is None:
                continue
            target = subtask.target and instead_of_same(subtask.target, earlier)
            place = subtask.place and place_instead_of_same(subtask.place, earlier)
            if (subtask.target is None) == (target is None) and (subtask.place is None) == (place is None):
                return replace(subtask, target=target, place=place)
    return None
