"""Finds the control that a planned action means among those on the screen: fuzzy, but never below a threshold.

UFO takes the best match whatever its score, so a plan whose control does not exist clicks something else. Here such
an action is an error, and the task is discarded.
"""

import re

from pydantic import Field
from rapidfuzz import fuzz

from lam_train.collect.trajectories.instantiation import PlannedAction
from lam_train.records import Control, Observation
from lam_train.settings import Settings

_DECORATION = re.compile(r"[_&~](?=\w)|(?:\.{3}|…)$")  # mnemonics ("_Bold"), and the dots of "Paragraph…"
_ACCELERATOR = re.compile(r"\s+\((?:Ctrl|Shift|Alt|F\d)[^)]*\)$")
SHORT = 4  # names below this length match whole or not at all: "OK" is in "Look up"


class GroundingSettings(Settings):
    """How a planned control is matched to one on the screen."""

    threshold: float = Field(80.0, ge=0, le=100)
    """The least similarity (0 to 100) between the planned and the shown name; below it the task is discarded."""


def plain(name: str) -> str:
    """A control's name without case, mnemonic, trailing dots and key."""
    return " ".join(_DECORATION.sub("", _ACCELERATOR.sub("", name)).casefold().split())


def similarity(planned: str, shown: str) -> float:
    """How alike two control names are, from 0 to 100; 100 only for the same name."""
    one, other = plain(planned), plain(shown)
    if one == other:
        return 100.0
    if min(len(one), len(other)) < SHORT:
        return 0.0
    return max(
        0.99 * fuzz.ratio(one, other),
        0.95 * fuzz.token_set_ratio(one, other),  # "Highlight" and "Text Highlight Color"
        0.90 * fuzz.partial_ratio(one, other),  # "Highlight" and "Highlighting Color"
    )


def ground(planned: PlannedAction, observation: Observation, threshold: float, first: bool) -> Control | str | None:
    """The control that the action is for, None where it needs none, or the reason why none is good enough.

    `first`: the observation is the one the plan was made for, so its labels still hold: they decide between controls
    of one name, and stand in for a name that is missing.
    """
    if not planned.control_text:
        if not planned.control_label:
            return None
        control = observation.control(planned.control_label) if first else None
        return control or f"wrong control: no name is planned for label {planned.control_label}, which no longer holds"
    scored = [
        (_score(planned.control_text, control), first and control.label == planned.control_label, control)
        for control in observation.controls
    ]
    best = max(scored, key=lambda entry: (entry[0], entry[1], entry[2].enabled), default=None)
    if best is None or best[0] < threshold:
        near = f"; the nearest is {best[2].control_text[:60]!r} ({best[0]:.0f})" if best else ""
        return f"wrong control: nothing like {planned.control_text[:60]!r} is on the screen{near}"
    return best[2]


def _score(planned: str, control: Control) -> float:
    if control.control_type == "Document":  # a paragraph contains the names of many controls
        return 0.99 * fuzz.ratio(plain(planned), plain(control.control_text)) if planned.strip() else 0.0
    return similarity(planned, control.control_text)
