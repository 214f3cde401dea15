"""A small application with Gymnasium's API for the tests of the agent: a list of words, a field and a button.

The request says what the list must hold: "Make the list: red, blue". The field takes a word, "Add" appends it,
and each word of the list is a control of its own.
"""

import threading
import time

from lam_train.apps.application import ApplicationError
from lam_train.records import Action, Control, Observation, Task, Verdict


class Toy:
    """`breaks`: task ids -> how many attempts at them end in a crash (at the second step), -1 for every one."""

    name = "toy"

    def __init__(self, breaks: dict[str, int] | None = None, step_seconds: float = 0.0) -> None:
        self.breaks = dict(breaks or {})
        self.step_seconds = step_seconds
        self.seeds: list[int] = []
        self.threads: set[int] = set()
        self.alive = False
        self.closed = False

    def reset(self, *, seed=None, options=None):
        self.task: Task = options["task"]
        self.seeds.append(seed)
        self.threads.add(threading.get_ident())
        self.words, self.field, self.steps, self.alive = [], "", 0, True
        return self._observation(""), {"versions": {"toy": "1"}}

    def step(self, action: Action):
        assert self.alive, "a step without a reset"
        self.steps += 1
        time.sleep(self.step_seconds)
        self._break()
        result, error, acceptable = self._act(action)
        info = {"result": result, "error": error, "acceptable": acceptable}
        ended = action.status == "FINISH" and not error
        reward = 0.0
        if ended:
            info["verdict"] = self._verdict()
            reward = float(info["verdict"].complete == "yes")
        return self._observation(result), reward, ended, False, info

    def _break(self) -> None:
        left = self.breaks.get(self.task.task_id, 0)
        if self.steps == 2 and left:
            self.breaks[self.task.task_id] = left - 1
            self.alive = False
            raise ApplicationError("the toy fell apart")

    def _act(self, action: Action) -> tuple[str, bool, list[str]]:
        if action.function == "":
            return "", False, []
        control = self._observation("").control(action.control_label)
        if control is None:
            return f"Error: no control {action.control_label!r}", True, []
        if not control.enabled:
            return f"Error: {control.control_text} is disabled", True, []
        if action.function == "set_edit_text" and control.control_type == "Edit":
            if not isinstance(action.args.get("text"), str):
                return "Error: set_edit_text takes text", True, []
            self.field = action.args["text"]
            return "", False, ["1"]
        if action.function == "click_input" and control.control_text == "Add":
            self.words, self.field = [*self.words, self.field], ""
            return f"{len(self.words)} words", False, ["2"]
        return f"Error: {action.function} does nothing there", True, []

    def _verdict(self) -> Verdict:
        wanted = self.task.request.partition(": ")[2].split(", ")
        if "perhaps" in wanted:
            return Verdict(complete="unsure", reason="who knows")
        return Verdict(complete="yes" if self.words == wanted else "no", reason=f"{self.words} for {wanted}")

    def _observation(self, result: str) -> Observation:
        words = [
            Control(label=str(number), control_text=word, control_type="Document")
            for number, word in enumerate(self.words, start=3)
        ]
        field = Control(label="1", control_text="Word", control_type="Edit", value=self.field)
        add = Control(label="2", control_text="Add", control_type="Button", enabled=bool(self.field))
        return Observation(window="Toy", controls=[field, add, *words], result=result)

    def save(self) -> str:
        return ""

    def screenshot(self) -> bytes:
        return b""

    def close(self) -> None:
        self.closed = True


def toy_task(number: int, words: str = "red, blue", request: str = "Make the list") -> Task:
    return Task(task_id=f"toy-{number}", request=f"{request}: {words}", app="toy")
