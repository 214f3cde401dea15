"""Online evaluation: every policy does the test tasks in the application; the executable check says what succeeded."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from lam_train.agent.episode import EpisodeSettings
from lam_train.agent.rollouts import rollouts
from lam_train.apps.application import Application
from lam_train.collect.trajectories.store import ShardStore
from lam_train.errors import Fault, UserError
from lam_train.evaluate.acting import ActingSettings, LoadPolicy, families_in_turn
from lam_train.evaluate.acting_results import ActingReport
from lam_train.evaluate.online_scores import online_report, unanswered
from lam_train.records import Task, Trajectory
from lam_train.report.recording import RecordedApplication
from lam_train.train.progress import Progress

log = logging.getLogger(__name__)


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

    Episodes go to episodes/NAME-00000.jsonl as they end; tasks that have one there already are not done again, but for
    those that the application or an endpoint broke. Raises Fault where an endpoint answered in no episode to its end.
    """
    if not policies or not tasks:
        raise UserError("nothing to evaluate: there are no models or no tasks")
    episodes = {
        name: _episodes_of(name, load, tasks, environments, episode, settings, output)
        for name, load in policies.items()
    }
    for name, found in episodes.items():
        if all(map(unanswered, found)):
            raise Fault(f"{name}: {found[0].reason}, in all {len(found)} episodes; the same command makes them again")
    data = settings.data or "generated"
    report = online_report(tasks, episodes, settings, data, len(environments), episode.max_steps, list(notes))
    return report, episodes


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
    # An error may be the application's or the endpoint's: when it is mended, the same command makes the episode again.
    done = {t.task.task_id: t for t in store if wanted.get(t.task.task_id) == t.task and t.outcome != "error"}
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
    broken = [t for t in done.values() if t.outcome == "error"]
    if broken:
        log.warning("%s: %d episodes are made again by the same command: %s", name, len(broken), broken[0].reason)
    return [done[task.task_id] for task in tasks]


def without_tokens(trajectory: Trajectory) -> Trajectory:
    """The episode without token ids and log-probabilities, which only a training needs."""
    bare = {"prompt_tokens": [], "answer_tokens": [], "logprobs": []}
    return trajectory.model_copy(update={"steps": [step.model_copy(update=bare) for step in trajectory.steps]})
