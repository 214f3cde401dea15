"""A pattern of the grammar: words with slots, as `bold <target>`, a regular expression once it is asked."""

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lam_train.apps.writer.expert import grammar_targets as targets
from lam_train.apps.writer.expert import grammar_values as values
from lam_train.apps.writer.expert.grammar_targets import Place, Target
from lam_train.apps.writer.expert.grammar_text import QUOTE, put_quotations_back


@dataclass(frozen=True)
class Subtask:
    """One thing to do, as the grammar read it."""

    operation: str
    target: Target | None = None
    place: Place | None = None
    values: Mapping[str, str] = field(default_factory=dict)


def _plain(read: Callable[[str], Any]) -> Callable[[str, list[str]], str]:
    """A reader of text in which nothing is quoted."""
    return lambda text, quotations: str(read(text))


SLOTS: dict[str, tuple[str, Callable[[str, list[str]], Any]]] = {
    "target": (targets.TARGET, targets.target),
    "table": (f"(?:{targets.TABLE}|{targets.SAME})", targets.target),
    "place": (targets.PLACE, targets.place),
    "text": (QUOTE, put_quotations_back),
    "new": (QUOTE, put_quotations_back),
    "address": (rf"(?:{QUOTE}|https?://\S+|www\.\S+|mailto:\S+)", put_quotations_back),
    "font": (values.FONT, values.font_name),
    "style": (values.STYLE, values.style_name),
    "colour": (values.COLOUR, _plain(values.colour)),
    "size": (values.SIZE, _plain(values.size)),
    "length": (values.LENGTH, _plain(values.length)),
    "number": (values.NUMBER, _plain(values.number)),
    "rows": (values.NUMBER, _plain(values.number)),
    "columns": (values.NUMBER, _plain(values.number)),
    "ordinal": (values.ORDINAL, _plain(values.ordinal)),
    "name": (rf"(?:{QUOTE}|[A-Za-z]\w*)", put_quotations_back),
    "paper": (values.PAPER, _plain(values.paper)),
    "cell": (values.CELL, _plain(str.upper)),
}


@dataclass(frozen=True)
class Pattern:
    """What a clause may look like, and what it then means."""

    operation: str
    words: str
    fixed: Mapping[str, str]

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """Compiled when it is first asked: all together take a second, and every recipe's schema imports them."""
        count = itertools.count()
        written = re.sub(r"<(\w+)>", lambda slot: f"(?P<{slot[1]}__{next(count)}>{SLOTS[slot[1]][0]})", self.words)
        return re.compile(written, re.IGNORECASE)

    def read(self, clause: str, quotations: list[str]) -> Subtask | None:
        """The subtask that the whole clause asks for, or None."""
        match = self.regex.fullmatch(clause)
        if match is None:
            return None
        found: dict[str, Any] = {}
        for group, text in match.groupdict().items():
            slot = group.partition("__")[0]
            if text is None:
                continue
            found[slot] = SLOTS[slot][1](text, quotations)
            if found[slot] is None:
                return None
        target = found.pop("target", None) or found.pop("table", None)
        return Subtask(self.operation, target, found.pop("place", None), {**found, **self.fixed})


def pattern(operation: str, words: str, **fixed: str) -> Pattern:
    """Words with slots; a slot may stand in several alternatives. `fixed`: values that the words imply."""
    return Pattern(operation, words, fixed)
