"""One collection, from tasks to trajectories: instantiate → execute → judge, resumable after a kill at any moment.

An expert is a policy that acts step by step, or a planner that plans all actions in one call (the paper's way). What
it did with each task is one Trajectory in the output folder, successes and failures alike, whole.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lam_train.agent.episode import EpisodeSettings
from lam_train.agent.policy import Policy
from lam_train.agent.rollouts import rollouts
from lam_train.apps.application import Application
from lam_train.collect.trajectories.execute import PlannedPolicy, rounds
from lam_train.collect.trajectories.instantiation import Instantiation
from lam_train.collect.trajectories.progress import EpisodeProgress
from lam_train.collect.trajectories.store import FolderLock, ShardStore
from lam_train.errors import Fault, UserError
from lam_train.records import FAILURES, Observation, Task, Trajectory

log = logging.getLogger(__name__)


class Planner(Protocol):
    """An expert that plans a whole task in one call."""

    name: str
    parallel: int
    """Calls under way at once; `plan` is called from as many threads."""

    def plan(self, task: Task, document: Observation) -> Instantiation:
        """The planned actions for the task, given the document as it opens.

        What is wrong with a plan stands in its `problem`. A call that failed for good ("failed: …") is made again by
        the next run.
        """


@dataclass
class Collection:
    """The folder of a collection, open for writing; used by one process at a time."""

    folder: Path
    shard_size: int = 500

    def __enter__(self) -> "Collection":
        self._lock = FolderLock(self.folder)
        self.episodes = ShardStore(self.folder, "episodes", Trajectory, self.shard_size)
        self.plans = ShardStore(self.folder, "instantiations", Instantiation, self.shard_size)
        return self

    def __exit__(self, *_exception) -> None:
        self.episodes.close()
        self.plans.close()
        self._lock.release()

    def check_identity(self, identity: dict) -> None:
        """Refuses to go on with other settings than the folder was begun with: its episodes would not be one set."""
        file = self.folder / "identity.json"
        if not file.exists():
            partial = file.with_suffix(".partial")
            partial.write_text(json.dumps(identity, indent=1) + "\n", encoding="utf-8")
            partial.replace(file)
            return
        before = json.loads(file.read_text(encoding="utf-8"))
        for key in sorted({*before, *identity}):
            if before.get(key) != identity.get(key):
                raise UserError(
                    f"{self.folder} was begun with {key}={before.get(key)}, now it is {identity.get(key)}; "
                    "choose another trajectories.output, or go on with the same settings"
                )

    def done(self) -> set[str]:
        """Ids of the tasks that have their episode."""
        return {episode.task.task_id for episode in self.episodes}


def collect_with_policy(
    collection: Collection,
    tasks: Sequence[Task],
    policy: Policy,
    environments: Sequence[Application],
    settings: EpisodeSettings,
    finish: "Finish",
    seed: int = 0,
) -> None:
    """An episode for each task that has none yet; each is on the disk before the next is counted."""
    done = collection.done()
    left = [task for task in tasks if task.task_id not in done]
    if done:
        log.info("%d of %d episodes are there already; %d are left", len(tasks) - len(left), len(tasks), len(left))
    with EpisodeProgress("collecting", "episode", len(left)) as progress:
        for trajectory in _acted(left, policy, environments, settings, finish, seed):
            collection.episodes.append(trajectory)
            progress.advance(trajectory.outcome == "success")


def collect_with_planner(
    collection: Collection,
    tasks: Sequence[Task],
    planner: Planner,
    environments: Sequence[Application],
    threshold: float,
    settings: EpisodeSettings,
    finish: "Finish",
    seed: int = 0,
) -> None:
    """Plans every task, then executes the plans; a task without a plan gets an episode without steps."""
    instantiate(collection, tasks, planner, environments)
    done, wanted = collection.done(), {task.task_id for task in tasks}
    plans = [plan for plan in collection.plans if plan.task.task_id in wanted - done]
    ready = []
    for plan in plans:
        if plan.problem:
            collection.episodes.append(without_plan(plan.task, planner.name))
        else:
            ready.append(plan)
    longest = max((len(plan.actions) for plan in ready), default=1)
    settings = settings.model_copy(update={"max_refused": 1, "max_steps": max(longest, settings.max_steps)})
    with EpisodeProgress("executing", "plan", len(ready)) as progress:
        for group in rounds(ready):
            policy = PlannedPolicy(planner.name, group, threshold)
            for trajectory in _acted([p.task for p in group], policy, environments, settings, finish, seed):
                collection.episodes.append(trajectory)
                progress.advance(trajectory.outcome == "success")


def instantiate(
    collection: Collection, tasks: Sequence[Task], planner: Planner, environments: Sequence[Application]
) -> None:
    """One expert call for each task that has no plan yet, each answer kept on the disk before it is used."""
    planned = {plan.task.task_id for plan in collection.plans}
    left = [task for task in tasks if task.task_id not in planned]
    documents: dict[str, Observation] = {}
    for task in left:  # as the document opens, which is the same for all tasks of a template
        if task.template not in documents:
            documents[task.template], _ = environments[0].reset(options={"task": task})
    failed = 0
    with EpisodeProgress("instantiating", "task", len(left)) as progress, ThreadPoolExecutor(planner.parallel) as pool:
        try:
            for plan in pool.map(lambda task: planner.plan(task, documents[task.template]), left):
                if plan.problem.startswith("failed"):
                    failed += 1
                    first = plan.problem
                else:
                    collection.plans.append(plan)
                progress.advance(not plan.problem)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    if failed and failed == len(left):
        raise Fault(f"the expert {planner.name} answered none of {failed} calls ({first}); the same command goes on")
    if failed:
        log.warning("%d expert calls failed (%s); the same command makes them again", failed, first)


class Finish(Protocol):
    """What is done with an episode before it is kept: judging, for one."""

    def __call__(self, trajectory: Trajectory) -> Trajectory:
        """The episode to keep."""


def _acted(
    tasks: Sequence[Task],
    policy: Policy,
    environments: Sequence[Application],
    settings: EpisodeSettings,
    finish: Finish,
    seed: int,
) -> Iterator[Trajectory]:
    for trajectory in rollouts(tasks, policy, environments, settings, seed=seed):
        update = {"trajectory_id": f"{trajectory.task.task_id}.{trajectory.policy}"}  # the same in a resumed run
        cause = _cause(trajectory)
        yield finish(trajectory.model_copy(update={**update, "reason": cause or trajectory.reason}))


def _cause(trajectory: Trajectory) -> str | None:
    """The policy's own word for why it gave no action, where it is one of the known failures."""
    problem = trajectory.steps[-1].problem if trajectory.steps and trajectory.outcome == "fail" else ""
    return next((failure for failure in FAILURES if problem.startswith(failure)), None)


def without_plan(task: Task, policy: str) -> Trajectory:
    """The episode of a task that the expert had no usable plan for; the reason stands in its instantiation."""
    return Trajectory(
        trajectory_id=f"{task.task_id}.{policy}", task=task, policy=policy, steps=[], outcome="fail", reason="no plan"
    )
