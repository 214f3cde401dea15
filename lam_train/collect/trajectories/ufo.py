"""UFO's results and ours: the same episodes in either schema.

A UFO file is an Instantiation, a Trajectory and, where UFO's judge had its say, a Judgement. It holds no observations,
so an imported trajectory's are empty: good for counting, comparing and for phase 3's tasks, no good for phase 2. Two
things are not kept: the traceback of an error, and time_cost.total, which is written as the sum of its parts.
"""

from dataclasses import dataclass

from lam_train.collect.trajectories.counts import was_executed
from lam_train.collect.trajectories.execute import planned_json
from lam_train.collect.trajectories.instantiation import Instantiation, PlannedAction
from lam_train.collect.trajectories.judge import Judgement
from lam_train.collect.trajectories.ufo_schema import (
    ChosenTemplate,
    Evaluation,
    ExecutionError,
    ExecutionResult,
    ExecutionVerdict,
    FilterVerdict,
    InstantiationResult,
    Original,
    PlanItem,
    Prefill,
    PrefillResult,
    TimeCost,
    UfoResult,
)
from lam_train.records import FAILURES, Action, Observation, Outcome, Split, Step, Task, Trajectory, Verdict

UFO = "ufo"
COMPLETE: dict[str, Outcome] = {"yes": "success", "no": "fail", "unsure": "unsure"}
NOT_RECORDED = Observation(window="", controls=[])


@dataclass
class Episode:
    """What one UFO file holds, as our records."""

    instantiation: Instantiation
    trajectory: Trajectory
    judgement: Judgement | None = None


# To UFO --------------------------------------------------------------------------------------------------------------


def to_ufo(
    trajectory: Trajectory, instantiation: Instantiation | None, judgement: Judgement | None, document: str | None
) -> UfoResult:
    """One episode in UFO's schema. `document`: path of the saved document; None names the template instead."""
    task = trajectory.task
    made = instantiation or Instantiation(task=task, given=task.request)
    seconds = trajectory.seconds or None
    judged = judgement.seconds if judgement else None
    parts = (made.template_seconds, made.seconds, made.filter_seconds, seconds, judged)
    return UfoResult(
        unique_id=task.task_id,
        app=task.app,
        original=Original(original_task=made.given or task.request, original_steps=made.reference_steps),
        execution_result=_execution(trajectory, judgement),
        instantiation_result=InstantiationResult(
            choose_template=_template(made, document or task.template),
            prefill=_prefill(trajectory, made),
            instantiation_evaluation=_evaluation(made),
        ),
        time_cost=TimeCost(
            choose_template=made.template_seconds,
            prefill=made.seconds,
            instantiation_evaluation=made.filter_seconds,
            execute=seconds,
            execute_eval=judged,
            total=sum(part for part in parts if part is not None),
        ),
    )


def _execution(trajectory: Trajectory, judgement: Judgement | None) -> ExecutionResult | None:
    if not trajectory.steps:
        return None
    verdicts = trajectory.verdicts
    if verdicts and trajectory.outcome != "error":
        # What decided: the check where the task has one, else the judge.
        decided = next((v for v in verdicts if trajectory.task.operations or v.by != "check"), verdicts[0])
        scores = judgement.sub_scores if judgement else {}
        scores = scores or {verdict.by: verdict.complete for verdict in verdicts}
        return ExecutionResult(
            result=ExecutionVerdict(reason=decided.reason, sub_scores=scores, complete=decided.complete)
        )
    step = trajectory.steps[-1]
    kind, message = trajectory.reason, step.problem or step.result
    if trajectory.outcome == "error":
        kind, _, message = trajectory.reason.removeprefix("application error: ").partition(": ")
        if not kind.isidentifier():  # our own applications give a text, UFO the name of an exception first
            kind, message = "application error", trajectory.reason.removeprefix("application error: ")
    return ExecutionResult(error=ExecutionError(type=kind, message=message))


def _template(made: Instantiation, document: str) -> ChosenTemplate:
    kind, _, reason = made.problem.partition(": ")
    return ChosenTemplate(error=reason) if kind == "template" else ChosenTemplate(result=document or None)


def _prefill(trajectory: Trajectory, made: Instantiation) -> Prefill | None:
    kind, _, reason = made.problem.partition(": ")
    if kind == "template":
        return None
    if made.problem and not made.actions and kind != "filtered":
        return Prefill(error=reason if kind == "prefill" else made.problem)
    items = [_plan_item(n, step, made) for n, step in enumerate(trajectory.steps, start=1) if step.action.function]
    left = made.actions[len(items) :]
    items += [_planned_item(n, action) for n, action in enumerate(left, start=len(items) + 1)]
    return Prefill(result=PrefillResult(instantiated_request=trajectory.task.request, instantiated_plan=items))


def _plan_item(number: int, step: Step, made: Instantiation) -> PlanItem:
    action = step.action
    planned = made.actions[number - 1] if number <= len(made.actions) else None
    return PlanItem(
        Step=number,
        Subtask=planned.step if planned else action.thought,
        ControlLabel=(planned.control_label if planned else action.control_label) or None,
        ControlText=planned.control_text if planned else action.control_name,
        Function=action.function,
        Args=action.args,
        Success=not step.error,
        MatchedControlText=action.control_name or None,
    )


def _planned_item(number: int, action: PlannedAction) -> PlanItem:
    return PlanItem(
        Step=number,
        Subtask=action.step,
        ControlLabel=action.control_label or None,
        ControlText=action.control_text,
        Function=action.function,
        Args=action.args,
    )


