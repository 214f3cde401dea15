"""What is evaluated: anything that answers tasks with plans. Two that need no model stand here."""

from collections.abc import Callable
from pathlib import Path

from rapidfuzz import fuzz, process

from lam_train.errors import UserError
from lam_train.language.plans import plan_answer
from lam_train.records import Record, TaskPlan, Text, read_jsonl


class Answer(Record):
    """A planner's raw text for a task."""

    text: str
    cut: bool = False
    """It ended at the limit of new tokens, not by the model's choice."""
    tokens: int = 0
    """Generated tokens, the end-of-turn token included; 0 when the planner does not count them."""


class RecordedAnswer(Record):
    """A line of an answers file: which task was answered, and how."""

    task_id: Text
    answer: Answer


Planner = Callable[[list[TaskPlan]], list[Answer] | list[str]]
"""Answers tasks, in their order. It sees the whole record but must use the task and the application alone."""


def retrieval_planner(training: list[TaskPlan]) -> Planner:
    """Answers with the plan of the most similar training task: what memorising the training data would give.

    Similarity is `rapidfuzz.fuzz.token_sort_ratio` of "application: task" in lower case; the first of equals is taken.
    """
    if not training:
        raise UserError("the retrieval baseline has no training tasks to retrieve from")
    known = [f"{record.app}: {record.task}".casefold() for record in training]

    def plan(tasks: list[TaskPlan]) -> list[Answer]:
        nearest = [
            process.extractOne(f"{task.app}: {task.task}".casefold(), known, scorer=fuzz.token_sort_ratio)[2]
            for task in tasks
        ]
        return [Answer(text=plan_answer(training[index])) for index in nearest]

    return plan


def recorded_planner(path: Path) -> Planner:
    """Answers from an answers file of an earlier evaluation: other thresholds or a judge, without generating again.

    Tokens are given as not counted: the time of reading a file is no speed.
    """
    recorded = {line.task_id: line.answer for line in read_jsonl(path, RecordedAnswer)}

    def plan(tasks: list[TaskPlan]) -> list[Answer]:
        missing = [task.task_id for task in tasks if task.task_id not in recorded]
        if missing:
            raise UserError(f"{path} has no answer to {len(missing)} of {len(tasks)} tasks, the first {missing[0]}")
        return [recorded[task.task_id].model_copy(update={"tokens": 0}) for task in tasks]

    return plan
