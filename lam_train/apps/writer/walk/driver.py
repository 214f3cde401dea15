"""Does the moves of a plan in a live application, and says exactly which could not be done."""

import hashlib
import re
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from lam_train.apps.writer.actions import request
from lam_train.apps.writer.environment import WriterEnvironment
from lam_train.apps.writer.process import RequestError
from lam_train.apps.writer.walk.plans import Act, Move
from lam_train.apps.writer.walk.survey import shown_name
from lam_train.records import Action, Control, Observation, Task

# What Writer writes anew at every save or insertion, whatever the content: properties, revision ids, times, and the
# random numbers in the names of headings' bookmarks.
_NOT_CONTENT = re.compile(r"^docProps/|^word/theme/")
_NEW_EVERY_TIME = re.compile(
    rb'\s*w(?:14)?:(?:rsid\w*|paraId|textId|durableId|date)="[^"]*"|<w:rsids?>.*?</w:rsids?>|_Toc\d+(?:_\d+)?',
    re.DOTALL,
)


class StepFailed(Exception):
    """A step of a plan that could not be done. `kind` is a short word for the counts."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Driver:
    """One Writer, driven by moves. Raises ApplicationError where it breaks, StepFailed where a step does."""

    def __init__(self, application: WriterEnvironment) -> None:
        self.application = application
        self.observation = Observation(window="", controls=[])
        self.steps = 0

    def begin(self, template: str) -> Observation:
        """Brings a fresh copy of the template."""
        task = Task(task_id="walk", request="walk", template=template)
        try:
            self.observation, _ = self.application.reset(options={"task": task})
        except RequestError:  # what was selected or open kept the document from being brought back
            self.restart()
            self.observation, _ = self.application.reset(options={"task": task})
        return self.observation

    def restart(self) -> None:
        """Ends the application; the next `begin` starts another, with a profile of its own."""
        self.application.close()
        self.forget()

    def forget(self) -> None:
        """The application broke: there is nothing on the screen until the next `begin`."""
        self.observation = Observation(window="", controls=[])

    def do(self, moves: Iterable[Move]) -> Observation:
        """Does the moves in order; returns the observation after the last."""
        for move in moves:
            try:
                self._move(move)
            except StepFailed as failure:
                # A menu that is opened right after something was selected shows what it offered before.
                if failure.kind != "disabled" or move.acts[-1].types != ["MenuItem"]:
                    raise
                for _ in move.acts:
                    if self.observation.modal:
                        self.act(Act(function="keyboard_input", args={"keys": "{ESC}"}))
                self._move(move)
        return self.observation

    def _move(self, move: Move) -> None:
        for act in move.acts:
            self.act(act)

    def act(self, act: Act) -> Observation:
        """Does one action."""
        label, name = "", ""
        if act.name or act.types:
            control = self.find(act.name, act.types, act.nth, act.value)
            if control is None:
                missing = f"there is no {'/'.join(act.types)} “{act.name}” in {self.observation.window}"
                raise StepFailed("no control", missing)
            if not control.enabled:
                raise StepFailed("disabled", f"“{act.name}” is disabled in {self.observation.window}")
            label, name = control.label, control.control_text
        action = Action(control_label=label, control_name=name, function=act.function, args=act.args)
        try:
            self.observation, _, _, truncated, info = self.application.step(action)
        except RequestError as error:
            raise StepFailed("refused", f"“{act.name}”: {str(error).strip().splitlines()[-1]}") from None
        self.steps += 1
        if info["error"]:
            raise StepFailed("refused", str(info["result"]))
        if truncated:
            raise StepFailed("step limit", "the episode was cut at the application's step limit")
        return self.observation

    def find(self, name: str, types: Sequence[str] = (), nth: int = 0, value: str = "") -> Control | None:
        """The nth control on the screen with this text ("": any; trailing dots aside), one of the types, and a value
        that begins so."""
        fitting = [
            control
            for control in self.observation.controls
            if (not types or control.control_type in types)
            and (not name or shown_name(control) == name)
            and (control.value or "").startswith(value)
        ]
        return fitting[nth] if nth < len(fitting) else None

    def choices(self, label: str) -> list[str]:
        """The entries of a drop-down list on the screen, which show only when it is open."""
        handle = self.application.screen.node(label)["handle"]
        return self.application.office.request(request("choices", handle=handle))[0]

    def digest(self) -> str:
        """A hash of the document's content as saved now: equal for equal documents."""
        return digest_of(Path(self.application.save()))


def digest_of(document: Path) -> str:
    """A hash of a .docx file's content, without what every save writes anew (properties, revision ids)."""
    total = hashlib.sha256()
    with zipfile.ZipFile(document) as parts:
        for name in sorted(parts.namelist()):
            if not _NOT_CONTENT.match(name):
                total.update(name.encode() + b"\0" + _NEW_EVERY_TIME.sub(b"", parts.read(name)) + b"\0")
    return total.hexdigest()
