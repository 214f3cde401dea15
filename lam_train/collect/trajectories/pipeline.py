"""The recipe `collect`: tasks and an expert in, trajectories, counts and a card out (the paper, section 3.2)."""

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from pydantic import Field

from lam_train.agent.episode import EpisodeSettings
from lam_train.apps.application import Application
from lam_train.collect.trajectories.card import Examples, card_text
from lam_train.collect.trajectories.collection import Collection, collect_with_planner, collect_with_policy
from lam_train.collect.trajectories.counts import CollectionCounts
from lam_train.collect.trajectories.experts import ExpertSettings, load_expert
from lam_train.collect.trajectories.grounding import GroundingSettings
from lam_train.collect.trajectories.task_source import select
from lam_train.records import Split, Task
from lam_train.settings import Settings

log = logging.getLogger(__name__)


class CollectTrajectoriesSettings(Settings):
    """Which tasks are collected, where, and into what."""

    application: str = "writer"
    """`writer`, or MODULE:FUNCTION of your own, called with the number of instances: a list of Applications"""
    instances: int = Field(2, ge=1)
    """applications that run at once"""
    tasks: str | None = None
    """a JSONL file of Task records; null: the application's generated tasks"""
    splits: list[Split] = Field(default_factory=lambda: ["train", "explore"])
    """tasks of these splits"""
    families: list[str] | None = None
    """tasks of these families; null: all"""
    most_tasks: int | None = Field(None, ge=1)
    """at most so many tasks, a fair sample; null: all"""
    output: str = "collected/trajectories"
    """the folder for episodes, counts and card; the same command goes on in it after a kill"""
    shard_size: int = Field(500, ge=1)
    """episodes in a file"""
    grounding: GroundingSettings = GroundingSettings()
    seed: int = 0
    """the order and the sample of the tasks"""
    examples: int = Field(20, ge=0)
    """random episodes on the card"""


def collect_trajectories(
    settings: CollectTrajectoriesSettings,
    expert: ExpertSettings,
    episode: EpisodeSettings,
    tasks: Sequence[Task],
    open_environments: Callable[[], Sequence[Application]],
) -> CollectionCounts:
    """Collects what is still missing in `settings.output`, then writes counts.json and the card (README.md).

    Environments are opened only where an episode is missing, and closed at the end. Raises UserError for settings that
    contradict each other or the folder, Fault where an endpoint or a disk is gone.
    """
    tasks = select(tasks, settings.splits, settings.families, settings.most_tasks, settings.seed)
    who = load_expert(expert, settings.application)
    with ExitStack() as stack:
        collection = stack.enter_context(Collection(Path(settings.output).expanduser(), settings.shard_size))
        collection.check_identity({"application": settings.application, "expert": who.name})
        done = collection.done()
        if any(task.task_id not in done for task in tasks):
            environments = open_environments()
            for environment in environments:
                stack.callback(environment.close)
            if hasattr(who, "plan"):
                threshold = settings.grounding.threshold
                collect_with_planner(
                    collection, tasks, who, environments, threshold, episode, lambda kept: kept, settings.seed
                )
            else:
                collect_with_policy(collection, tasks, who, environments, episode, lambda kept: kept, settings.seed)
        return write_counts_and_card(collection, settings, expert)


def write_counts_and_card(
    collection: Collection, settings: CollectTrajectoriesSettings, expert: ExpertSettings
) -> CollectionCounts:
    """Counts everything in the folder, whatever run it came from."""
    counts, examples = CollectionCounts(), Examples(settings.examples, settings.seed)
    for trajectory in collection.episodes:
        counts.add(trajectory)
        examples.add(trajectory)
    for plan in collection.plans:
        counts.add_plan(plan)
    counts.check()
    card = card_text(counts, examples, {"trajectories": settings.model_dump(), "expert": expert.model_dump()})
    (collection.folder / "README.md").write_text(card, encoding="utf-8")
    numbers = json.dumps(counts.as_dict(), indent=1, ensure_ascii=False) + "\n"
    (collection.folder / "counts.json").write_text(numbers, encoding="utf-8")
    log.info(
        "%d tasks, %d successes (%.1f%%), %d failures kept, in %s",
        counts.all["tasks"],
        counts.all["success"],
        100 * counts.success_rate,
        counts.all["tasks"] - counts.all["success"],
        collection.folder,
    )
    return counts
