"""Offline evaluation: every model decides each step of an expert's successful trajectories on the expert's history."""

import hashlib
import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from lam_train.agent.policy import Decision, Policy
from lam_train.collect.trajectories.store import ShardStore, read_trajectories
from lam_train.errors import Fault, UserError
from lam_train.evaluate.acting import ActingSettings, LoadPolicy, chosen_tasks
from lam_train.evaluate.acting_results import ActingReport, OfflineAnswer, OfflineRow
from lam_train.evaluate.action_metrics import StepScore, is_scored, no_answer, score_action
from lam_train.evaluate.offline_scores import offline_report
from lam_train.records import State, Step, Trajectory
from lam_train.train.progress import Progress

log = logging.getLogger(__name__)

Asked = tuple[Trajectory, int, State]  # a trajectory, the place of a step, and the state it was decided in


class EvaluateOfflineSettings(ActingSettings):
    """Offline evaluation of acting, on the expert's history."""

    data: str = "collected/test_trajectories"
    """the expert's trajectories: a folder that `collect` wrote, or a JSONL file"""
    batch_size: int = Field(16, gt=0)
    """states decided at once; as many again are lost at a kill"""
    training_data: str | None = None
    """the trajectories that the models were trained on: checked to share no request on the same document"""


def expert_successes(settings: EvaluateOfflineSettings) -> list[Trajectory]:
    """The successful trajectories that are evaluated, one a task; the first where a task has several."""
    first: dict[str, Trajectory] = {}
    for trajectory in read_trajectories(Path(settings.data).expanduser()):
        if trajectory.outcome == "success" and any(map(is_scored, trajectory.steps)):
            first.setdefault(trajectory.task.task_id, trajectory)
    if not first:
        raise UserError(f"{settings.data}: no successful trajectory")
    chosen = [first[task.task_id] for task in chosen_tasks([t.task for t in first.values()], settings, settings.data)]
    if settings.training_data:
        _check_held_out(chosen, settings)
    return chosen


def _check_held_out(chosen: list[Trajectory], settings: EvaluateOfflineSettings) -> None:
    seen = {
        (t.task.template, t.task.request) for t in read_trajectories(Path(settings.training_data or "").expanduser())
    }
    for trajectory in chosen:
        task = trajectory.task
        if (task.template, task.request) in seen:
            raise UserError(
                f"{settings.training_data}: the test task {task.task_id} ({task.request!r} on {task.template}) was "
                "trained on; split by template and by wording"
            )


def evaluate_offline(
    policies: dict[str, LoadPolicy],
    trajectories: list[Trajectory],
    settings: EvaluateOfflineSettings,
    output: Path,
    notes: Sequence[str] = (),
) -> tuple[ActingReport, list[OfflineRow]]:
    """Asks every policy for each step, and scores the answers against the expert's steps.

    Answers go to answers/NAME-00000.jsonl as they come; states that have one there already are not asked again. States
    to which an endpoint gave none are in no mean, and are asked again. Raises Fault where no trajectory is left.
    """
    if not policies or not trajectories:
        raise UserError("nothing to evaluate: there are no models or no trajectories")
    actions = {
        name: ask(name, load, trajectories, settings.batch_size, output / "answers") for name, load in policies.items()
    }
    rows = [
        OfflineRow(
            trajectory_id=trajectory.trajectory_id,
            task_id=trajectory.task.task_id,
            family=trajectory.task.family,
            template=trajectory.task.template,
            scores={
                name: [
                    _score(answers[trajectory.trajectory_id, place], step)
                    for place, step in enumerate(trajectory.steps)
                    if is_scored(step)
                ]
                for name, answers in actions.items()
            },
        )
        for trajectory in trajectories
    ]
    for name in actions:
        if all(None in row.scores[name] for row in rows):
            raise Fault(f"{name}: no trajectory has an answer to each step; the same command asks again for the others")
    return offline_report(trajectories, rows, actions, settings, settings.data, list(notes)), rows


def _score(answer: OfflineAnswer, step: Step) -> StepScore | None:
    return None if no_answer(answer.problem) else score_action(answer.action, step)


def answer_store(folder: Path, name: str) -> ShardStore[OfflineAnswer]:
    """The answers of one policy, NAME-00000.jsonl in the folder."""
    return ShardStore(folder, name, OfflineAnswer, shard_size=sys.maxsize)


def ask(
    name: str, load: LoadPolicy, trajectories: Sequence[Trajectory], batch_size: int, folder: Path
) -> dict[tuple[str, int], OfflineAnswer]:
    """(trajectory id, step from 0) -> the policy's answer, from the folder's file as far as it goes.

    States of one document are asked one after the other, because their prompts share the most.
    """
    asked: list[Asked] = [
        (trajectory, place, state)
        for trajectory in sorted(trajectories, key=lambda t: t.task.template)
        for place, state in enumerate(trajectory.states())
        if is_scored(trajectory.steps[place])
    ]
    digests = {(trajectory.trajectory_id, place): _digest(state) for trajectory, place, state in asked}
    store = answer_store(folder, name)
    known = {
        (a.trajectory_id, a.step): a
        for a in store
        if digests.get((a.trajectory_id, a.step)) == a.state and not no_answer(a.problem)
    }
    missing = [one for one in asked if (one[0].trajectory_id, one[1]) not in known]
    if len(missing) < len(asked):
        log.info("%s: %d of %d answers are there already", name, len(asked) - len(missing), len(asked))
    if not missing:
        return known
    policy = load()
    with Progress(len(asked), len(asked) - len(missing), what=name, unit="answer") as progress:
        for start in range(0, len(missing), batch_size):
            batch = missing[start : start + batch_size]
            for answer in _decide(policy, batch):
                store.append(answer)
                known[answer.trajectory_id, answer.step] = answer
            progress.advance_by(len(batch))
    store.close()
    unanswered = [answer for answer in known.values() if no_answer(answer.problem)]
    if unanswered:
        log.warning("%s: %d states had %s; the same command asks again", name, len(unanswered), unanswered[0].problem)
    return known


def _decide(policy: Policy, batch: list[Asked]) -> list[OfflineAnswer]:
    started = time.perf_counter()
    decisions = policy.decide([state for _, _, state in batch])
    seconds = (time.perf_counter() - started) / len(batch)
    if len(decisions) != len(batch):
        raise UserError(f"{policy.name} gave {len(decisions)} decisions for {len(batch)} states")
    return [
        _answer(trajectory, place, state, decision, seconds)
        for (trajectory, place, state), decision in zip(batch, decisions, strict=True)
    ]


def _answer(trajectory: Trajectory, place: int, state: State, decision: Decision, seconds: float) -> OfflineAnswer:
    return OfflineAnswer(
        trajectory_id=trajectory.trajectory_id,
        step=place,
        state=_digest(state),
        action=decision.action,
        answer=decision.answer,
        problem=decision.problem,
        prompt_tokens=len(decision.prompt_tokens),
        answer_tokens=len(decision.answer_tokens),
        seconds=seconds,
    )


def _digest(state: State) -> str:
    return hashlib.sha256(state.model_dump_json().encode()).hexdigest()[:16]
