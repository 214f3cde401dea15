"""What flows between the rooms, as typed records, with strict JSONL in and out."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from lam_train.errors import UserError

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
PlanKind = Literal["steps", "prose", "menu_path"]
Split = Literal["train", "explore", "validation", "test"]
Status = Literal["CONTINUE", "FINISH"]
Outcome = Literal["success", "fail", "unsure", "error"]  # "error": application or endpoint broke, not the policy
ControlType = Literal[
    "Button", "Edit", "TabItem", "ListItem", "MenuItem", "ScrollBar", "TreeItem", "Document", "Hyperlink", "ComboBox"
]  # the paper's ten UIA types (Appendix C)
FAILURES = (
    "bad format",  # an answer that is no action
    "wrong control",  # a label that is not on the screen, or one that cannot take the function
    "wrong argument",
    "early finish",  # FINISH, and the document is not as asked
    "step limit",
    "application error",
    "no plan",  # the expert does not understand the request
)


class Record(BaseModel):
    """A line of JSONL: unknown keys and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TaskPlan(Record):
    """A task and the plan that does it (phase 1's data; paper, section 3.1)."""

    task_id: Text
    task: Text
    plan: Annotated[list[Text], Field(min_length=1)]
    source: str = "own"
    app: str = ""
    license: str = ""
    page: str = ""
    kind: PlanKind = "steps"  # "steps": a numbered list; the two others are weaker, made from prose


class Operation(Record):
    """One thing that a task asks for, as its checker knows it; never shown to a policy or an expert."""

    name: Text  # the family: "bold", "insert_table", …
    parameters: dict[str, JsonValue] = {}


class Task(Record):
    """A request about a document, and what must have become of the document for it to be done."""

    task_id: Text
    request: Text
    app: Text = "writer"
    template: str = ""  # the document it starts from, by its name among the application's templates
    family: str = ""  # the operations' names, joined by "+"
    wording: str = ""  # which phrasing the request is, so that phrasings can be held out
    operations: list[Operation] = []
    split: Split = "train"
    source: str = "own"  # "generated", "evolved", "imported", …
    parent: str = ""  # the task or task-plan it was made from


class Control(Record):
    """A control on the screen, as the paper lists it (Appendix C)."""

    label: Text  # "1", "2", … in the order of the list; holds for this observation only
    control_text: str
    control_type: ControlType
    selected: bool | None = None  # None here and below: the control has no such state
    checked: bool | None = None
    value: str | None = None  # what a field holds; of document text, its paragraph style or the cell's name
    enabled: bool = True


class Observation(Record):
    """What a policy sees: the visible controls of the focused window, the document's text among them."""

    window: str  # title of the focused window or dialog
    controls: list[Control]
    modal: bool = False  # a dialog or an open menu stands before the document and replaces the list
    result: str = ""  # of the last action: what it gave, or why it was refused

    def control(self, label: str) -> Control | None:
        """The control with this label, or None."""
        return next((control for control in self.controls if control.label == label), None)


class Action(Record):
    """A policy's decision, with the paper's seven keys (Appendix C). `function` "" does nothing: it only finishes."""

    thought: str = ""
    control_label: str = ""  # "" where the function needs no control
    control_name: str = ""
    function: str = ""
    args: dict[str, JsonValue] = {}
    status: Status = "CONTINUE"  # FINISH: the task is done once this action is
    plan: list[str] = []  # what is still to do after this action; empty when finished


class Previous(Record):
    """An earlier action and what came of it."""

    action: Action
    result: str = ""
    error: bool = False  # it was refused and changed nothing


class State(Record):
    """All that a policy decides on: request, observation, and the memory of the episode."""

    request: Text
    observation: Observation
    previous: list[Previous] = []
    app: Text = "writer"

    @property
    def plan(self) -> list[str]:
        """The previous plan: what was still to do after the last action."""
        return self.previous[-1].action.plan if self.previous else []


