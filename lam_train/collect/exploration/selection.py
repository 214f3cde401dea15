"""Which of a model's successes are learned from: different ones, the shortest first, so many a task."""

import json
from collections import defaultdict
from collections.abc import Iterable

from lam_train.records import Step, Trajectory


def effective_actions(trajectory: Trajectory) -> tuple[str, ...]:
    """What was done, without what was refused and without how it was thought about.

    Two trajectories of a task with the same effective actions differ in detours that had no effect, if at all.
    """
    return tuple(effect(step) for step in trajectory.steps if not step.error and not step.problem)


def effect(step: Step) -> str:
    """What a step did, as text that can be compared: the control by type and text, function, arguments, status."""
    action = step.action
    control = step.observation.control(action.control_label)
    named = (control.control_type, control.control_text) if control else ("", "")
    return json.dumps([*named, action.function, action.args, action.status], sort_keys=True, ensure_ascii=False)


def select_successes(trajectories: Iterable[Trajectory], keep_per_task: int) -> list[Trajectory]:
    """Of each task's successes at most `keep_per_task` with different effective actions, the shortest first.

    Tasks come in the order of their first success. Equally long ones: the one with fewer refusals, then the first.
    """
    by_task: dict[str, list[Trajectory]] = defaultdict(list)
    for trajectory in trajectories:
        if trajectory.outcome == "success":
            by_task[trajectory.task.task_id].append(trajectory)
    return [kept for successes in by_task.values() for kept in _shortest(successes, keep_per_task)]


def _shortest(successes: list[Trajectory], most: int) -> list[Trajectory]:
    different: dict[tuple[str, ...], Trajectory] = {}
    for trajectory in sorted(successes, key=lambda t: (len(t.steps), sum(step.error for step in t.steps))):
        different.setdefault(effective_actions(trajectory), trajectory)
    return list(different.values())[:most]
