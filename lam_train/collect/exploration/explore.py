"""Self-boosting exploration: a model tries, several times each, the tasks that the expert failed (the paper, 4.3)."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from pydantic import Field, model_validator

from lam_train.agent.episode import EpisodeSettings
from lam_train.agent.policy import Policy
from lam_train.agent.rollouts import rollouts
from lam_train.apps.application import Application
from lam_train.collect.exploration.card import card_text
from lam_train.collect.exploration.counts import ExplorationCounts, count
from lam_train.collect.exploration.selection import select_successes
from lam_train.collect.trajectories.collection import Collection
from lam_train.collect.trajectories.progress import EpisodeProgress
from lam_train.collect.trajectories.store import read_trajectories
from lam_train.errors import UserError
from lam_train.evaluate.acting import families_in_turn
from lam_train.records import Split, Task, Trajectory, write_jsonl
from lam_train.settings import Settings

log = logging.getLogger(__name__)


class ExploreSettings(Settings):
    """Which tasks are tried, how often, and what is kept."""

    expert: str = "collected/explore_trajectories"
    """the expert's episodes (+recipe=collect on the explore split): the tasks it failed are tried"""
    output: str = "collected/exploration"
    """the folder for episodes, selection, counts and card; the same command goes on in it after a kill"""
    split: Split = "explore"
    """tasks of this split alone; the test split is refused"""
    rollouts: int = Field(4, ge=1)
    """attempts at a task (K)"""
    enough: int | None = Field(None, ge=1)
    """no further attempt begins at a task that was won so often; null: always all"""
    keep_per_task: int = Field(2, ge=1)
    """successes of a task that are learned from, at most"""
    most_tasks: int | None = Field(None, ge=1)
    """at most so many tasks, in a seeded choice that takes families in turn; null: all"""
    part: int = Field(0, ge=0)
    """which part of the tasks this process tries, from 0: of a Slurm array, $SLURM_ARRAY_TASK_ID"""
    parts: int = Field(1, ge=1)
    """how many processes share the tasks; each writes a folder of its own, output/part-PART-of-PARTS"""
    shard_size: int = Field(500, ge=1)
    """episodes in a file"""
    seed: int = 0
    """of the order of the tasks, and of the choice where there are more than most_tasks"""
    examples: int = Field(20, ge=0)
    """kept successes shown on the card"""

    @model_validator(mode="after")
    def _checked(self) -> "ExploreSettings":
        if self.part >= self.parts:
            raise ValueError(f"part={self.part} of parts={self.parts}: parts are counted from 0")
        if self.split == "test":
            raise ValueError("split=test: what is learned from the test split spoils the evaluation")
        return self


def failed_tasks(settings: ExploreSettings) -> list[Task]:
    """The tasks of this part that the expert failed, families in turn; every task is in exactly one part.

    Raises UserError where the expert's folder has no such task.
    """
    outcomes: dict[str, set[str]] = {}
    tasks: dict[str, Task] = {}
    for episode in read_trajectories(Path(settings.expert).expanduser()):
        if episode.task.split == settings.split:
            tasks.setdefault(episode.task.task_id, episode.task)
            outcomes.setdefault(episode.task.task_id, set()).add(episode.outcome)
    ended = {task_id: found - {"error"} for task_id, found in outcomes.items()}  # a broken one may have been made again
    failed = [task for task_id, task in tasks.items() if ended[task_id] and ended[task_id] <= {"fail", "unsure"}]
    if not failed:
        raise UserError(
            f"explore.expert={settings.expert}: {len(tasks)} tasks of split {settings.split} there, and none that the "
            "expert failed; collect them with +recipe=collect 'trajectories.splits=[explore]'"
        )
    chosen = families_in_turn(failed, settings.seed)[: settings.most_tasks]
    return chosen[settings.part :: settings.parts]


def part_folder(settings: ExploreSettings) -> Path:
    """Where this part's episodes go."""
    output = Path(settings.output).expanduser()
    return output if settings.parts == 1 else output / f"part-{settings.part}-of-{settings.parts}"


