"""What offline and online evaluation of acting share: their settings, and the choice of tasks."""

import hashlib
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from lam_train.agent.policy import Policy
from lam_train.errors import UserError
from lam_train.records import Split, Task
from lam_train.settings import Settings

Name = Annotated[str, StringConstraints(pattern=r"^\w[\w .+-]*$")]
LoadPolicy = Callable[[], Policy]
"""Loads a policy when it is its turn, so that one model at a time is in memory."""


class ActingSettings(Settings):
    """What is evaluated, on which tasks, with which intervals."""

    models: dict[Name, str | None] = Field(default_factory=lambda: {"untrained": None})
    """name in the report -> the model's folder; null stands for the recipe's model as it comes"""
    split: Split | None = "test"
    """tasks of this split alone; null takes all"""
    families: list[str] | None = None
    """tasks of these families alone, by their full names; null takes all"""
    limit: int | None = Field(None, gt=0)
    """at most so many tasks, in a seeded choice that takes families in turn; null takes all"""
    resamples: int = Field(10_000, ge=100)
    """bootstrap resamples"""
    cluster: Literal["task", "template"] = "task"
    """what the bootstrap draws again: single tasks, or all tasks of a template at once"""
    page_tasks: int = Field(100, ge=0)
    """tasks on the page of episodes, in a seeded choice; 0 for no page"""
    seed: int = 0
    """chooses the tasks, the page's tasks and the resamples"""


def chosen_tasks(tasks: Iterable[Task], settings: ActingSettings, where: str) -> list[Task]:
    """The tasks of the settings' split and families, at most `limit`; in their given order. `where` they come from.

    Raises UserError for a task id that occurs twice, an unknown family, or no task at all.
    """
    tasks = [task for task in tasks if settings.split in (None, task.split)]
    twice = [task_id for task_id, count in _counts(task.task_id for task in tasks).items() if count > 1]
    if twice:
        raise UserError(f"{where}: the task {twice[0]} occurs more than once")
    if settings.families is not None:
        known = {task.family for task in tasks}
        unknown = [family for family in settings.families if family not in known]
        if unknown:
            raise UserError(f"{where}: no task of the family {unknown[0]!r}; there are {', '.join(sorted(known))}")
        tasks = [task for task in tasks if task.family in settings.families]
    if not tasks:
        raise UserError(f"{where}: no task of split {settings.split!r}; split=null takes all splits")
    keep = {task.task_id for task in families_in_turn(tasks, settings.seed)[: settings.limit]}
    return [task for task in tasks if task.task_id in keep]


def families_in_turn(tasks: list[Task], seed: int) -> list[Task]:
    """A seeded order in which any beginning holds each family about equally often, as long as it lasts."""
    shuffled = random.Random(seed).sample(tasks, len(tasks))
    turns: dict[str, int] = {}
    keyed = []
    for place, task in enumerate(shuffled):
        turn = turns.get(family_group(task), 0)
        turns[family_group(task)] = turn + 1
        keyed.append(((turn, place), task))
    return [task for _, task in sorted(keyed, key=lambda pair: pair[0])]


def family_group(task: Task) -> str:
    """The family, or for a composition how many operations it has: there are too many kinds to tell apart."""
    operations = task.family.count("+") + 1
    return (task.family or "no family") if operations == 1 else f"{operations} operations"


def is_single(task: Task) -> bool:
    """Whether the task asks for one operation only."""
    return "+" not in task.family


def groups_of(tasks: list[Task]) -> dict[str, Callable[[Task], bool]]:
    """Group -> which tasks are in it: single operations, compositions, then every family, those that exist."""
    groups: dict[str, Callable[[Task], bool]] = {
        "single operations": is_single,
        "compositions": lambda task: not is_single(task),
    }
    for group in sorted({family_group(task) for task in tasks}):
        groups[group] = lambda task, group=group: family_group(task) == group
    return {group: keep for group, keep in groups.items() if any(map(keep, tasks))}


def cluster_of(task: Task, settings: ActingSettings) -> str:
    """The name of what the bootstrap draws again."""
    return task.task_id if settings.cluster == "task" else task.template or task.task_id


def _counts(names: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found[name] = found.get(name, 0) + 1
    return found


def model_identity(path: str) -> str:
    """A model's folder with a digest of its files' names, sizes and times; what is no folder, by its name."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        return path
    stats = [
        (str(file.relative_to(folder)), file.stat().st_size, file.stat().st_mtime_ns)
        for file in sorted(folder.rglob("*"))
    ]
    return f"{path} (digest {hashlib.sha256(json.dumps(stats).encode()).hexdigest()[:12]})"


def check_identities(output: Path, identities: dict[str, str]) -> None:
    """Refuses to go on in a folder that holds answers by another policy of the same name; then notes who answers."""
    file = output / "policies.json"
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    for name, identity in identities.items():
        if before.get(name, identity) != identity:
            raise UserError(
                f"{output} holds the answers of {name} = {before[name]}, not of {identity}: take another run_dir, or "
                "the settings of before"
            )
    output.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps({**before, **identities}, indent=1) + "\n", encoding="utf-8")
    partial.replace(file)
