"""From the scores of steps to the report of an offline evaluation."""

from collections import Counter

import numpy as np

from lam_train.evaluate.acting import ActingSettings, cluster_of, groups_of
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
from lam_train.evaluate.action_metrics import StepScore, is_scored, no_answer, score_action
from lam_train.evaluate.statistics import LEVEL, Estimate, compared
from lam_train.records import Action, Step, Trajectory

SHOWN_MISTAKES = 25
Answers = dict[tuple[str, int], OfflineAnswer]
"""(trajectory id, step from 0) -> answer"""


def offline_report(
    trajectories: list[Trajectory],
    rows: list[OfflineRow],
    answers: dict[str, Answers],
    settings: ActingSettings,
    data: str,
    notes: list[str],
) -> ActingReport:
    """All numbers. Means are over steps, or over tasks for task success; what is drawn again are tasks.

    A step without an answer is in no mean, nor is its task in that of task success; the notes say how many there are.
    """
    table = _Table(trajectories, rows, settings)
    means, differences = table.compared(np.ones(len(table.clusters), dtype=bool))
    keeps = groups_of([trajectory.task for trajectory in trajectories])
    groups = {name: table.groups(table.of_tasks([keep(t.task) for t in trajectories])) for name, keep in keeps.items()}
    by_step = {str(place + 1): table.groups(table.places == place) for place in range(table.places.max() + 1)}
    # A row of a table compares all models: a place that one of them has no answer for is none.
    by_step = {place: found for place, found in by_step.items() if all(group.estimates for group in found.values())}
    return ActingReport(
        kind="offline",
        data=data,
        split=settings.split,
        tasks=len(rows),
        steps=len(table.clusters),
        templates=len({trajectory.task.template for trajectory in trajectories}),
        cluster=settings.cluster,
        clusters=len(set(table.clusters)),
        level=LEVEL,
        resamples=settings.resamples,
        seed=settings.seed,
        scores=[
            Score(
                name=name,
                estimates=means[name],
                groups={group: found[name] for group, found in groups.items()},
                by_step={place: found[name] for place, found in by_step.items()},
                mistakes=_mistakes(trajectories, given),
                prompt_tokens=float(np.mean([answer.prompt_tokens for answer in given.values()])),
                answer_tokens=float(np.mean([answer.answer_tokens for answer in given.values()])),
            )
            for name, given in answers.items()
        ],
        differences=[
            PairedDifference(name=name, baseline=earlier, estimates=found) for name, earlier, found in differences
        ],
        notes=[*notes, *_unanswered(rows)],
    )


def _unanswered(rows: list[OfflineRow]) -> list[str]:
    """A note for each model that states had no answer from."""
    given = {name: [score for row in rows for score in row.scores[name]] for name in rows[0].scores}
    return [
        f"{name}: {scores.count(None)} of {len(scores)} states had no answer from the endpoint. They are in no mean, "
        "nor is the success of their tasks; the same command asks again."
        for name, scores in given.items()
        if None in scores
    ]


class _Table:
    """The scores as columns over all steps. Task success stands at each task's first step, NaN at the others."""

    def __init__(self, trajectories: list[Trajectory], rows: list[OfflineRow], settings: ActingSettings) -> None:
        self._settings = settings
        names = list(rows[0].scores)
        lengths = [len(row.scores[names[0]]) for row in rows]
        self._task_of_step = np.repeat(np.arange(len(rows)), lengths)
        self.places = np.concatenate([np.arange(length) for length in lengths])
        clusters = [cluster_of(trajectory.task, settings) for trajectory in trajectories]
        self.clusters = [clusters[task] for task in self._task_of_step]
        self._columns = {name: _columns([row.scores[name] for row in rows]) for name in names}

    def of_tasks(self, keep: list[bool]) -> np.ndarray:
        """Which steps belong to the tasks that are kept."""
        return np.array(keep)[self._task_of_step]

    def compared(self, keep: np.ndarray):
        """Estimates and paired differences over the steps that are kept."""
        columns = {
            name: {metric: column[keep] for metric, column in found.items()} for name, found in self._columns.items()
        }
        clusters = [cluster for cluster, kept in zip(self.clusters, keep, strict=True) if kept]
        return compared(columns, clusters, self._settings.resamples, self._settings.seed)

    def groups(self, keep: np.ndarray) -> dict[str, Group]:
        """Each model's scores over the steps that are kept."""
        means: dict[str, dict[str, Estimate]] = self.compared(keep)[0]
        tasks, steps = len(set(self._task_of_step[keep])), int(keep.sum())
        return {name: Group(tasks=tasks, steps=steps, estimates=found) for name, found in means.items()}


def _columns(scores: list[list[StepScore | None]]) -> dict[str, np.ndarray]:
    """A column for each of STEP_METRICS, and for task success and the strict one; NaN where an answer is missing."""
    flat = [score for steps in scores for score in steps]
    columns = {
        metric: np.array([np.nan if score is None else float(getattr(score, metric)) for score in flat])
        for metric in STEP_METRICS
    }
    for task, step in (("task", "step"), ("strict_task", "strict_step")):
        whole = [np.nan if None in steps else float(all(getattr(s, step) for s in steps)) for steps in scores]
        at_first = ([right] + [np.nan] * (len(steps) - 1) for right, steps in zip(whole, scores, strict=True))
        columns[task] = np.concatenate(list(at_first))
    return columns


def _mistakes(trajectories: list[Trajectory], answers: dict[tuple[str, int], OfflineAnswer]) -> list[Mistake]:
    """What is answered instead of the expert's actions, the most frequent first."""
    counts: Counter[tuple[str, str]] = Counter()
    for trajectory in trajectories:
        for place, step in enumerate(trajectory.steps):
            if not is_scored(step):
                continue
            given = answers[trajectory.trajectory_id, place]
            if no_answer(given.problem):
                continue
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
