"""Wraps an application and keeps what a trajectory does not hold: pictures, the last observation, the document."""

import hashlib
import logging
import re
import shutil
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from lam_train.apps.application import Application, ApplicationError
from lam_train.records import Action, Observation, Record, Task, read_jsonl, write_jsonl
from lam_train.report.document_text import document_lines

log = logging.getLogger(__name__)


class Recording(Record):
    """What was kept of an episode, beside its pictures 0.png (after the reset), 1.png (after the first action), …"""

    task_id: str
    last: Observation
    before: list[str]  # the document after the reset, as `document_lines` gives it; empty where it could not be read
    after: list[str]  # and at the end


class RecordedApplication:
    """An application whose episodes on some tasks are recorded into a folder each. Acts like the one it wraps.

    Taking pictures and reading documents takes time between the steps, not within them: rates that are measured
    inside the application do not change. Where a picture or a document cannot be had, it is left out.
    """

    def __init__(
        self, application: Application, folder: Path, tasks: Collection[str], pictured: Collection[str]
    ) -> None:
        """`tasks` are the ids of the tasks that are recorded, `pictured` of those that get pictures too."""
        self._application = application
        self._folder = folder
        self._tasks = set(tasks)
        self._pictured = set(pictured)
        self._task: Task | None = None  # of the episode that is being recorded
        self._pictures = 0
        self._before: list[str] = []
        self._last: Observation | None = None

    @property
    def name(self) -> str:
        return self._application.name

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        self._end()
        observation, info = self._application.reset(seed=seed, options=options)
        task = (options or {}).get("task")
        if task is not None and task.task_id in self._tasks:
            shutil.rmtree(recording_folder(self._folder, task.task_id), ignore_errors=True)
            self._task, self._pictures = task, 0
            self._before = self._document()
            self._keep(observation)
        return observation, info

    def step(self, action: Action):
        observation, reward, terminated, truncated, info = self._application.step(action)
        if self._task is not None:
            self._keep(observation)
            if terminated or truncated:
                self._end(info.get("document"))
        return observation, reward, terminated, truncated, info

    def save(self) -> str:
        return self._application.save()

    def screenshot(self) -> bytes:
        return self._application.screenshot()

    def close(self) -> None:
        self._end()
        self._application.close()

    def finish(self) -> None:
        """Writes down the episode that was last recorded, where the application did not end it (a step limit)."""
        self._end()

    def _keep(self, observation: Observation) -> None:
        self._last = observation
        number, self._pictures = self._pictures, self._pictures + 1
        if self._task is None or self._task.task_id not in self._pictured:
            return
        try:
            picture = self._application.screenshot()
        except (ApplicationError, NotImplementedError, AttributeError) as error:
            log.warning("no picture of %s: %s", self._task.task_id, error)
            return
        folder = recording_folder(self._folder, self._task.task_id)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(picture)

    def _end(self, document: str | None = None) -> None:
        """Writes the recording, if there is one under way."""
        task, self._task = self._task, None
        if task is None or self._last is None:
            return
        recording = Recording(
            task_id=task.task_id, last=self._last, before=self._before, after=self._document(document)
        )
        folder = recording_folder(self._folder, task.task_id)
        write_jsonl(folder / "recording.jsonl", [recording])

    def _document(self, path: str | None = None) -> list[str]:
        try:
            return document_lines(Path(path or self._application.save()))
        except (
            ApplicationError,
            NotImplementedError,
            AttributeError,
            OSError,
            ValueError,
            zipfile.BadZipFile,
        ) as error:
            log.warning("no document: %s", error)
            return []


def recording_folder(folder: Path, task_id: str) -> Path:
    """Where a task's recording lies; ids may hold any characters."""
    readable = re.sub(r"[^\w.-]+", "_", task_id)[:60].strip(".") or "task"
    return folder / f"{readable}-{hashlib.sha256(task_id.encode()).hexdigest()[:6]}"


def read_recording(folder: Path, task_id: str) -> tuple[Recording | None, dict[int, Path]]:
    """(recording, picture by number) of a task; None and nothing where it was not recorded."""
    place = recording_folder(folder, task_id)
    file = place / "recording.jsonl"
    recording = next(read_jsonl(file, Recording), None) if file.exists() else None
    return recording, {int(picture.stem): picture for picture in place.glob("*.png")}
