"""What changed between two observations, and between two versions of a document."""

import re
from difflib import SequenceMatcher
from itertools import pairwise, zip_longest
from typing import Literal

from lam_train.records import Control, Observation, Record

MOST = 60  # changes that are listed
CONTEXT = 1  # unchanged lines shown around a changed one


class Change(Record):
    """A control that came, went or is otherwise than before; or the window."""

    kind: Literal["window", "added", "removed", "changed", "more"]
    what: str
    detail: str = ""


class Line(Record):
    """A line of a compared document: pieces that stayed, went or came, as (kind, text)."""

    kind: Literal["same", "gone", "new", "gap"]
    pieces: list[tuple[Literal["same", "gone", "new"], str]]


def observation_changes(before: Observation, after: Observation, earlier: Observation | None = None) -> list[Change]:
    """The window, then the controls in the order of the list; at most `MOST`.

    Another window or dialog has other controls, so that only their number is said; unless that window was seen before,
    as `earlier`: then it is compared with itself.
    """
    if before.window == after.window and before.modal == after.modal:
        return _cut(_control_changes(before, after))
    opened = "a dialog or menu" if after.modal else "the document"
    count = f"{opened}, {len(after.controls)} controls"
    if earlier is None:
        return [Change(kind="window", what=after.window, detail=count)]
    window = Change(kind="window", what=after.window, detail=f"{count}; since it was seen last:")
    found = _control_changes(earlier, after)
    return [window, *(_cut(found) or [Change(kind="more", what="nothing else changed")])]


def changes_of_episode(observations: list[Observation]) -> list[list[Change]]:
    """What changed from each observation to the next; windows that come back are compared with themselves."""
    seen: dict[tuple[str, bool], Observation] = {}
    found = []
    for before, after in pairwise(observations):
        seen[before.window, before.modal] = before
        found.append(observation_changes(before, after, seen.get((after.window, after.modal))))
    return found


def _cut(found: list[Change]) -> list[Change]:
    if len(found) <= MOST:
        return found
    return [*found[:MOST], Change(kind="more", what=f"and {len(found) - MOST} more")]


def _control_changes(before: Observation, after: Observation) -> list[Change]:
    found: list[Change] = []
    old, new = [_key(c) for c in before.controls], [_key(c) for c in after.controls]
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            pairs = zip(before.controls[a:b], after.controls[c:d], strict=True)
            found += filter(None, (_state_change(one, other) for one, other in pairs))
        else:
            found += _replaced(before.controls[a:b], after.controls[c:d])
    return found


def _key(control: Control) -> tuple[str, str]:
    return control.control_type, control.control_text


def _name(control: Control) -> str:
    return f"{control.control_type} {control.control_text!r}" if control.control_text else control.control_type


def _replaced(before: list[Control], after: list[Control]) -> list[Change]:
    """A block of controls for another one. Where both are document text, one by one: a paragraph was edited."""
    documents = all(control.control_type == "Document" for control in [*before, *after])
    found = []
    for one, other in zip_longest(before, after) if documents else ():
        if one and other:
            found.append(Change(kind="changed", what=_name(one), detail=f"text → {other.control_text!r}"))
        elif one:
            found.append(Change(kind="removed", what=_name(one)))
        else:
            found.append(Change(kind="added", what=_name(other)))
    if not documents:
        found += [Change(kind="removed", what=_name(control)) for control in before]
        found += [Change(kind="added", what=_name(control)) for control in after]
    return found


def _state_change(before: Control, after: Control) -> Change | None:
    parts = []
    for field in ("selected", "checked", "value", "enabled"):
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            parts.append(f"{field} {_shown(old)} → {_shown(new)}")
    return Change(kind="changed", what=_name(after), detail=", ".join(parts)) if parts else None


def _shown(value: bool | str | None) -> str:
    return {True: "yes", False: "no", None: "none"}.get(value) or repr(value)


def document_changes(before: list[str], after: list[str]) -> list[Line]:
    """The changed lines with a line of context around them; lines that went and came in pairs are compared by words."""
    lines: list[Line] = []
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            lines += [Line(kind="same", pieces=[("same", text)]) for text in before[a:b]]
        elif b - a == d - c:
            for one, other in zip(before[a:b], after[c:d], strict=True):
                lines += _compared_lines(one, other)
        else:
            lines += [Line(kind="gone", pieces=[("gone", text)]) for text in before[a:b]]
            lines += [Line(kind="new", pieces=[("new", text)]) for text in after[c:d]]
    return _with_context(lines)


def _compared_lines(before: str, after: str) -> list[Line]:
    old, new = _words(before), _words(after)
    gone, came = [], []
    for tag, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if b > a:
            gone.append(("same" if tag == "equal" else "gone", "".join(old[a:b])))
        if d > c:
            came.append(("same" if tag == "equal" else "new", "".join(new[c:d])))
    return [Line(kind="gone", pieces=gone), Line(kind="new", pieces=came)]


def _words(line: str) -> list[str]:
    """Formatting marks, words, spaces and punctuation, each for itself."""
    return re.findall(r"⟨[^⟩]*⟩|\w+|\s+|[^\w\s]", line)


def _with_context(lines: list[Line]) -> list[Line]:
    changed = [place for place, line in enumerate(lines) if line.kind != "same"]
    kept = {near for place in changed for near in range(place - CONTEXT, place + CONTEXT + 1)}
    shown: list[Line] = []
    for place, line in enumerate(lines):
        if place in kept:
            shown.append(line)
        elif changed and (not shown or shown[-1].kind != "gap"):
            shown.append(Line(kind="gap", pieces=[]))
    return shown
