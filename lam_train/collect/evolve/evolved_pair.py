"""What a language model made of a task-plan pair."""

from lam_train.collect.trajectories.instantiation import CallUsage
from lam_train.records import Record, Text


class EvolvedPair(Record):
    """One answer: a new task and its plan, or what is wrong with it."""

    parent: Text  # the pair's task_id
    round: int  # from 1: the how-manieth of its parent
    task: str = ""
    plan: list[str] = []
    problem: str = ""  # "unreadable: …", "too long: …", "unchanged: …", "empty: …"; "" for a good one
    usage: CallUsage = CallUsage()


def same_form(task: str) -> str:
    """A task's letters and digits alone: two tasks of one form are the same."""
    return "".join(character for character in task.casefold() if character.isalnum())
