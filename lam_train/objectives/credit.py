"""Which step gets which label, for the reward model."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt

from lam_train.collect.exploration.selection import effect, effective_actions
from lam_train.language.sample import Sample
from lam_train.records import Trajectory
from lam_train.settings import Settings


class RewardSettings(Settings):
    """How trajectories become labels, and which are held out."""

    credit: Literal["outcome", "diverging"] = "outcome"
    """`outcome`: every step of a failure -1, as the paper; `diverging`: a step of a failure is -1 only from where it
    leaves the path of every success of the same task, +1 before"""
    balance: bool = False
    """weigh steps so that both labels count alike in the loss"""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """share of the tasks whose trajectories are not learned from, for the report"""
    completable: str | None = None
    """what +recipe=replay_failures found, for the report: after which steps of failures the task could be completed"""
    seed: NonNegativeInt = 0
    """chooses the held-out tasks"""


Judged = Sequence[tuple[Trajectory, list[Sample]]]


def labels_of(judged: Judged, credit: str) -> dict[str, float]:
    """Sample id -> +1 or -1."""
    paths = successful_paths(trajectory for trajectory, _ in judged) if credit == "diverging" else {}
    labels: dict[str, float] = {}
    for trajectory, samples in judged:
        won = trajectory.outcome == "success"
        shared = 0 if won else shared_steps(trajectory, paths.get(trajectory.task.task_id, ()))
        for sample in samples:
            number = int(sample.id.rpartition("/")[2])
            labels[sample.id] = 1.0 if won or number < shared else -1.0
    return labels


def successful_paths(trajectories: Iterable[Trajectory]) -> dict[str, list[tuple[str, ...]]]:
    """Task id -> the effective actions of each of its successes, in order."""
    paths: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for trajectory in trajectories:
        if trajectory.outcome == "success":
            paths[trajectory.task.task_id].append(effective_actions(trajectory))
    return paths


def shared_steps(failure: Trajectory, paths: Iterable[tuple[str, ...]]) -> int:
    """How many steps, from the first, a failure has in common with one of the paths.

    A refused or unreadable step changed nothing, but is no step of a success: the common part ends before it.
    """
    most = 0
    for path in paths:
        common = 0
        for step, wanted in zip(failure.steps, path, strict=False):
            if step.error or step.problem or effect(step) != wanted:
                break
            common += 1
        most = max(most, common)
    return most


def balancing_weights(labels: dict[str, float]) -> dict[float, float]:
    """Label -> the weight with which both labels sum to the same, half the number of steps each."""
    positives = sum(label > 0 for label in labels.values())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return {1.0: 1.0, -1.0: 1.0}
    return {1.0: len(labels) / (2 * positives), -1.0: len(labels) / (2 * negatives)}
