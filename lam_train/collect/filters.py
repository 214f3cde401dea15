"""What is dropped, and under which name it is counted (the paper's drop stage: language, length, irrelevant).

"No task" and "not instructions" are the reasons that a language model's extraction had in the paper.
"""

import re

from lam_train.collect.raw import RawPair
from lam_train.collect.tasks import task_of
from lam_train.collect.unify import unify_step
from lam_train.collect.verbs import is_instruction
from lam_train.settings import Settings

REASONS = ("not_english", "no_task", "not_instructions", "incomplete", "too_short", "too_long", "irrelevant")


class Limits(Settings):
    """The lengths a pair must keep to."""

    min_steps: int = 2
    """Fewest steps of a list found in documentation. Prose, menu paths and your own pairs may have one."""
    max_steps: int = 30
    """Most steps of a plan."""
    min_task_chars: int = 8
    """Shortest task."""
    max_task_chars: int = 160
    """Longest task."""
    min_step_chars: int = 4
    """Shortest step."""
    max_step_chars: int = 600
    """Longest step."""


_LONG_ENOUGH_TO_TELL = 60
_SURE = 20.0  # nats by which another language must be likelier; English with odd names stays below

_ANOTHER_DEVICE = re.compile(
    r"\b(?:smart ?phones?|iphones?|ipads?|android|ios|app store|google play|touch ?screens?|"
    r"mac ?os(?: ?x)?|apple menu|command key|⌘|windows (?:registry|explorer|control panel|7|8|10|11|xp|vista))\b",
    re.IGNORECASE,
)
_COMMAND_LINE = re.compile(
    r"\bsudo\b|\bapt(?:-get)? install\b|\bgsettings set\b|\bdconf (?:write|update)\b|(?:^|\s)[#$] [a-z]|\bchmod\b|"
    r"\bmkdir\b|\bas root\b|\bopen a terminal\b|~/\.|/etc/|/usr/(?:share|lib|bin)|\.(?:conf|desktop|keyfile)\b|"
    r"\bsystemctl\b|\bcommand[- ]line\b|\bMakefile\b|\bconfigure\.ac\b",
    re.IGNORECASE,
)


def reason_to_drop(raw: RawPair, limits: Limits) -> str | None:
    """The first of `REASONS` that applies, or None when the pair is kept."""
    steps = [step for step in map(unify_step, raw.steps) if step]
    if not_english(" ".join((*raw.titles[:1], *raw.steps))):
        return "not_english"
    task = task_of(raw)
    if task is None:
        return "no_task"
    if not steps or (not raw.given and 2 * sum(map(is_instruction, steps)) < len(steps)):
        return "not_instructions"
    if not raw.given and (any(map(is_incomplete, steps)) or (len(steps) == 1 and _SAYS_NOTHING.match(steps[0]))):
        return "incomplete"
    fewest = limits.min_steps if raw.kind == "steps" and not raw.given else 1
    if len(steps) < fewest or len(task) < limits.min_task_chars:
        return "too_short"
    if min(map(len, steps)) < limits.min_step_chars:
        return "too_short"
    if (
        len(steps) > limits.max_steps
        or len(task) > limits.max_task_chars
        or max(map(len, steps)) > limits.max_step_chars
    ):
        return "too_long"
    if is_irrelevant(task, steps):
        return "irrelevant"
    return None


def not_english(text: str) -> bool:
    """Whether the text is surely in another language. Short texts, mostly names of controls, are never sure."""
    if len(text) < _LONG_ENOUGH_TO_TELL:
        return False
    import py3langid  # it unpacks a model when imported, and every run imports this file

    log_likelihood = dict(py3langid.rank(text))
    return max(log_likelihood.values()) - log_likelihood["en"] > _SURE


_HOLE = re.compile(
    r"(?<![(\w])(?:the|an?|your|described in|button in|icon in) ?[,.;:)](?=\s|$)|"
    r"[“\"]\s*[”\"]|(?:^|\s),|,,|> ?[.,;)]|:$|\bfollowing\.$|\b(?:or|and|the|by)\.$|, type\.$|^Run\. |"
    r"\bthe (?:by|to|and|or|in|on|at|of|from|with|for) |\b[Pp]ress (?:in|to|or|the (?:button|key) (?:in|to)) |"
    r"(?<![-\w])(?<!you )(?<!ight )(?:click|choose|select)(?: on)?(?: or| and| to)? ?,|"
    r"(?:^[Cc]lick|\band click|, click)(?: the icon)?\.$"
)


_SAYS_NOTHING = re.compile(
    r"^(?:(?:un)?check|click|select|press|use|choose|open) (?:it|this|that|here|one|them)(?: \w+)?\.?$|"
    r"^use (?:this|the)\b.{0,30} (?:function|parameter|property|attribute|keyword|method|value)s?\b.{0,20}$|^use [\\]",
    re.IGNORECASE,
)


def is_incomplete(step: str) -> bool:
    """Whether a picture, a link or a listing that the page shows is missing from the step's text."""
    return _HOLE.search(step) is not None


def is_irrelevant(task: str, steps: list[str]) -> bool:
    """For another device or system, or done in a terminal rather than in an application's window."""
    if _ANOTHER_DEVICE.search(task) or _COMMAND_LINE.search(task):
        return True
    other = sum(bool(_ANOTHER_DEVICE.search(step)) for step in steps)
    terminal = sum(bool(_COMMAND_LINE.search(step)) for step in steps)
    return other * 3 >= len(steps) or terminal * 3 >= len(steps)
