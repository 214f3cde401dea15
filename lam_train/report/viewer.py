"""The page of episodes: one HTML file without a network, in which every episode can be stepped through.

All text comes from applications and models, so it is data: it lies as JSON in a script element that is never run, with
every "<" escaped, and the page's script puts it in place as text nodes. A Content-Security-Policy allows no other
script, no style from elsewhere and no address at all but the embedded pictures.
"""

import base64
import hashlib
import io
import json
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from lam_train.evaluate.acting_results import ActingReport
from lam_train.records import Action, Control, Observation, Task
from lam_train.report.acting_tables import OFFLINE_TITLES, ONLINE_TITLES, SHARES
from lam_train.report.changes import Change, Line

PICTURE_WIDTH = 1120  # pixels; wider screenshots are made smaller


class Page:
    """Collects episodes; equal controls, observations and pictures are kept once."""

    def __init__(self, report: ActingReport) -> None:
        self._report = report
        self._controls: dict[str, int] = {}
        self._observations: dict[str, int] = {}
        self._pictures: dict[str, int] = {}
        self._episodes: list[dict[str, Any]] = []

    def add(
        self,
        model: str,
        task: Task,
        outcome: str,
        steps: list[dict[str, Any]],
        *,
        reason: str = "",
        verdict: str = "",
        seconds: float | None = None,
        last: Observation | None = None,
        last_picture: Path | None = None,
        document: list[Line] | None = None,
    ) -> None:
        """An episode. `steps` come from `step`; `document` is None where the document was not kept."""
        self._episodes.append(
            {
                "model": model,
                "task": task.task_id,
                "request": task.request,
                "family": task.family,
                "template": task.template,
                "wording": task.wording,
                "outcome": outcome,
                "reason": reason,
                "verdict": verdict,
                "seconds": seconds,
                "steps": steps,
                "last": None if last is None else self.observation(last),
                "lastPicture": self.picture(last_picture),
                "document": None if document is None else [[line.kind, line.pieces] for line in document],
            }
        )

    def step(
        self,
        observation: Observation,
        action: Action | None,
        *,
        changes: list[Change] | None,
        answer: str = "",
        problem: str = "",
        result: str = "",
        error: bool = False,
        acceptable: Iterable[str] = (),
        expected: Action | None = None,
        marks: dict[str, bool] | None = None,
        seconds: float | None = None,
        decision_seconds: float | None = None,
        picture: Path | None = None,
    ) -> dict[str, Any]:
        """One turn. `changes` is None where the screen after it was not kept.

        `expected` and `marks` (what of the action is right) are for offline answers.
        """
        return {
            "o": self.observation(observation),
            "picture": self.picture(picture),
            "action": None if action is None else action.model_dump(),
            "answer": answer,
            "problem": problem,
            "result": result,
            "error": error,
            "acceptable": list(acceptable),
            "expected": None if expected is None else expected.model_dump(),
            "marks": marks,
            "seconds": None if seconds is None else round(seconds, 3),
            "decision": None if decision_seconds is None else round(decision_seconds, 3),
            "changes": None if changes is None else [[one.kind, one.what, one.detail] for one in changes],
        }

    def observation(self, observation: Observation) -> int:
        """The observation's number among those of the page."""
        labels = [control.label for control in observation.controls]
        in_order = labels == [str(number) for number in range(1, len(labels) + 1)]
        shown = {
            "window": observation.window,
            "modal": observation.modal,
            "controls": [self._control(control) for control in observation.controls],
            "labels": None if in_order else labels,
        }
        return self._observations.setdefault(json.dumps(shown), len(self._observations))

    def _control(self, control: Control) -> int:
        shown = [
            control.control_type,
            control.control_text,
            control.selected,
            control.checked,
            control.value,
            control.enabled,
        ]
        return self._controls.setdefault(json.dumps(shown), len(self._controls))

    def picture(self, file: Path | None) -> int | None:
        """The picture's number among those of the page; None for none, or one that cannot be read."""
        address = None if file is None or not file.exists() else picture_address(file)
        return None if address is None else self._pictures.setdefault(address, len(self._pictures))

    def write(self, path: Path) -> None:
        """Writes the page."""
        data = {
            "head": _head(self._report),
            "controls": [json.loads(control) for control in self._controls],
            "observations": [json.loads(observation) for observation in self._observations],
            "pictures": list(self._pictures),
            "episodes": self._episodes,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html_page(data), encoding="utf-8")


def html_page(data: dict[str, Any]) -> str:
    """The page with its data in it."""
    here = files("lam_train.report")
    script = (here / "viewer.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    pieces = {
        "POLICY": f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        "STYLE": (here / "viewer.css").read_text(encoding="utf-8"),
        "SCRIPT": script,
        "DATA": json_in_html(data),
    }
    page = (here / "viewer.html").read_text(encoding="utf-8")
    before, *rest = page.split("@@")  # @@NAME@@: in one pass, so that no piece is looked into
    return before + "".join(pieces[part] if place % 2 == 0 else part for place, part in enumerate(rest))


def json_in_html(data: object) -> str:
    """JSON that no HTML parser can take for a tag: "<", ">" and "&" are escaped as JSON allows."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for mark in "<>&\u2028\u2029":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text.encode("utf-8", "backslashreplace").decode("utf-8")  # a lone surrogate as its JSON escape


def picture_address(file: Path) -> str | None:
    """A screenshot as a small data: address, at most `PICTURE_WIDTH` wide; None where it is no picture."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as opened:
            picture = opened.convert("RGB")
    except (UnidentifiedImageError, OSError):
        return None
    if picture.width > PICTURE_WIDTH:
        height = round(picture.height * PICTURE_WIDTH / picture.width)
        picture = picture.resize((PICTURE_WIDTH, height), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    picture.save(written, "WEBP", quality=70, method=4)
    return "data:image/webp;base64," + base64.b64encode(written.getvalue()).decode()


def _head(report: ActingReport) -> dict[str, Any]:
    """The page's title and its table of scores: per model and metric [mean, low, high] and whether it is a share."""
    titles = OFFLINE_TITLES if report.kind == "offline" else ONLINE_TITLES
    columns = [[metric, title, report.kind == "offline" or metric in SHARES] for metric, title in titles.items()]
    return {
        "kind": report.kind,
        "tasks": report.tasks,
        "steps": report.steps,
        "templates": report.templates,
        "level": report.level,
        "columns": columns,
        "scores": [
            [
                score.name,
                [
                    None if found is None else [found.mean, found.low, found.high]
                    for found in (score.estimates.get(metric) for metric in titles)
                ],
            ]
            for score in report.scores
        ],
    }
