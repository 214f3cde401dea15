"""Could the task still be completed after a failure's step? It is done again, and the expert goes on from there.

Every step of a failure is labelled -1 by the paper, also those that led the right way. Here each state behind one is
made again in the application, and the embedded expert finishes the task from it. It is told the task in words that its
grammar reads, since these are the tasks that it failed in their own; where it cannot do the task from its start even
then, nothing is said of that failure.
"""

import logging
import queue
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import Random

from pydantic import Field

from lam_train.agent.episode import EpisodeSettings, run_episode
from lam_train.agent.policy import Decision
from lam_train.apps.application import Application
from lam_train.apps.writer.expert.expert import ManualExpert, procedure_of
from lam_train.apps.writer.expert.procedure import NoPlan
from lam_train.apps.writer.tasks import wordings
from lam_train.collect.evolve.wording_slots import slots_of
from lam_train.collect.trajectories.progress import EpisodeProgress
from lam_train.collect.trajectories.store import FolderLock, ShardStore
from lam_train.records import Record, State, Step, Task, Trajectory
from lam_train.settings import Settings

log = logging.getLogger(__name__)

REWORDINGS = 60  # draws for words that the grammar reads, before a task is given up


class CompletableSettings(Settings):
    """Which failures are replayed."""

    episodes: str = "collected/exploration"
    """a folder of trajectories: the failures in it"""
    output: str = "collected/completable"
    """the folder for what is found; the same command goes on in it after a kill"""
    most_failures: int | None = Field(None, ge=1)
    """at most so many, a seeded choice; null: all"""
    seed: int = 0
    """of that choice, and of the words that the expert is told"""


class Completable(Record):
    """A failure, and after each of its steps whether the task could still be completed."""

    trajectory_id: str
    known: bool  # whether the expert can do the task from its start
    after: list[bool | None] = []  # None: the step did nothing that could be done again, or went otherwise this time


def known_request(task: Task, seed: int) -> str | None:
    """A task of one operation in words of the train split that the expert's grammar reads; None: none is found."""
    slots = slots_of(task) if len(task.operations) == 1 else None
    if slots is None:
        return None
    rng = Random(f"{seed}/{task.task_id}")
    for _ in range(REWORDINGS):
        text = wordings.fill(wordings.request_wording(task.family, "train", rng).text, slots)
        request = wordings.sentence_case(text)
        if "{" in request:
            continue
        try:
            procedure_of(request)
        except NoPlan:
            continue
        return request
    return None


class ReplayDiffers(Exception):
    """A recorded action met another control than it did."""


def completes(task: Task, request: str, steps: Sequence[Step], environment: Application) -> bool | None:
    """Whether the expert, told `request`, completes the task behind these steps; None where they cannot be replayed."""
    expert, left = ManualExpert(), list(steps)

    def decide(state: State) -> Decision:
        if not left:
            return expert.decide([state.model_copy(update={"request": request})])[0]
        step = left.pop(0)
        label = step.action.control_label
        if label:
            then, now = (observation.control(label) for observation in (step.observation, state.observation))
            if then is None or now is None or now.control_text != then.control_text:
                raise ReplayDiffers
        return Decision(action=step.action.model_copy(update={"status": "CONTINUE"}))

    settings = EpisodeSettings(max_steps=len(left) + 20, max_refused=len(left) + 3)
    try:
        episode = run_episode(task, environment, decide, settings, policy="replay")
    except ReplayDiffers:
        return None
    return None if episode.outcome == "error" else episode.outcome == "success"


def replayed(failure: Trajectory, seed: int, environment: Application) -> Completable:
    """What is found of one failure."""
    request = known_request(failure.task, seed)
    if request is None or not completes(failure.task, request, [], environment):
        return Completable(trajectory_id=failure.trajectory_id, known=False)
    after: list[bool | None] = []
    for number, step in enumerate(failure.steps):
        if step.action.status == "FINISH":
            after.append(False)  # it ended the episode
        elif step.problem or not step.action.function:
            after.append(None)
        else:
            done = [earlier for earlier in failure.steps[: number + 1] if not earlier.problem]
            after.append(completes(failure.task, request, done, environment))
    return Completable(trajectory_id=failure.trajectory_id, known=True, after=after)


def replay_failures(
    settings: CompletableSettings,
    failures: Sequence[Trajectory],
    open_environments: Callable[[], Sequence[Application]],
) -> dict[str, Completable]:
    """Trajectory id -> what is found, of all failures; those that are in `settings.output` already are not replayed."""
    output = Path(settings.output).expanduser()
    order = Random(settings.seed).sample(range(len(failures)), len(failures))
    chosen = [failures[place] for place in sorted(order[: settings.most_failures])]
    with ExitStack() as stack:
        lock = FolderLock(output)
        stack.callback(lock.release)
        store = ShardStore(output, "completable", Completable, shard_size=10_000)
        stack.callback(store.close)
        found = {record.trajectory_id: record for record in store}
        missing = [failure for failure in chosen if failure.trajectory_id not in found]
        if missing:
            environments = open_environments()
            for environment in environments:
                stack.callback(environment.close)
            with EpisodeProgress("replaying", "failure", len(missing)) as progress:
                for record in _all(missing, settings.seed, environments):
                    store.append(record)
                    found[record.trajectory_id] = record
                    progress.advance(record.known)
    kept = {failure.trajectory_id: found[failure.trajectory_id] for failure in chosen}
    (output / "README.md").write_text(card(kept), encoding="utf-8")
    return kept


def _all(failures: Sequence[Trajectory], seed: int, environments: Sequence[Application]) -> Iterator[Completable]:
    free: queue.SimpleQueue[Application] = queue.SimpleQueue()
    for environment in environments:
        free.put(environment)

    def work(failure: Trajectory) -> Completable:
        environment = free.get()
        try:
            return replayed(failure, seed, environment)
        finally:
            free.put(environment)

    with ThreadPoolExecutor(len(environments)) as pool:
        yield from pool.map(work, failures)


def counts(found: dict[str, Completable]) -> Counter:
    """failures, known, steps (of known ones), completable, not, untold."""
    counted: Counter = Counter(failures=len(found))
    for record in found.values():
        counted["known"] += record.known
        for after in record.after:
            counted["steps"] += 1
            counted["untold" if after is None else "completable" if after else "not"] += 1
    return counted


def card(found: dict[str, Completable]) -> str:
    """What was found, as a page."""
    n = counts(found)
    told = n["completable"] + n["not"]
    share = f" ({n['completable'] / told:.1%})" if told else ""
    return (
        "# Could the task still be completed?\n\n"
        f"{n['failures']} failures; the expert, told the task in words that it knows, can do {n['known']} of their "
        f"tasks from the start. Of the {n['steps']} steps of these, {told} could be judged: after {n['completable']}"
        f"{share} the expert still completed the task, after the others it did not. A step that finished a failed "
        "episode counts as one of the others.\n\n"
        "The expert is no oracle: a state that it cannot go on from may still be one that another could.\n"
    )
