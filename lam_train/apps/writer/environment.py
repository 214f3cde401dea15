"""LibreOffice Writer as a Gymnasium environment: one process, one document, one episode at a time."""

import io
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from PIL import Image

from lam_train.apps.application import ApplicationError
from lam_train.apps.writer.acceptable import acceptable
from lam_train.apps.writer.actions import Act, act_of, request
from lam_train.apps.writer.controls import Screen, screen_of
from lam_train.apps.writer.mistakes import Mistake
from lam_train.apps.writer.process import Office, RequestError
from lam_train.apps.writer.screenshot import compose
from lam_train.apps.writer.settings import WriterSettings
from lam_train.errors import UserError
from lam_train.records import Action, Observation, Task, Verdict

TEMPLATES = Path(__file__).parent / "templates"
MOST_DIALOGS = 8
MOST_CHOICES = 60
MOST_LOOKS_AGAIN = 3
PAUSE_ROUNDS = 10
ESCAPE = request("press", 2, keystrokes=[["ESCAPE", "", 0]])
REFUSED_DIALOGS = {
    *("Open", "Save As", "Save", "Export", "Insert", "Insert Image", "Select Path", "Link", "Import", "Insert file"),
    *(
        "LibreOffice Help Not Installed",
        "Print",
        "Export as PDF",
        "Templates",
        "Extension Manager",
        "Password Required",
    ),
}
Check = Callable[[Task, Path, Path], Verdict]