class Step(Record):
    """One turn of an episode. The token fields are a model's own; empty for experts and endpoints."""

    observation: Observation  # before the action
    action: Action
    result: str = ""
    error: bool = False
    acceptable: list[str] = []  # labels of the controls that would have done the same, the chosen one among them
    answer: str = ""  # the policy's text as it wrote it
    problem: str = ""  # why the answer could not be read as an action; the action is then empty
    prompt_tokens: list[int] = []
    answer_tokens: list[int] = []  # with the end-of-turn token, where it was written
    logprobs: list[float] = []  # of answer_tokens, under the policy that wrote them
    seconds: float = 0.0  # decision and action together
    decision_seconds: float = 0.0


class Verdict(Record):
    """Whether the task is done, by whom, and why."""

    complete: Literal["yes", "no", "unsure"]
    reason: str = ""
    by: str = "check"  # "check", or "judge:MODEL"


class Trajectory(Record):
    """An episode, whole."""

    trajectory_id: Text
    task: Task
    policy: str
    steps: list[Step]
    outcome: Outcome
    reason: str = ""  # of a failure: one of `FAILURES`, else the error's text
    verdicts: list[Verdict] = []  # the executable check first, then any judge
    seconds: float = 0.0
    retries: int = 0  # how often the application broke and the episode was begun again
    versions: dict[str, str] = {}  # of application, policy, settings: what it would take to repeat it

    def states(self) -> list[State]:
        """The state that each step was decided in, in order."""
        previous = [Previous(action=step.action, result=step.result, error=step.error) for step in self.steps]
        return [
            State(request=self.task.request, observation=step.observation, previous=previous[:index], app=self.task.app)
            for index, step in enumerate(self.steps)
        ]


RecordT = TypeVar("RecordT", bound=Record)


class BadRecords:
    """Lines that could not be read: counted, and the first few kept for the report."""

    KEPT = 20

    def __init__(self) -> None:
        self.count = 0
        self.reasons: list[str] = []

    def add(self, reason: str) -> None:
        self.count += 1
        if len(self.reasons) < self.KEPT:
            self.reasons.append(reason)


def reason_of(error: ValidationError) -> str:
    """One line that says what is wrong with a record, field by field."""
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'record'}: {e['msg'][0].lower()}{e['msg'][1:]}" for e in error.errors()
    )


def parse_record(kind: type[RecordT], value: object, where: str) -> RecordT:
    """`value` as a record; raises UserError with `where` and the reason."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise UserError(f"{where}: {reason_of(error)}") from None


def json_lines(path: Path) -> Iterator[tuple[int, object | UserError]]:
    """(line number, value) of each line that is not blank; a line that is not JSON gives the error instead."""
    try:
        lines = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; is the path right?") from None
    with lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield number, json.loads(line.decode("utf-8").rstrip("\r\n"))
            except json.JSONDecodeError as error:
                yield number, UserError(f"{path}, line {number}: not JSON: {error.msg} at column {error.colno}")
            except (ValueError, RecursionError) as error:  # not UTF-8, a number of 5,000 digits, 100,000 brackets
                yield number, UserError(f"{path}, line {number}: not JSON: {error}")


def read_jsonl(
    path: str | Path, kind: type[RecordT], on_bad_record: str = "refuse", bad: BadRecords | None = None
) -> Iterator[RecordT]:
    """The records of a JSONL file, in order.

    `on_bad_record="refuse"` raises UserError at the first bad line, with file, line number and reason;
    `"skip"` leaves it out and counts it in `bad`.
    """
    path = Path(path)
    for number, value in json_lines(path):
        try:
            if isinstance(value, UserError):
                raise value
            yield parse_record(kind, value, f"{path}, line {number}")
        except UserError as error:
            if on_bad_record == "refuse":
                raise UserError(f"{error} (data.on_bad_record=skip leaves such lines out and counts them)") from None
            if bad is not None:
                bad.add(str(error))


def write_jsonl(path: str | Path, records: Iterable[Record]) -> int:
    """Writes the records, a line each, and returns their number. The file appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    count = 0
    with partial.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(record.model_dump_json() + "\n")
            count += 1
    partial.replace(path)
    return count