def _evaluation(made: Instantiation) -> Evaluation:
    kind, _, reason = made.problem.partition(": ")
    if kind == "evaluation":
        return Evaluation(error=reason)
    if not made.request_type and kind != "filtered":
        return Evaluation()
    thought = made.judgement or reason
    verdict = FilterVerdict(judge=kind != "filtered", thought=thought, request_type=made.request_type or "Others")
    return Evaluation(result=verdict)


# From UFO ------------------------------------------------------------------------------------------------------------


def from_ufo(result: UfoResult, split: Split = "train", policy: str = UFO) -> Episode:
    """One UFO file as our records."""
    made = result.instantiation_result
    prefill = made.prefill.result if made.prefill else None
    task = Task(
        task_id=result.unique_id,
        request=prefill.instantiated_request if prefill else result.original.original_task,
        app=result.app,
        template=made.choose_template.result or "",
        split=split,
        source=UFO,
    )
    items = (prefill.instantiated_plan if prefill else None) or []
    verdict = made.instantiation_evaluation.result
    instantiation = Instantiation(
        task=task,
        given=result.original.original_task,
        reference_steps=result.original.original_steps,
        actions=[_planned(item) for item in items],
        problem=_problem(result, items),
        judgement=verdict.thought if verdict else "",
        request_type=verdict.request_type if verdict else "",
        template_seconds=result.time_cost.choose_template,
        seconds=result.time_cost.prefill,
        filter_seconds=result.time_cost.instantiation_evaluation,
    )
    judgement = _judgement(result, policy)
    return Episode(instantiation, _trajectory(result, task, instantiation, judgement, policy), judgement)


def _planned(item: PlanItem) -> PlannedAction:
    return PlannedAction(
        step=item.Subtask,
        control_label=item.ControlLabel or "",
        control_text=item.ControlText,
        function=item.Function,
        args=item.Args,
    )


def _problem(result: UfoResult, items: list[PlanItem]) -> str:
    """Why the plan was not to be executed, in the words of `Instantiation.problem`."""
    made = result.instantiation_result
    if made.choose_template.error:
        return f"template: {made.choose_template.error}"
    if made.prefill is None or made.prefill.error:
        reason = (made.prefill.error if made.prefill else None) or "none"
        return reason if reason.partition(":")[0] in ("no plan", "unreadable", "failed") else f"prefill: {reason}"
    if made.instantiation_evaluation.error:
        return f"evaluation: {made.instantiation_evaluation.error}"
    verdict = made.instantiation_evaluation.result
    if verdict is not None and not verdict.judge:
        return f"filtered: {verdict.thought}"
    return "" if items else "no plan: the plan is empty"


def _judgement(result: UfoResult, policy: str) -> Judgement | None:
    said = result.execution_result.result if result.execution_result else None
    if said is None:
        return None
    known = said.complete in COMPLETE
    return Judgement(
        task_id=result.unique_id,
        trajectory_id=f"{result.unique_id}.{policy}",
        task_complete=said.complete if known else "unsure",
        complete_judgement=said.reason,
        sub_scores=said.sub_scores,
        problem="" if known else f"unreadable: complete={said.complete!r}",
        seconds=result.time_cost.execute_eval,
    )


def _trajectory(
    result: UfoResult, task: Task, made: Instantiation, judgement: Judgement | None, policy: str
) -> Trajectory:
    prefill = result.instantiation_result.prefill
    items = (prefill.result.instantiated_plan if prefill and prefill.result else None) or []
    done = [item for item in items if item.Success is not None]
    steps = [_step(item, items, index) for index, item in enumerate(done)]
    trajectory = Trajectory(
        trajectory_id=f"{task.task_id}.{policy}",
        task=task,
        policy=policy,
        steps=steps,
        outcome="fail",
        reason="no plan" if not steps else "",
        seconds=result.time_cost.execute or 0.0,
    )
    error = result.execution_result.error if result.execution_result else None
    if error is not None:
        if error.type in FAILURES and error.type != "application error":
            return _ended(trajectory, error.type, error.message)
        said = error.message if error.type == "application error" else f"{error.type}: {error.message}"
        return trajectory.model_copy(update={"outcome": "error", "reason": f"application error: {said}"})
    if judgement is None:
        return trajectory
    outcome = COMPLETE[judgement.task_complete]
    if outcome == "success" and not was_executed(trajectory):
        outcome = "fail"  # UFO's judge may say yes to a plan of which an action failed
    verdict = Verdict(complete=judgement.task_complete, reason=judgement.complete_judgement, by=f"judge:{UFO}")
    reason = {"success": "", "fail": "early finish", "unsure": judgement.complete_judgement}[outcome]
    return trajectory.model_copy(update={"outcome": outcome, "reason": reason, "verdicts": [verdict]})


def _ended(trajectory: Trajectory, reason: str, message: str) -> Trajectory:
    """A failure that our own words name, with the application's message at the step where it came."""
    *before, last = trajectory.steps or [Step(observation=NOT_RECORDED, action=Action())]
    last = last.model_copy(update={"result": message} if last.error else {"problem": message})
    return trajectory.model_copy(update={"reason": reason, "steps": [*before, last]})


def _step(item: PlanItem, items: list[PlanItem], index: int) -> Step:
    rest = items[index + 1 :]
    action = Action(
        thought=item.Subtask,
        control_label=item.ControlLabel or "",
        control_name=item.MatchedControlText or "",
        function=item.Function,
        args=item.Args,
        status="CONTINUE" if rest else "FINISH",
        plan=[later.Subtask for later in rest],
    )
    return Step(observation=NOT_RECORDED, action=action, error=not item.Success, answer=planned_json(_planned(item)))
