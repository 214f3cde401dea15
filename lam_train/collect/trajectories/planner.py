"""An expert that plans a whole task in one call, and the first stage: its calls, each made once."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from lam_train.apps.application import Application
from lam_train.collect.trajectories.collection import Collection
from lam_train.collect.trajectories.instantiation import Instantiation
from lam_train.collect.trajectories.progress import EpisodeProgress
from lam_train.errors import Fault
from lam_train.records import Observation, Task

log = logging.getLogger(__name__)


class Planner(Protocol):
    """An expert that plans a whole task in one call."""

    name: str
    parallel: int
    """Calls under way at once; `plan` is called from as many threads."""
    images: bool
    """Whether `plan` wants a screenshot."""

    def plan(self, task: Task, steps: list[str], document: Observation, screenshot: bytes | None) -> Instantiation:
        """The planned actions for the task, given the document as it opens.

        `steps` are the reference steps of the task-plan that the task comes from, or none. What is wrong with a plan
        stands in its `problem`. A call that failed for good ("failed: …") is made again by the next run.
        """


def instantiate(
    collection: Collection,
    tasks: Sequence[Task],
    references: Mapping[str, list[str]],
    planner: Planner,
    environment: Application,
) -> None:
    """One expert call for each task that has no plan yet; each answer is on the disk before it is used.

    `references`: task id -> reference steps. Raises Fault where no call at all was answered.
    """
    planned = {plan.task.task_id for plan in collection.plans}
    left = [task for task in tasks if task.task_id not in planned]
    documents: dict[str, tuple[Observation, bytes | None]] = {}
    for task in left:  # as the document opens, which is the same for all tasks of a template
        if task.template not in documents:
            observation, _ = environment.reset(options={"task": task})
            documents[task.template] = observation, environment.screenshot() if planner.images else None

    def plan(task: Task) -> Instantiation:
        steps = references.get(task.task_id, [])
        made = planner.plan(task, steps, *documents[task.template])
        return made.model_copy(update={"given": task.request, "reference_steps": steps})

    failed, first = 0, ""
    with EpisodeProgress("instantiating", "task", len(left)) as progress, ThreadPoolExecutor(planner.parallel) as pool:
        try:
            for made in pool.map(plan, left):
                if made.problem.startswith("failed"):
                    failed, first = failed + 1, first or made.problem
                else:
                    collection.plans.append(made)
                progress.advance(not made.problem)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if failed and failed == len(left):
        raise Fault(f"the expert {planner.name} answered none of {failed} calls ({first}); the same command goes on")
    if failed:
        log.warning("%d expert calls failed (%s); the same command makes them again", failed, first)
