"""From episodes to the report of an online evaluation."""

from collections import Counter

import numpy as np

from lam_train.evaluate.acting import ActingSettings, cluster_of, groups_of
from lam_train.evaluate.acting_results import ActingReport, Group, OnlineRow, PairedDifference, Score
from lam_train.evaluate.action_metrics import no_answer, score_action
from lam_train.evaluate.statistics import LEVEL, Estimate, compared
from lam_train.records import FAILURES, Step, Task, Trajectory

EXPERT = "expert"  # the row that failed episodes are compared with


def cause_of(trajectory: Trajectory) -> str:
    """Why an episode is no success: one of `FAILURES`, "unsure", or "no answer"."""
    if unanswered(trajectory):
        return "no answer"
    if trajectory.outcome == "error":
        return "application error"
    if trajectory.outcome == "unsure":
        return "unsure"
    return next((cause for cause in FAILURES if trajectory.reason.startswith(cause)), trajectory.reason or "unknown")


def unanswered(trajectory: Trajectory) -> bool:
    """Whether the episode ended because an endpoint gave no answer: it tells nothing about the policy."""
    return trajectory.outcome == "error" and no_answer(trajectory.reason)


def divergence(trajectory: Trajectory, expert: Trajectory) -> str:
    """The first thing in which a failed episode differs from the expert's success on the same task.

    Screens may differ from the first difference on, so only that one is named. "only later" means that every action
    was the expert's until one of the two ended.
    """
    for step, reference in zip(trajectory.steps, expert.steps, strict=False):
        score = score_action(None if step.problem else step.action, reference)
        if not score.format:
            return "bad format"
        if not score.operation:
            return "wrong operation"
        if not score.object:
            return "wrong control"
        if not score.arguments:
            return "wrong argument"
        if not score.status:
            return "early finish" if step.action.status == "FINISH" else "late finish"
        if step.error:
            return "refused"
    return "only later"


def online_report(
    tasks: list[Task],
    episodes: dict[str, list[Trajectory]],
    settings: ActingSettings,
    data: str,
    environments: int,
    step_limit: int,
    notes: list[str],
) -> ActingReport:
    """All numbers. Success, times and steps are over tasks, latency and shares of steps over steps; `episodes` by
    policy in the tasks' order. Where an endpoint gave no answer, the episode is in no mean over tasks, and the step in
    none over steps; the notes say how many there are. An episode that the application broke is no success."""
    clusters = [cluster_of(task, settings) for task in tasks]
    columns = {name: _columns(trajectories) for name, trajectories in episodes.items()}
    means, differences = compared(columns, clusters, settings.resamples, settings.seed)
    groups = {
        group: _groups({name: [t for t in found if keep(t.task)] for name, found in episodes.items()}, settings)
        for group, keep in groups_of(tasks).items()
    }
    # A row of a table compares all policies: a group that one of them has no episode in is none.
    groups = {name: found for name, found in groups.items() if all("success" in g.estimates for g in found.values())}
    experts = {t.task.task_id: t for t in episodes.get(EXPERT, []) if t.outcome == "success"}
    return ActingReport(
        kind="online",
        data=data,
        split=settings.split,
        tasks=len(tasks),
        steps=0,
        templates=len({task.template for task in tasks}),
        cluster=settings.cluster,
        clusters=len(set(clusters)),
        level=LEVEL,
        resamples=settings.resamples,
        seed=settings.seed,
        environments=environments,
        step_limit=step_limit,
        scores=[
            _score(name, means[name], trajectories, groups, experts, settings)
            for name, trajectories in episodes.items()
        ],
        differences=[
            PairedDifference(name=name, baseline=earlier, estimates=found) for name, earlier, found in differences
        ],
        notes=[*notes, *_unanswered(episodes)],
    )


def _unanswered(episodes: dict[str, list[Trajectory]]) -> list[str]:
    """A note for each policy that was left without an answer."""
    counts = {name: sum(map(unanswered, found)) for name, found in episodes.items()}
    return [
        f"{name}: {count} of {len(episodes[name])} episodes ended because the endpoint gave no answer. They are in no "
        "mean over tasks; the same command makes them again."
        for name, count in counts.items()
        if count
    ]


