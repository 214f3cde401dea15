"""The tasks of an evaluation: read, checked to be held out, and chosen page by page."""

import random
from pathlib import Path

from lam_train.errors import UserError
from lam_train.records import TaskPlan, read_jsonl


def page_of(record: TaskPlan) -> str:
    """The page a task comes from; a task without one stands for itself."""
    return record.page or f"task {record.task_id}"


def held_out_tasks(data: str, training_data: str | None) -> tuple[list[TaskPlan], list[TaskPlan]]:
    """(test tasks, training tasks) of two JSONL files; no training file gives no training tasks.

    Raises UserError for a file without tasks, a task_id that occurs twice, and pages that are in both files.
    """
    test = _read(data)
    training = _read(training_data) if training_data else []
    shared = {record.page for record in test if record.page} & {record.page for record in training}
    if shared:
        raise UserError(
            f"{data} and {training_data} share {len(shared)} pages, such as {min(shared)!r}: the test tasks are "
            "not held out; split by page"
        )
    return test, training


def _read(path: str) -> list[TaskPlan]:
    records = list(read_jsonl(Path(path).expanduser(), TaskPlan))
    if not records:
        raise UserError(f"{path} has no tasks")
    seen: set[str] = set()
    for record in records:
        if record.task_id in seen:
            raise UserError(f"{path}: the task_id {record.task_id} occurs twice")
        seen.add(record.task_id)
    return records


def tasks_in_training(test: list[TaskPlan], training: list[TaskPlan]) -> int:
    """How many test tasks are a training task word for word (but for case), from another page."""
    known = {(record.app, record.task.casefold()) for record in training}
    return sum((record.app, record.task.casefold()) in known for record in test)


def choose_tasks(records: list[TaskPlan], limit: int | None, seed: int) -> list[TaskPlan]:
    """At most `limit` tasks, of whole pages in a seeded order (the last may be cut), returned in their file's order."""
    if limit is None or limit >= len(records):
        return records
    pages: dict[str, list[int]] = {}
    for index, record in enumerate(records):
        pages.setdefault(page_of(record), []).append(index)
    order = sorted(pages)
    random.Random(seed).shuffle(order)
    chosen = [index for page in order for index in pages[page]][:limit]
    return [records[index] for index in sorted(chosen)]
