"""Which tasks are collected: generated ones, those of a file, or task-plans that an expert turns into tasks."""

import random
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from lam_train.errors import UserError
from lam_train.records import Split, Task, TaskPlan, read_jsonl


def read_tasks(path: str | Path) -> list[Task]:
    """The tasks of a JSONL file; raises UserError for a bad line."""
    return list(read_jsonl(Path(path).expanduser(), Task))


def read_task_plans(path: str | Path) -> list[TaskPlan]:
    """The task-plan pairs of a JSONL file; raises UserError for a bad line."""
    return list(read_jsonl(Path(path).expanduser(), TaskPlan))


def select(
    tasks: Iterable[Task], splits: list[Split], families: list[str] | None, most: int | None, seed: int
) -> list[Task]:
    """The tasks of these splits and families, at most `most`, in an order that the seed decides.

    Any beginning of the order is a fair sample, so that a collection stopped early is one too. Raises UserError for an
    id that comes twice, for a family that no task has, and when nothing is left.
    """
    tasks = list(tasks)
    twice = [task_id for task_id, count in Counter(task.task_id for task in tasks).items() if count > 1]
    if twice:
        raise UserError(f"the task_id {twice[0]} comes twice; ids must be unique")
    known = {task.family for task in tasks}
    unknown = [family for family in families or [] if family not in known]
    if unknown:
        raise UserError(f"trajectories.families: no task is of the family {unknown[0]}; there are {sorted(known)}")
    chosen = [
        task for task in sorted(tasks, key=lambda task: task.task_id)
        if task.split in splits and (families is None or task.family in families)
    ]  # fmt: skip
    if not chosen:
        raise UserError(f"no task is left of {len(tasks)}: look at trajectories.splits={splits} and families")
    random.Random(seed).shuffle(chosen)
    return chosen[:most]
