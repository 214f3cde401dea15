"""What a judge looks at besides the trajectory: the document before and after, the last controls, two screenshots.

An environment is wrapped, so whatever runs the episodes needs to know nothing of it.
"""

import hashlib
import re
import shutil
from pathlib import Path
from typing import Any

from lam_train.apps.application import Application
from lam_train.records import Action, Observation

BEFORE, AFTER, LAST = "before", "after", "final_observation.json"


class EvidenceRecorder:
    """An application that leaves a folder of evidence for each finished episode; otherwise the one it wraps."""

    def __init__(self, application: Application, folder: Path, screenshots: bool) -> None:
        self._application, self._folder, self._screenshots = application, folder, screenshots
        self._task_id: str | None = None

    @property
    def name(self) -> str:
        return self._application.name

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        observation, info = self._application.reset(seed=seed, options=options)
        self._task_id = options["task"].task_id
        self._keep(BEFORE, self._application.save(), fresh=True)
        return observation, info

    def step(self, action: Action):
        observation, reward, terminated, truncated, info = self._application.step(action)
        if terminated and self._task_id is not None:
            self._keep(AFTER, info.get("document") or self._application.save())
            self._evidence.joinpath(LAST).write_text(observation.model_dump_json(), encoding="utf-8")
            self._task_id = None
        return observation, reward, terminated, truncated, info

    @property
    def _evidence(self) -> Path:
        return evidence_folder(self._folder, self._task_id)

    def _keep(self, when: str, document: str, fresh: bool = False) -> None:
        if fresh:
            shutil.rmtree(self._evidence, ignore_errors=True)
        self._evidence.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(document, self._evidence / f"{when}{Path(document).suffix}")
        if self._screenshots:
            (self._evidence / f"{when}.png").write_bytes(self._application.screenshot())

    def save(self) -> str:
        return self._application.save()

    def screenshot(self) -> bytes:
        return self._application.screenshot()

    def close(self) -> None:
        self._application.close()


def evidence_folder(folder: Path, task_id: str) -> Path:
    """Where a task's evidence lies: ids may hold any characters, and must not leave the folder or collide."""
    readable = re.sub(r"[^A-Za-z0-9-]+", "_", task_id)[:60].strip("_")
    return folder / f"{readable}-{hashlib.sha256(task_id.encode()).hexdigest()[:10]}"


def documents(evidence: Path) -> tuple[Path | None, Path | None]:
    """The document before and after; None where there is none."""
    found = [
        next((file for file in sorted(evidence.glob(f"{when}.*")) if file.suffix != ".png"), None)
        for when in (BEFORE, AFTER)
    ]
    return found[0], found[1]


def screenshots(evidence: Path) -> list[bytes | None]:
    """The PNG before and after."""
    files = [evidence / f"{when}.png" for when in (BEFORE, AFTER)]
    return [file.read_bytes() if file.is_file() else None for file in files]


def final_observation(evidence: Path) -> Observation | None:
    """What was on the screen after the last action."""
    file = evidence / LAST
    return Observation.model_validate_json(file.read_text(encoding="utf-8")) if file.is_file() else None
