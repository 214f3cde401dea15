"""A small word processor with Gymnasium's API on real .docx files, and an expert for it: for the tests of collection.

It knows bold, italic and a style box; its check reads the saved file with python-docx. Requests: "Make 'WORDS' bold"
(or italic); the expert understands those, does "underlined" wrongly (as italic) and gives no plan for anything else.
"""

import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import docx

from lam_train.agent.policy import Decision
from lam_train.apps.application import ApplicationError
from lam_train.records import Action, Control, Observation, Operation, State, Task, Verdict

TEXTS = {
    "letter": ["Dear Ms Lopez", "The order arrived on Monday", "Kind regards"],
    "notes": ["Minutes of the meeting", "Budget was approved", "Next meeting in May"],
}
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a49444154789c6360000000020001e221bc330000"
    "000049454e44ae426082"
)


class ToyDocument:
    """`crashes`: ids of tasks at whose second step the application breaks, always."""

    name = "toy"

    def __init__(self, step_seconds: float = 0.0, crashes: Sequence[str] = ()) -> None:
        self.step_seconds, self.crashes = step_seconds, crashes
        self._folder = tempfile.TemporaryDirectory(prefix="toy-document-")
        self.resets = 0

    def reset(self, *, seed=None, options=None):
        self.task: Task = options["task"]
        self.document = docx.Document()
        for text in TEXTS[self.task.template]:
            self.document.add_paragraph(text)
        self.selected, self.steps, self.resets = "", 0, self.resets + 1
        return self._observation(""), {}

    def step(self, action: Action):
        self.steps += 1
        time.sleep(self.step_seconds)
        if self.task.task_id in self.crashes and self.steps == 2:
            raise ApplicationError("the toy fell apart")
        error = self._act(action)
        result = f"Error: {error}" if error else ""
        info = {"result": result, "error": bool(error), "acceptable": [action.control_label]}
        ended = action.status == "FINISH" and not error
        if ended:
            info |= {"document": self.save(), "verdict": self._verdict()}
        reward = float(ended and info["verdict"].complete == "yes")
        return self._observation(result), reward, ended, False, info

    def _act(self, action: Action) -> str:
        """Does it; what is wrong, or nothing."""
        if action.function == "":
            return ""
        if action.function == "select_text":
            text = action.args.get("text")
            if not any(isinstance(text, str) and text in p.text for p in self.document.paragraphs):
                return f"the text {text!r} is not in the document"
            self.selected = text
            return ""
        control = self._observation("").control(action.control_label)
        if control is None:
            return f"no control {action.control_label!r}"
        if action.function != "click_input" or control.control_text not in ("Bold", "Italic"):
            return f"{action.function} does nothing to {control.control_text}"
        if not self.selected:
            return "nothing is selected"
        for paragraph in self.document.paragraphs:
            before, found, after = paragraph.text.partition(self.selected)
            if found:
                paragraph.clear()
                paragraph.add_run(before)
                setattr(paragraph.add_run(found), control.control_text.lower(), True)
                paragraph.add_run(after)
                break
        return ""

    def _verdict(self) -> Verdict:
        if not self.task.operations:
            return Verdict(complete="unsure", reason="the task has no check")
        (operation,) = self.task.operations
        runs = [run for paragraph in docx.Document(self.save()).paragraphs for run in paragraph.runs]
        marked = [run.text for run in runs if getattr(run, operation.name)]
        good = marked == [operation.parameters["text"]]
        return Verdict(complete="yes" if good else "no", reason=f"{operation.name}: {marked}")

    def _observation(self, result: str) -> Observation:
        buttons = [
            Control(label="1", control_text="Bold", control_type="Button", checked=False),
            Control(label="2", control_text="Italic", control_type="Button", checked=False),
            Control(label="3", control_text="Paragraph Style", control_type="ComboBox", value="Default"),
        ]
        paragraphs = [
            Control(label=str(label), control_text=paragraph.text, control_type="Document", value="Normal")
            for label, paragraph in enumerate(self.document.paragraphs, start=4)
        ]
        return Observation(window=f"{self.task.template}.docx", controls=[*buttons, *paragraphs], result=result)

    def save(self) -> str:
        path = Path(self._folder.name) / "document.docx"
        self.document.save(path)
        return str(path)

    def screenshot(self) -> bytes:
        return PNG

    def close(self) -> None:
        self._folder.cleanup()


def open_toys(count: int = 2) -> list[ToyDocument]:
    """For `trajectories.application`."""
    return [ToyDocument(step_seconds=0.01) for _ in range(count)]


class ToyExpert:
    """Reads "Make 'WORDS' bold" and does it in two steps."""

    name = "toy-expert"

    def decide(self, states: Sequence[State]) -> list[Decision]:
        return [self._decide(state) for state in states]

    def _decide(self, state: State) -> Decision:
        found = re.fullmatch(r"Make '(.+)' (bold|italic|underlined)", state.request)
        if not found:
            return Decision(action=None, problem=f"no plan: {state.request!r} is not understood")
        text, what = found.groups()
        if not state.previous:
            action = Action(function="select_text", args={"text": text}, plan=[f"Make it {what}"])
        else:
            label = "1" if what == "bold" else "2"
            name = state.observation.control(label).control_text
            action = Action(control_label=label, control_name=name, function="click_input", status="FINISH")
        return Decision(action=action, answer=action.model_dump_json())


def toy_expert() -> ToyExpert:
    """For `expert.kind`."""
    return ToyExpert()


def toy_document_task(number: int, what: str = "bold", text: str = "", request: str = "", **keys) -> Task:
    """A task on one of the two texts; ids are toy-0000 and so on."""
    template = ("letter", "notes")[number % 2]
    text = text or TEXTS[template][number // 2 % 3].split()[0]
    return Task(
        task_id=f"toy-{number:04d}",
        request=request or f"Make '{text}' {what}",
        app="toy",
        template=template,
        family=what,
        operations=[Operation(name=what.replace("underlined", "underline"), parameters={"text": text})],
        **keys,
    )
