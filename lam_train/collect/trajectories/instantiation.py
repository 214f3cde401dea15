"""What instantiation gives: a request about a document, and the actions that an expert plans for it."""

from pydantic import JsonValue

from lam_train.records import Record, Task


class PlannedAction(Record):
    """One action of a plan, with the paper's keys (Appendix B.1: step, controlLabel, controlText, function, args)."""

    step: str  # what the action is for, in words
    control_label: str = ""  # in the document state that the expert was shown; later windows have other labels
    control_text: str = ""  # the control's name as the expert expects it; "" where the function needs no control
    function: str
    args: dict[str, JsonValue] = {}


class CallUsage(Record):
    """What an endpoint counted for the calls behind a record."""

    calls: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cost: float = 0.0  # in the unit of the prices in the settings; 0 without prices

    def __add__(self, other: "CallUsage") -> "CallUsage":
        return CallUsage(**{key: value + getattr(other, key) for key, value in self.model_dump().items()})


class Instantiation(Record):
    """A task and its planned actions, or why there are none."""

    task: Task  # its request is the instantiated one; `parent` is the task-plan it was made from
    given: str = ""  # the task as it was given
    reference_steps: list[str] = []  # of the task-plan
    observation: str = ""  # the expert's words about the document
    thought: str = ""
    actions: list[PlannedAction] = []
    problem: str = ""  # "no plan: …", "unreadable: …", "failed: …", or the filter's reason; then nothing is executed
    judgement: str = ""  # the filter's thought
    request_type: str = ""  # the filter's type of request, in UFO's words
    template_seconds: float | None = None  # of choosing the document; None here and below: it was not timed or done
    seconds: float | None = None  # of planning
    filter_seconds: float | None = None
    usage: CallUsage = CallUsage()
