"""Offline evaluation: every model decides each step of an expert's successful trajectories on the expert's history."""

import hashlib
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from lam_train.agent.policy import Decision, Policy
from lam_train.collect.trajectories.store import ShardStore, read_trajectories
from lam_train.errors import UserError
from lam_train.evaluate.acting import (
    ActingSettings,
    LoadPolicy,
    chosen_tasks,
    cluster_of,
    groups_of,
)
from lam_train.evaluate.acting_results import (
    STEP_METRICS,
    ActingReport,
    Group,
    Mistake,
    OfflineAnswer,
    OfflineRow,
    PairedDifference,
    Score,
)
from lam_train.evaluate.action_metrics import StepScore, score_action
from lam_train.evaluate.statistics import LEVEL, Estimate, compared, described
from lam_train.records import Action, State, Step, Task, Trajectory
from lam_train.train.progress import Progress

log = logging.getLogger(__name__)

Asked = tuple[Trajectory, int, State]  # a trajectory, the place of a step, and the state it was decided in
SHOWN_MISTAKES = 25


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

    Answers go to answers/NAME-00000.jsonl as they come; states that have one there already are not asked again.
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
                    score_action(answers[trajectory.trajectory_id, place].action, step)
                    for place, step in enumerate(trajectory.steps)
                    if is_scored(step)
                ]
                for name, answers in actions.items()
            },
        )
        for trajectory in trajectories
    ]
    return _report(trajectories, rows, actions, settings, list(notes)), rows


def is_scored(step: Step) -> bool:
    """Whether a step of the expert is a reference: one that was refused, or no action, is history alone."""
    return not step.error and not step.problem


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
    known = {(a.trajectory_id, a.step): a for a in store if digests.get((a.trajectory_id, a.step)) == a.state}
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


def _report(
    trajectories: list[Trajectory],
    rows: list[OfflineRow],
    answers: dict[str, dict[tuple[str, int], OfflineAnswer]],
    settings: EvaluateOfflineSettings,
    notes: list[str],
) -> ActingReport:
    names = list(answers)
    found = {name: _Found(trajectories, [row.scores[name] for row in rows], settings) for name in names}
    first = next(iter(found.values()))
    drawn = settings.resamples, settings.seed
    means, differences = compared({name: one.steps() for name, one in found.items()}, first.step_clusters(), *drawn)
    of_tasks, task_differences = compared({name: one.tasks() for name, one in found.items()}, first.clusters, *drawn)
    return ActingReport(
        kind="offline",
        data=settings.data,
        split=settings.split,
        tasks=len(rows),
        steps=len(first.step_clusters()),
        templates=len({trajectory.task.template for trajectory in trajectories}),
        cluster=settings.cluster,
        clusters=len(set(first.clusters)),
        level=LEVEL,
        resamples=settings.resamples,
        seed=settings.seed,
        scores=[_score(name, {**means[name], **of_tasks[name]}, found[name], answers[name]) for name in names],
        differences=[
            PairedDifference(name=name, baseline=earlier, estimates={**by_step, **by_task})
            for (name, earlier, by_step), (_, _, by_task) in zip(differences, task_differences, strict=True)
        ],
        notes=notes,
    )


class _Found:
    """One model's step scores on some trajectories, as columns for the statistics."""

    def __init__(
        self, trajectories: list[Trajectory], scores: list[list[StepScore]], settings: EvaluateOfflineSettings
    ) -> None:
        self.trajectories, self.scores, self.settings = trajectories, scores, settings
        self.clusters = [cluster_of(trajectory.task, settings) for trajectory in trajectories]

    def step_clusters(self) -> list[str]:
        """The cluster of every step."""
        return [cluster for cluster, steps in zip(self.clusters, self.scores, strict=True) for _ in steps]

    def steps(self) -> dict[str, np.ndarray]:
        """A column for each of STEP_METRICS, over all steps."""
        flat = [score for steps in self.scores for score in steps]
        return {metric: np.array([float(getattr(score, metric)) for score in flat]) for metric in STEP_METRICS}

    def tasks(self) -> dict[str, np.ndarray]:
        """The paper's task success and the strict one, over tasks."""
        return {
            "task": np.array([float(all(score.step for score in steps)) for steps in self.scores]),
            "strict_task": np.array([float(all(score.strict_step for score in steps)) for steps in self.scores]),
        }

    def part(self, keep: Callable[[Task], bool]) -> "_Found":
        """The same of some tasks."""
        pairs = [pair for pair in zip(self.trajectories, self.scores, strict=True) if keep(pair[0].task)]
        return _Found([t for t, _ in pairs], [scores for _, scores in pairs], self.settings)

    def nth_steps(self, place: int) -> "_Found":
        """The steps at one place (from 0) of the tasks that have so many."""
        pairs = [pair for pair in zip(self.trajectories, self.scores, strict=True) if len(pair[1]) > place]
        return _Found([t for t, _ in pairs], [[scores[place]] for _, scores in pairs], self.settings)

    def group(self) -> Group:
        drawn = self.settings.resamples, self.settings.seed
        by_step = described(self.steps(), self.step_clusters(), *drawn)
        by_task = described(self.tasks(), self.clusters, *drawn)
        return Group(tasks=len(self.scores), steps=len(self.step_clusters()), estimates={**by_step, **by_task})


def _score(
    name: str, means: dict[str, Estimate], found: _Found, answers: dict[tuple[str, int], OfflineAnswer]
) -> Score:
    longest = max(len(steps) for steps in found.scores)
    return Score(
        name=name,
        estimates=means,
        groups={
            group: found.part(keep).group() for group, keep in groups_of([t.task for t in found.trajectories]).items()
        },
        by_step={str(place + 1): found.nth_steps(place).group() for place in range(longest)},
        mistakes=_mistakes(found.trajectories, answers),
        prompt_tokens=float(np.mean([answer.prompt_tokens for answer in answers.values()])),
        answer_tokens=float(np.mean([answer.answer_tokens for answer in answers.values()])),
    )


def _mistakes(trajectories: list[Trajectory], answers: dict[tuple[str, int], OfflineAnswer]) -> list[Mistake]:
    """What is answered instead of the expert's actions, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    for trajectory in trajectories:
        for place, step in enumerate(trajectory.steps):
            if not is_scored(step):
                continue
            given = answers[trajectory.trajectory_id, place]
            if not score_action(given.action, step).strict_step:
                answered = "(no action)" if given.action is None else _described(given.action, step)
                counts[_described(step.action, step), answered] += 1
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:SHOWN_MISTAKES]
    return [Mistake(expected=expected, answered=answered, count=count) for (expected, answered), count in ordered]


def _described(action: Action, step: Step) -> str:
    """An action in short: function, control by its text (document text by its kind), names of arguments, status."""
    control = step.observation.control(action.control_label)
    if control is None:
        where = f" #{action.control_label} (not there)" if action.control_label else ""
    elif control.control_type == "Document":
        where = " document text"
    else:
        where = f" {control.control_text or control.control_type}"
    arguments = f"({', '.join(action.args)})" if action.args else ""
    return f"{action.function or 'nothing'}{arguments}{where}, {action.status}"