def explore(
    settings: ExploreSettings,
    load_policy: Callable[[int], Policy],
    open_environments: Callable[[], Sequence[Application]],
    episode: EpisodeSettings,
    identity: dict,
    shown: dict,
) -> ExplorationCounts:
    """Makes the rollouts that are still missing, selects, and writes counts.json and README.md.

    They are written too when it is interrupted or something breaks; not when it is killed.

    `load_policy` is given how many episodes are there already, so that those that follow are sampled with other
    random numbers. `identity`: what the folder is begun with and must be gone on with (the model, how it samples);
    `shown`: all settings, for the card. The model is loaded and environments are opened only where a rollout is
    missing. An episode that the application broke is kept and is no attempt: the next run makes it again.
    """
    tasks = failed_tasks(settings)
    folder = part_folder(settings)
    with Collection(folder, settings.shard_size) as collection:
        collection.check_identity(identity)
        attempts = _Attempts(tasks, settings, collection.episodes)
        try:
            if attempts.missing():
                with ExitStack() as stack:
                    environments = open_environments()
                    for environment in environments:
                        stack.callback(environment.close)
                    _roll(attempts, collection, load_policy(attempts.written.total()), environments, episode, settings)
        except BaseException:  # an interrupted exploration tells what it found so far
            try:
                _finish(collection, tasks, settings, shown)
            except Exception as error:  # a full disk breaks this too; the first error is the one to be told
                log.warning("counts.json, README.md and selected/ are not up to date: %s", error)
            raise
        return _finish(collection, tasks, settings, shown)


class _Attempts:
    """How often each task was tried and won; which attempt comes next."""

    def __init__(self, tasks: list[Task], settings: ExploreSettings, episodes) -> None:
        self.tasks, self.settings = tasks, settings
        self.ended, self.won, self.written = Counter(), Counter(), Counter()
        for trajectory in episodes:
            self.add(trajectory)

    def add(self, trajectory: Trajectory) -> None:
        task_id = trajectory.task.task_id
        self.written[task_id] += 1
        self.ended[task_id] += trajectory.outcome != "error"
        self.won[task_id] += trajectory.outcome == "success"

    def missing(self) -> int:
        """Rollouts that are left, if none is spared by `enough` from now on."""
        return sum(
            max(self.settings.rollouts - self.ended[task.task_id], 0)
            for task in self.tasks
            if not self._enough(task.task_id)
        )

    def __iter__(self) -> Iterator[Task]:
        """Every task once, then every task again: stopped early, all have been tried about equally often."""
        before = Counter(self.ended)
        for attempt in range(self.settings.rollouts):
            for task in self.tasks:
                if before[task.task_id] <= attempt and not self._enough(task.task_id):
                    yield task

    def _enough(self, task_id: str) -> bool:
        return self.settings.enough is not None and self.won[task_id] >= self.settings.enough


def _roll(
    attempts: _Attempts,
    collection: Collection,
    policy: Policy,
    environments: Sequence[Application],
    episode: EpisodeSettings,
    settings: ExploreSettings,
) -> None:
    missing = attempts.missing()
    log.info("%d tasks, %d rollouts to make, in %s", len(attempts.tasks), missing, collection.folder)
    with EpisodeProgress("exploring", "rollout", missing) as progress:
        for trajectory in rollouts(iter(attempts), policy, environments, episode, seed=settings.seed):
            task_id = trajectory.task.task_id
            named = f"{task_id}.{policy.name}.{attempts.written[task_id]}"
            kept = trajectory.model_copy(update={"trajectory_id": named})
            collection.episodes.append(kept)
            attempts.add(kept)
            progress.advance(kept.outcome == "success")


def _finish(collection: Collection, tasks: list[Task], settings: ExploreSettings, shown: dict) -> ExplorationCounts:
    wanted = {task.task_id for task in tasks}
    kept = select_successes((t for t in collection.episodes if t.task.task_id in wanted), settings.keep_per_task)
    write_jsonl(collection.folder / "selected" / "episodes-00000.jsonl", kept)
    counts = count(tasks, (t for t in collection.episodes if t.task.task_id in wanted), kept)
    text = json.dumps(counts.as_dict(), indent=1, ensure_ascii=False) + "\n"
    (collection.folder / "counts.json").write_text(text, encoding="utf-8")
    card = card_text(counts, kept, shown, settings.examples)
    (collection.folder / "README.md").write_text(card, encoding="utf-8")
    log.info(
        "%d of %d tasks won (%.1f%%) in %d rollouts; %d successes kept, in %s",
        counts.all["won"], counts.all["tried"], 100 * counts.task_yield, counts.all["rollouts"], len(kept),
        collection.folder / "selected",
    )  # fmt: skip
    return counts
