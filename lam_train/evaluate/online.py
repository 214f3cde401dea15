"""Online evaluation: every policy does the test tasks in the application; the executable check says what succeeded."""

import logging
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from lam_train.agent.episode import EpisodeSettings
from lam_train.agent.rollouts import rollouts
from lam_train.apps.application import Application
from lam_train.collect.trajectories.store import ShardStore
from lam_train.errors import UserError
from lam_train.evaluate.acting import (
    ActingSettings,
    LoadPolicy,
    cluster_of,
    families_in_turn,
    groups_of,
)
from lam_train.evaluate.acting_results import (
    ActingReport,
    Group,
    OnlineRow,
    PairedDifference,
    Score,
)
from lam_train.evaluate.action_metrics import score_action
from lam_train.evaluate.statistics import LEVEL, Estimate, compared, described
from lam_train.records import FAILURES, Task, Trajectory
from lam_train.report.recording import RecordedApplication
from lam_train.train.progress import Progress

log = logging.getLogger(__name__)

EXPERT = "expert"


class EvaluateOnlineSettings(ActingSettings):
    """Online evaluation: acting in the application."""

    data: str | None = None
    """the tasks: a JSONL file or a folder of them; null: Writer's own, as generated"""
    expert: bool = True
    """a row for the embedded expert too"""
    screenshots: int = Field(12, ge=0)
    """of so many of the page's tasks, a picture of every state"""


def shown_tasks(tasks: list[Task], settings: ActingSettings) -> list[Task]:
    """The tasks whose episodes are on the page, in an order in which families take turns; no score is looked at."""
    return families_in_turn(tasks, settings.seed)[: settings.page_tasks]


def evaluate_online(
    policies: dict[str, LoadPolicy],
    tasks: list[Task],
    environments: Sequence[Application],
    episode: EpisodeSettings,
    settings: EvaluateOnlineSettings,
    output: Path,
    notes: Sequence[str] = (),
) -> tuple[ActingReport, dict[str, list[Trajectory]]]:
    """Lets every policy do the tasks; returns the report and, by name, the episodes in the tasks' order.

    Episodes go to episodes/NAME-00000.jsonl as they end; tasks that have one there already are not done again.
    """
    if not policies or not tasks:
        raise UserError("nothing to evaluate: there are no models or no tasks")
    episodes = {
        name: _episodes_of(name, load, tasks, environments, episode, settings, output)
        for name, load in policies.items()
    }
    return _report(tasks, episodes, episode, settings, len(environments), list(notes)), episodes


def _episodes_of(
    name: str,
    load: LoadPolicy,
    tasks: list[Task],
    environments: Sequence[Application],
    episode: EpisodeSettings,
    settings: EvaluateOnlineSettings,
    output: Path,
) -> list[Trajectory]:
    store = ShardStore(output / "episodes", name, Trajectory, shard_size=sys.maxsize)
    wanted = {task.task_id: task for task in tasks}
    done = {t.task.task_id: t for t in store if wanted.get(t.task.task_id) == t.task}
    missing = [task for task in tasks if task.task_id not in done]
    if done:
        log.info("%s: %d of %d episodes are there already", name, len(done), len(tasks))
    if missing:
        shown = [task.task_id for task in shown_tasks(tasks, settings)]
        recorded = [
            RecordedApplication(
                environment, output / "recordings" / name, shown, pictured=shown[: settings.screenshots]
            )
            for environment in environments
        ]
        policy = load()
        with Progress(len(tasks), len(done), what=name, unit="episode") as progress:
            for trajectory in rollouts(missing, policy, recorded, episode, seed=settings.seed):
                kept = without_tokens(trajectory)
                store.append(kept)
                done[kept.task.task_id] = kept
                won = sum(t.outcome == "success" for t in done.values())
                progress.advance_by(1, f"{won} of {len(done)} successful")
        store.close()
        for environment in recorded:
            environment.finish()
    return [done[task.task_id] for task in tasks]


