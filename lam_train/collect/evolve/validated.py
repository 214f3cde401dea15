"""Evolved tasks, each validated by execution: an expert does them in the live application; what succeeds is kept."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import Field

from lam_train.agent.episode import EpisodeSettings
from lam_train.apps.application import Application
from lam_train.apps.writer.tasks.generate import load_sources
from lam_train.apps.writer.tasks.splits import assert_disjoint
from lam_train.collect.evolve.evolve_tasks import MOVES, Evolution, Moves
from lam_train.collect.trajectories.card import table
from lam_train.collect.trajectories.collection import last_of_tasks
from lam_train.collect.trajectories.experts import ExpertSettings
from lam_train.collect.trajectories.pipeline import CollectTrajectoriesSettings, collect_trajectories
from lam_train.collect.trajectories.store import read_trajectories
from lam_train.collect.trajectories.task_source import select
from lam_train.errors import UserError
from lam_train.records import Task, Trajectory, write_jsonl
from lam_train.settings import Settings

log = logging.getLogger(__name__)


class EvolveTasksSettings(Settings):
    """What tasks are evolved from, and how."""

    episodes: str | None = None
    """a collection's folder: only the tasks that succeeded there are evolved; null: all"""
    moves: Moves = Moves()
    most_proposals: int | None = Field(None, ge=1)
    """try at most so many evolved tasks, a fair sample; null: all"""


def evolve_tasks(
    settings: EvolveTasksSettings,
    trajectories: CollectTrajectoriesSettings,
    expert: ExpertSettings,
    episode: EpisodeSettings,
    tasks: Sequence[Task],
    seed: int,
    open_environments: Callable[[], Sequence[Application]],
) -> list[Task]:
    """The evolved tasks that the expert did; they, all episodes, counts and cards are in `trajectories.output`.

    `tasks` are all that exist, of every split: nothing that is made is one of them. `seed` is their generator's. The
    same call goes on after a kill. Raises UserError for tasks that were not generated, or where nothing was made.
    """
    parents = _parents(settings, trajectories, tasks)
    evolution = Evolution(load_sources(), seed)
    proposed = evolution.evolve(parents, settings.moves, tasks)
    if not proposed:
        raise UserError(f"nothing was evolved from {len(parents)} tasks: {dict(evolution.counts)}")
    assert_disjoint([*tasks, *proposed])
    log.info("%d evolved tasks are proposed from %d; the expert tries them now", len(proposed), len(parents))
    collecting = trajectories.model_copy(update={"most_tasks": settings.most_proposals, "families": None})
    collect_trajectories(collecting, expert, episode, proposed, open_environments)
    return _keep(Path(trajectories.output).expanduser(), parents, proposed, evolution.counts)


def _parents(
    settings: EvolveTasksSettings, trajectories: CollectTrajectoriesSettings, tasks: Sequence[Task]
) -> list[Task]:
    given = tasks
    if settings.episodes is not None:
        done = {
            e.task.task_id for e in read_trajectories(Path(settings.episodes).expanduser()) if e.outcome == "success"
        }
        given = [task for task in tasks if task.task_id in done]
        if not given:
            raise UserError(
                f"evolve_tasks.episodes={settings.episodes}: none of the {len(tasks)} tasks succeeded there"
            )
    given = [task for task in given if task.split in ("train", "explore")]
    return select(given, trajectories.splits, trajectories.families, trajectories.most_tasks, trajectories.seed)


def _keep(folder: Path, parents: Sequence[Task], proposed: Sequence[Task], counts: Counter) -> list[Task]:
    """Writes tasks.jsonl, evolution.json and evolution.md."""
    wanted = {task.task_id for task in proposed}
    episodes = [episode for episode in last_of_tasks(read_trajectories(folder)) if episode.task.task_id in wanted]
    kept = [episode.task for episode in episodes if episode.outcome == "success"]
    write_jsonl(folder / "tasks.jsonl", sorted(kept, key=lambda task: task.task_id))
    rows = [_row(move, counts, episodes) for move in MOVES]
    numbers = {
        "parents": len(parents),
        "kept": len(kept),
        "parents_and_kept": len(parents) + len(kept),
        "moves": {row[0]: dict(zip(HEAD[1:], row[1:], strict=True)) for row in rows},
    }
    (folder / "evolution.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    (folder / "evolution.md").write_text(_card(numbers, rows, kept), encoding="utf-8")
    log.info("%d evolved tasks kept of %d tried, from %d parents", len(kept), len(episodes), len(parents))
    return kept


HEAD = ("move", "attempts", "no parent", "nothing new", "proposed", "tried", "kept")


def _row(move: str, counts: Counter, episodes: Sequence[Trajectory]) -> tuple:
    tried = [episode for episode in episodes if episode.task.source == f"evolved:{move}"]
    ends = [counts[move, what] for what in ("parent cannot be taken apart", "nothing new found", "proposed")]
    return (move, sum(ends), *ends, len(tried), sum(episode.outcome == "success" for episode in tried))


def _card(numbers: dict, rows: list[tuple], kept: list[Task]) -> str:
    total = ("all", *(sum(row[column] for row in rows) for column in range(1, len(HEAD))))
    examples = sorted(kept, key=lambda task: task.task_id)[:20]
    parts = [
        "# Evolved tasks",
        f"{numbers['parents']} tasks became {numbers['parents_and_kept']}: {numbers['kept']} evolved ones that the "
        "expert did in the live application, as the executable check says (`tasks.jsonl`; their episodes, and those of "
        "the others, are in `episodes-*.jsonl`). The paper evolved 29,182 task-plan pairs into 76,672 with GPT-4o.",
        table(HEAD, [*rows, total]),
        "attempts = no parent (it is a composition, or its request cannot be read backwards) + nothing new (no task "
        "that is new and belongs to the parent's split) + proposed. tried: proposed, and executed by the expert.",
        "## 20 of them",
        "\n".join(f"- {task.source.partition(':')[2]}, {task.template}: {task.request}" for task in examples),
    ]
    return "\n\n".join(parts) + "\n"
