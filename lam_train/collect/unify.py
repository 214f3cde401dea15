"""One form for all pairs: `tasks.py` makes the task, this file the steps and the record.

A step is a sentence with a full stop; menu paths read "Format > Page Style", whatever the page wrote (the arrows
are made by `document.clean`).
"""

import re

from lam_train.collect.raw import RawPair
from lam_train.collect.tasks import task_of
from lam_train.records import TaskPlan

_SEE = re.compile(r"\s*\((?:see|refer to|for (?:more|details))\b[^()]*\)", re.IGNORECASE)
_FIGURE = re.compile(
    r"\s*\(?(?:see|as shown in|refer to) (?:figure|section|the figure|table)\b[^.()]*\)?", re.IGNORECASE
)
_FIGURE_LABEL = re.compile(r"\s\([A-Z]\)(?=[\s.,;]|$)")  # "Click Reveal (B)", with a picture beside it
_SEE_SENTENCE = re.compile(
    r"(?:^|(?<=[.!?]) )(?:Please )?(?:See(?: also)?|Refer to|"
    r"For (?:more|further|additional|details|a (?:list|description|detailed|full))|"
    r"More information|Read more|Find (?:more|out more))\b[^.!?]*(?:\.(?=[a-z0-9])[^.!?]*)*(?:[.!?]|$)"
)
_ANNOUNCEMENT = re.compile(r"(?<=[.!?)]) [A-Z][^.!?]*:$")  # "The following screen appears:" and then a picture
_STEP_NUMBER = re.compile(r"^(?:step\s*)?\(?\d{1,2}[.):]\s+", re.IGNORECASE)


def unify_step(step: str) -> str:
    """A step without numbering, cross references and loose marks, as a sentence."""
    text = _FIGURE_LABEL.sub("", _STEP_NUMBER.sub("", step.strip()))
    text = _FIGURE.sub("", _SEE.sub("", text))
    text = _SEE_SENTENCE.sub("", text).strip(" \t•*–—-")
    text = re.sub(r"\s+", " ", text)
    text = _ANNOUNCEMENT.sub("", text)
    text = re.sub(r"\s+([,.;:!?])(?=\s|$)", r"\1", text).rstrip(" ,;")
    if not text or not re.search(r"\w", text):
        return ""
    text = re.sub(r"\.{4,}", "...", text[0].upper() + text[1:].replace("…", "..."))
    return text if re.search(r"[.!?:][)”\"’]?$", text) else text + "."


def unify(raw: RawPair) -> TaskPlan:
    """The pair as a record. Its task must exist (`filters.reason_to_drop` saw to it)."""
    task = task_of(raw)
    assert task is not None, raw.task_id
    plan = [step for step in map(unify_step, raw.steps) if step]
    return TaskPlan(
        task_id=raw.task_id,
        task=task,
        plan=plan,
        source=raw.source,
        app=raw.app,
        license=raw.license,
        page=raw.page,
        kind=raw.kind,
    )
