"""What a source gives: a pair as the page has it, before anything is dropped or unified."""

import re
from dataclasses import dataclass

from lam_train.records import PlanKind


@dataclass(frozen=True)
class RawPair:
    """A possible task-plan pair, with where it stands.

    `titles` are the texts that may say the task, best first (a lead-in "To …:", the list's own title,
    the headings above it, innermost first). `page` decides the split; `task_id` must depend on the page alone.
    """

    task_id: str
    page: str
    titles: tuple[str, ...]
    steps: tuple[str, ...]
    source: str
    app: str
    license: str
    kind: PlanKind = "steps"
    headings: tuple[str, ...] = ()
    """The headings above it, innermost first: they tell tasks of one name apart."""
    given: bool = False
    """Somebody wrote this as a pair: its task is kept as it is, and only language, length and topic are judged."""


def slug(text: str) -> str:
    """A readable, stable part of an id: lower case, digits, dots, slashes and dashes."""
    return re.sub(r"[^a-z0-9./]+", "-", text.lower()).strip("-/") or "page"
