"""UFO's result file as typed records: `dataflow/schema/execution_schema.json` of microsoft/UFO (paper digest in docs).

Reading is lenient where UFO's own example leaves required keys out; what is written has them all.
"""

from pydantic import BaseModel, ConfigDict, JsonValue


class UfoPart(BaseModel):
    """A part of the file; keys that UFO may add later are passed over."""

    model_config = ConfigDict(extra="ignore", strict=True)


class Original(UfoPart):
    original_task: str
    original_steps: list[str] = []


class ExecutionVerdict(UfoPart):
    reason: str
    sub_scores: dict[str, str] = {}
    complete: str  # yes, no, unsure


class ExecutionError(UfoPart):
    type: str
    message: str
    traceback: str = ""


class ExecutionResult(UfoPart):
    result: ExecutionVerdict | None = None
    error: ExecutionError | None = None


class PlanItem(UfoPart):
    Step: int
    Subtask: str = ""
    ControlLabel: str | None = None
    ControlText: str = ""
    Function: str
    Args: dict[str, JsonValue] = {}
    Success: bool | None = None  # None: it was not carried out
    MatchedControlText: str | None = None


class PrefillResult(UfoPart):
    instantiated_request: str
    instantiated_plan: list[PlanItem] | None = None


class Prefill(UfoPart):
    result: PrefillResult | None = None
    error: str | None = None


class ChosenTemplate(UfoPart):
    result: str | None = None  # a path
    error: str | None = None


class FilterVerdict(UfoPart):
    judge: bool
    thought: str = ""
    request_type: str = "None"


class Evaluation(UfoPart):
    result: FilterVerdict | None = None
    error: str | None = None


class InstantiationResult(UfoPart):
    choose_template: ChosenTemplate = ChosenTemplate()
    prefill: Prefill | None = None
    instantiation_evaluation: Evaluation = Evaluation()


class TimeCost(UfoPart):
    choose_template: float | None = None
    prefill: float | None = None
    instantiation_evaluation: float | None = None
    execute: float | None = None
    execute_eval: float | None = None
    total: float | None = None


class UfoResult(UfoPart):
    """One result file."""

    unique_id: str
    app: str
    original: Original
    execution_result: ExecutionResult | None = None
    instantiation_result: InstantiationResult
    time_cost: TimeCost = TimeCost()


class UfoTask(UfoPart):
    """One task file for prefill (`dataflow/tasks/prefill/*.json`)."""

    app: str
    unique_id: str
    task: str
    refined_steps: list[str]
