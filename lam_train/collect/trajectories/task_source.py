"""Which tasks are collected: generated ones, those of a file, or task-plans that an expert turns into tasks."""

import math
import random
import re
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from lam_train.collect.trajectories.ufo_files import read_ufo_tasks
from lam_train.collect.verbs import word_set
from lam_train.errors import UserError
from lam_train.records import Split, Task, TaskPlan, read_jsonl


def read_tasks(path: str | Path, key: str = "") -> list[Task]:
    """The tasks of a JSONL file, or of all that lie in a folder; raises UserError for a bad line, or no file.

    `key`: the setting that gives the path, to be named in the error.
    """
    path = Path(path).expanduser()
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{key}{'=' if key else ''}{path}: no .jsonl file of tasks there")
    return [task for file in files for task in read_jsonl(file, Task)]


def read_task_plans(path: str | Path) -> list[TaskPlan]:
    """The task-plan pairs of a JSONL file, or UFO's task files (.json, or a folder of them)."""
    path = Path(path).expanduser()
    if path.is_dir() or path.suffix == ".json":
        return read_ufo_tasks(path)
    return list(read_jsonl(path, TaskPlan))


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


def tasks_of_plans(
    plans: Iterable[TaskPlan], app: str, templates: dict[str, str], split: Split, seed: int
) -> tuple[list[Task], dict[str, list[str]]]:
    """A task a task-plan, on the template that suits it best, and each task's reference steps by its id.

    `templates`: name -> description. The tasks have no check: what they ask for is made concrete by an expert, and a
    judge says whether it was done.
    """
    choose = TemplateChoice(templates, seed)
    tasks, steps = [], {}
    for plan in plans:
        template = choose(" ".join([plan.task, *plan.plan]))
        task_id = f"{plan.task_id}@{template}"
        source = {"source": "task-plan", "parent": plan.task_id}
        tasks.append(Task(task_id=task_id, request=plan.task, app=app, template=template, split=split, **source))
        steps[task_id] = plan.plan
    return tasks, steps


class TemplateChoice:
    """The document whose description shares the rarest words with a text; by the seed among equals.

    (UFO gives its chooser the name of the task's file; here it is the task and its plan that choose.)
    """

    def __init__(self, templates: dict[str, str], seed: int) -> None:
        self._words = {name: _words(text) for name, text in sorted(templates.items())}
        self._seed = seed
        documents = Counter(word for words in self._words.values() for word in words)
        self._weight = {word: math.log(1 + len(templates) / count) for word, count in documents.items()}

    def __call__(self, text: str) -> str:
        asked = _words(text)
        return max(self._words, key=lambda name: (self._shared(asked, name), self._draw(text, name)))

    def _shared(self, asked: set[str], name: str) -> float:
        return sum(self._weight[word] for word in asked & self._words[name])

    def _draw(self, text: str, name: str) -> int:
        return zlib.crc32(f"{self._seed}/{text}/{name}".encode())


_COMMON = word_set("a about and as at by for four from in is it its of on or the three to two with you your")


def _words(text: str) -> set[str]:
    """The words that say what a text is about, in the singular."""
    return {word.removesuffix("s") for word in re.findall(r"[a-z]+", text.casefold())} - _COMMON