def seconds_of(trajectory: Trajectory) -> float:
    """From the request to the end of the last action: decisions and actions, without bringing the document."""
    return sum(step.seconds for step in trajectory.steps)


def _columns(trajectories: list[Trajectory]) -> dict[str, np.ndarray]:
    """Success of every episode, NaN where an endpoint gave no answer; seconds and steps of the successful ones, NaN for
    the others."""
    success = np.array([np.nan if unanswered(t) else float(t.outcome == "success") for t in trajectories])
    seconds = np.array([seconds_of(t) for t in trajectories])
    steps = np.array([float(len(t.steps)) for t in trajectories])
    return {
        "success": success,
        "seconds": np.where(success > 0, seconds, np.nan),
        "steps": np.where(success > 0, steps, np.nan),
    }


def _decided(trajectory: Trajectory) -> list[Step]:
    """The steps that the policy decided; of the last one the endpoint's time-outs would be all that is told."""
    return [step for step in trajectory.steps if not no_answer(step.problem)]


def _step_columns(trajectories: list[Trajectory]) -> dict[str, np.ndarray]:
    steps = [step for t in trajectories for step in _decided(t)]
    return {
        "latency": np.array([step.seconds for step in steps]),
        "decision": np.array([step.decision_seconds for step in steps]),
        "refused": np.array([float(step.error and not step.problem) for step in steps]),
        "unreadable": np.array([float(step.problem.startswith("bad format")) for step in steps]),
    }


def _score(
    name: str,
    means: dict[str, Estimate],
    trajectories: list[Trajectory],
    groups: dict[str, dict[str, Group]],
    experts: dict[str, Trajectory],
    settings: ActingSettings,
) -> Score:
    failed = [t for t in trajectories if t.outcome != "success"]
    compared_with_expert = [t for t in failed if t.outcome == "fail" and t.task.task_id in experts]
    return Score(
        name=name,
        estimates={**means, **_step_estimates(trajectories, settings)},
        groups={group: found[name] for group, found in groups.items()},
        failures=_counted(cause_of(t) for t in failed),
        divergences=_counted(divergence(t, experts[t.task.task_id]) for t in compared_with_expert),
        retries=sum(t.retries for t in trajectories),
    )


def _groups(episodes: dict[str, list[Trajectory]], settings: ActingSettings) -> dict[str, Group]:
    """Each policy's success, times and steps on some tasks."""
    first = next(iter(episodes.values()))
    clusters = [cluster_of(t.task, settings) for t in first]
    columns = {name: _columns(found) for name, found in episodes.items()}
    means, _ = compared(columns, clusters, settings.resamples, settings.seed)
    return {
        name: Group(tasks=len(found), steps=sum(len(t.steps) for t in found), estimates=means[name])
        for name, found in episodes.items()
    }


def _step_estimates(trajectories: list[Trajectory], settings: ActingSettings) -> dict[str, Estimate]:
    """Means over all steps of all episodes; what is drawn again are the tasks."""
    clusters = [cluster_of(t.task, settings) for t in trajectories for _ in _decided(t)]
    if not clusters:
        return {}
    return compared({"": _step_columns(trajectories)}, clusters, settings.resamples, settings.seed)[0][""]


def _counted(names) -> dict[str, int]:
    return dict(Counter(names).most_common())


def rows_of(tasks: list[Task], episodes: dict[str, list[Trajectory]]) -> list[OnlineRow]:
    """A row a task: how each policy's episode ended."""
    return [
        OnlineRow(
            task_id=task.task_id,
            family=task.family,
            template=task.template,
            outcomes={name: found[place].outcome for name, found in episodes.items()},
            reasons={
                name: "" if found[place].outcome == "success" else cause_of(found[place])
                for name, found in episodes.items()
            },
            steps={name: len(found[place].steps) for name, found in episodes.items()},
            seconds={name: round(seconds_of(found[place]), 3) for name, found in episodes.items()},
        )
        for place, task in enumerate(tasks)
    ]