class WriterEnvironment(gymnasium.Env):
    """Writer, started on demand and kept warm (protocol: `lam_train.apps.application.Application`).

    `templates`: the folder of the tasks' documents, the shipped one by default. `check` judges a finished
    episode from (task, the template, the saved document); without one the verdict is "unsure".
    """

    name = "writer"
    metadata = {"render_modes": ["rgb_array"]}
    render_mode = "rgb_array"

    def __init__(
        self, settings: WriterSettings | None = None, templates: Path | None = None, check: Check | None = None
    ) -> None:
        self.settings = settings or WriterSettings()
        self.templates = templates or TEMPLATES
        self.check = check
        self.office: Office | None = None
        self.task: Task | None = None
        self.screen: Screen | None = None
        self.shown: Path | None = None  # the template that is open
        self.first: Observation | None = None  # how it looked first
        self.view: list[Any] = []  # the view's switches when it was opened
        self.steps = 0
        self.deadline = 0.0

    # --- the protocol

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        task = (options or {}).get("task", self.task)
        if task is None:
            raise UserError('reset needs options={"task": …}: a Task whose template is shown')
        self.original = self._template(task)
        self.task = task
        self._recycle()
        fresh = self.office is None or not self.office.alive
        if fresh:
            self._start()
        self.deadline = time.monotonic() + self.settings.episode_timeout_s
        self.steps = 0
        try:
            self._open()
        except ApplicationError:
            if fresh:
                raise
            self._start()  # the last episode left a state behind that Writer does not come out of
            self._load()
        self.office.episodes += 1
        return self.screen.observation, {"acceptable": [], "result": "", "error": False}

    def step(self, action: Action) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        self._must_be_running("step")
        if time.monotonic() > self.deadline:
            self._kill()
            raise ApplicationError(f"the episode took longer than {self.settings.episode_timeout_s:g} s")
        before = self.screen
        self.steps += 1
        result, error = self._carry_out(action)
        info: dict[str, Any] = {"result": result, "error": error, "acceptable": acceptable(action, before)}
        terminated = action.status == "FINISH" and not error
        reward = 0.0
        if terminated:
            info["document"] = self.save()
            info["verdict"] = self._verdict(Path(info["document"]))
            reward = 1.0 if info["verdict"].complete == "yes" else 0.0
        most = self.settings.max_steps
        truncated = not terminated and most is not None and self.steps >= most
        return self.screen.observation, reward, terminated, truncated, info

    def save(self) -> str:
        self._must_be_running("save")
        path = self.office.work / "saved" / Path(self.task.template).with_suffix(".docx").name
        path.parent.mkdir(exist_ok=True)
        self._must(request("store", whole=True, url=path.as_uri()))
        return str(path)

    def screenshot(self) -> bytes:
        self._must_be_running("screenshot")
        if self.office.virtual_screen is not None:
            return self.office.virtual_screen.screenshot()
        folder = self.office.work / "screenshot"
        folder.mkdir(exist_ok=True)
        (windows,) = self._request(request("picture", whole=True, path=str(folder)))
        return compose(windows)

    def render(self) -> np.ndarray:
        """The screenshot as an array of uint8, (height, width, 3)."""
        with Image.open(io.BytesIO(self.screenshot())) as picture:
            return np.asarray(picture)

    def close(self) -> None:
        self._kill()

    # --- parts

    def _must_be_running(self, what: str) -> None:
        if self.task is None:
            raise UserError(f"{what} before reset: call reset first")
        if self.screen is None:  # no mistake of the caller's, who may not know yet: a picture may have broken it
            raise ApplicationError(f"{what} after Writer ended: call reset first")

    def _template(self, task: Task) -> Path:
        named = self.templates / task.template
        path = named if named.suffix else named.with_suffix(".docx")  # tasks name it without its ending
        # A task's name must not lead out of the folder; a link in it may, since whose folder it is put it there.
        if not task.template or path.parent != self.templates or not path.is_file():
            raise UserError(f"task {task.task_id}: no template {task.template!r} in {self.templates}")
        return path

    def _start(self) -> None:
        self._kill()
        self.office = Office(self.settings)

    def _recycle(self) -> None:
        """Ends a Writer that has grown too big or too old; a reset then starts another."""
        office = self.office
        if office is None:
            return
        if (
            office.episodes >= self.settings.recycle_after_episodes
            or office.memory_mib() > self.settings.recycle_memory_mib
        ):
            self._kill()

    def _open(self) -> None:
        """Shows a fresh copy of the task's document: by undoing all when that is exact, else by opening it."""
        if not self._leave_dialogs():
            self._start()
        if self.shown == self.original and self._restore():
            return
        self._load()
        if self.office.view != self.view:  # an episode has switched something that Writer keeps
            self._start()
            self._load()

    def _load(self) -> None:
        self.screen, self.shown = None, None
        document = self.office.work / self.original.name
        shutil.copyfile(self.original, document)
        size = {"width": self.settings.width, "height": self.settings.height}
        (opened,) = self._must(request("open", 2, True, url=document.as_uri(), **size))
        if not opened:
            raise UserError(f"{self.original}: Writer cannot open it")
        self._must(request("lay_out", whole=True, until_still=True))
        self.screen, self.shown = screen_of(self._look()), self.original
        if self.screen.observation.modal:
            window = self.screen.observation.window
            self._kill()
            raise ApplicationError(f"{self.original.name} was opened, and {window} stands before it")
        (self.view,) = self._must(request("remember", whole=True, path=str(self.office.work / "state.docx")))
        self.office.view = self.office.view or self.view
        self.first = self.screen.observation

    def _leave_dialogs(self) -> bool:
        """Closes menus and dialogs that the last episode left open; says whether all went.

        Writer keeps those that stay beside a document, Fields for one, open for the next document too.
        """
        for _ in range(MOST_DIALOGS):
            if self.screen is None or not self.screen.observation.modal:
                return True
            self._must(ESCAPE)
            self.screen = screen_of(self._look())
        return False

    def _restore(self) -> bool:
        """Whether undoing everything gave the document, its view and its controls as they were first."""
        try:
            (restored,) = self._request(request("restore", 2, True, path=str(self.office.work / "state.docx")))
        except RequestError:  # what undoes itself can refuse to
            return False
        self.screen = screen_of(self._look())
        return restored and self.screen.observation == self.first

    def _carry_out(self, action: Action) -> tuple[str, bool]:
        """(result, error) of an action; the screen is then what it shows."""
        try:
            act = act_of(action, self.screen)
        except Mistake as mistake:
            self._show(str(mistake))
            return str(mistake), True
        if not act.requests:
            self._show(act.result)
            return act.result, False
        try:
            values = self._perform(act)
        except RequestError as error:
            self.screen = screen_of(self._look(), f"not possible: {error}")
            return self.screen.observation.result, True
        refused = bool(act.refused) and values[-1] is False
        result, seen = act.refused if refused else act.result, self._look()
        if action.function == "click_input":
            seen = self._look_again(seen, action.control_label)
        if act.shows and values[-1]:
            result = f"{act.shows}: {'; '.join(values[-1][:MOST_CHOICES])}"
        if seen["kind"] == "dialog" and seen["title"] in REFUSED_DIALOGS:
            result, refused = f"not available: {seen['title']}", True
            self._must(ESCAPE)
            seen = self._look()
        self.screen = screen_of(seen, result)
        return result, refused

    def _perform(self, act: Act) -> list[Any]:
        """The values of an action's requests; on a screen, a click is one of the pointer."""
        pointer = self.office.virtual_screen
        if pointer is None or act.requests[-1]["do"] != "choose":
            return self._request(*act.requests)
        (place,) = self._request(request("middle", handle=act.requests[-1]["with"]["handle"]))
        if place is None:
            return self._request(*act.requests)
        try:
            pointer.click(*place, act.requests[-1]["with"]["count"])
        except ApplicationError:
            self._kill()
            raise
        return self._request(request("pause", PAUSE_ROUNDS))

    def _look_again(self, seen: dict[str, Any], label: str) -> dict[str, Any]:
        """A click that seems to have done nothing gets a little more time: on a busy machine a dialog opens late."""
        before = self.screen.observation.model_copy(update={"result": ""})
        if before.control(label).control_type == "Document":
            return seen
        for _ in range(MOST_LOOKS_AGAIN):
            if screen_of(seen).observation != before:
                break
            self._must(request("pause", PAUSE_ROUNDS))
            seen = self._look()
        return seen

    def _look(self) -> dict[str, Any]:
        """What Writer shows."""
        return self._must(request("observe", whole=True, until_still=True))[0]

    def _show(self, result: str) -> None:
        observation = self.screen.observation.model_copy(update={"result": result})
        self.screen = Screen(self.screen.kind, observation, self.screen.nodes)

    def _verdict(self, saved: Path) -> Verdict:
        if self.check is None:
            return Verdict(complete="unsure", reason="no check was given")
        return self.check(self.task, self.original, saved)

    def _request(self, *requests: dict[str, Any]) -> list[Any]:
        try:
            return self.office.request(*requests)
        except ApplicationError:
            self._kill()
            raise

    def _must(self, *requests: dict[str, Any]) -> list[Any]:
        """What a Writer in order does; one that does not (a dialog that stays keeps its document open) is ended."""
        try:
            return self._request(*requests)
        except RequestError as error:
            self._kill()
            raise ApplicationError(f"Writer does not do what it must: {error}") from None

    def _kill(self) -> None:
        if self.office is not None:
            self.office.kill()
        self.office, self.screen, self.shown = None, None, None