def without_tokens(trajectory: Trajectory) -> Trajectory:
    """The episode without token ids and log-probabilities, which only a training needs."""
    bare = {"prompt_tokens": [], "answer_tokens": [], "logprobs": []}
    return trajectory.model_copy(update={"steps": [step.model_copy(update=bare) for step in trajectory.steps]})


def cause_of(trajectory: Trajectory) -> str:
    """Why an episode is no success: one of `FAILURES`, or "unsure"."""
    if trajectory.outcome == "error":
        return "application error"
    if trajectory.outcome == "unsure":
        return "unsure"
    return next((cause for cause in FAILURES if trajectory.reason.startswith(cause)), trajectory.reason or "unknown")


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


def _report(
    tasks: list[Task],
    episodes: dict[str, list[Trajectory]],
    episode: EpisodeSettings,
    settings: EvaluateOnlineSettings,
    environments: int,
    notes: list[str],
) -> ActingReport:
    clusters = [cluster_of(task, settings) for task in tasks]
    columns = {name: _columns(trajectories) for name, trajectories in episodes.items()}
    means, differences = compared(columns, clusters, settings.resamples, settings.seed)
    experts = {t.task.task_id: t for t in episodes.get(EXPERT, []) if t.outcome == "success"}
    return ActingReport(
        kind="online",
        data=settings.data or "generated",
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
        step_limit=episode.max_steps,
        scores=[_score(name, means[name], trajectories, experts, settings) for name, trajectories in episodes.items()],
        differences=[
            PairedDifference(name=name, baseline=earlier, estimates=found) for name, earlier, found in differences
        ],
        notes=notes,
    )


def seconds_of(trajectory: Trajectory) -> float:
    """From the request to the end of the last action: decisions and actions, without bringing the document."""
    return sum(step.seconds for step in trajectory.steps)


def _columns(trajectories: list[Trajectory]) -> dict[str, np.ndarray]:
    """Success of every episode; seconds and steps of the successful ones, NaN for the others."""
    success = np.array([float(t.outcome == "success") for t in trajectories])
    seconds = np.array([seconds_of(t) for t in trajectories])
    steps = np.array([float(len(t.steps)) for t in trajectories])
    return {
        "success": success,
        "seconds": np.where(success > 0, seconds, np.nan),
        "steps": np.where(success > 0, steps, np.nan),
    }


def _step_columns(trajectories: list[Trajectory]) -> dict[str, np.ndarray]:
    steps = [step for t in trajectories for step in t.steps]
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
    experts: dict[str, Trajectory],
    settings: EvaluateOnlineSettings,
) -> Score:
    failed = [t for t in trajectories if t.outcome != "success"]
    compared_with_expert = [t for t in failed if name != EXPERT and t.outcome == "fail" and t.task.task_id in experts]
    return Score(
        name=name,
        estimates={**means, **_step_estimates(trajectories, settings)},
        groups={
            group: _group([t for t in trajectories if keep(t.task)], settings)
            for group, keep in groups_of([t.task for t in trajectories]).items()
        },
        failures=_counted(cause_of(t) for t in failed),
        divergences=_counted(divergence(t, experts[t.task.task_id]) for t in compared_with_expert),
        retries=sum(t.retries for t in trajectories),
    )


def _step_estimates(trajectories: list[Trajectory], settings: EvaluateOnlineSettings) -> dict[str, Estimate]:
    """Means over all steps of all episodes; what is drawn again are the tasks."""
    clusters = [cluster_of(t.task, settings) for t in trajectories for _ in t.steps]
    if not clusters:
        return {}
    return described(_step_columns(trajectories), clusters, settings.resamples, settings.seed)


def _group(members: list[Trajectory], settings: EvaluateOnlineSettings) -> Group:
    clusters = [cluster_of(t.task, settings) for t in members]
    found = described(_columns(members), clusters, settings.resamples, settings.seed)
    return Group(
        tasks=len(members),
        steps=sum(len(t.steps) for t in members),
        estimates={**found, **_step_estimates(members, settings)},
    )


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
