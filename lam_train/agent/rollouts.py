"""Many episodes at once: a pool of environments, one batched policy."""

import logging
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from lam_train.agent.episode import EpisodeSettings, ask, run_episode
from lam_train.agent.policy import AtOnce, Decision, Policy
from lam_train.apps.application import Application
from lam_train.records import State, Task, Trajectory

log = logging.getLogger(__name__)

STOP_WAIT_S = 30.0
"""How long a stopping pool waits for environments in the middle of a step."""


@dataclass
class _Asked:
    """An environment waits for a decision."""

    state: State
    answer: Future


class _Stopped(Exception):
    """The pool ends; raised in a worker that waits for a decision."""


def rollouts(
    tasks: Iterable[Task],
    policy: Policy,
    environments: Sequence[Application],
    settings: EpisodeSettings,
    *,
    seed: int = 0,
) -> Iterator[Trajectory]:
    """An episode a task, in the order in which they end.

    Each environment runs in a thread of its own and takes the next task when it is free. Decisions are made in the
    caller's thread, while the iterator is asked for its next item: all environments that wait are decided in one
    batch, and the others act meanwhile. With a policy that has `deciding`, one that comes to wait joins the batch, and
    one that is decided leaves it at once, while the others' answers are written. A policy with `concurrent = True` (an
    endpoint) is asked by every environment directly, one state at a time, so that no answer waits for the slowest of a
    batch; with `sees = True` as well it is given a screenshot too: `decide([state], [png])`.

    The n-th task is reset with seed `seed` + n, whatever environment takes it, and its trajectory is called
    TASK_ID.POLICY.SEED. `tasks` is read one at a time, when an environment is free.

    An exception in the policy, in an environment (other than ApplicationError, which ends in outcome "error") or in
    `tasks`, a KeyboardInterrupt, or closing the iterator stops all threads: those that wait at once, those in the
    middle of a step when it is done, for at most `STOP_WAIT_S`. Trajectories that came before it are given first. The
    environments stay the caller's to close.
    """
    if not environments:
        raise ValueError("rollouts need at least one environment")
    pool = _Pool(tasks, policy, settings, seed)
    threads = [
        threading.Thread(target=pool.work, args=(environment,), name=f"environment-{index}", daemon=True)
        for index, environment in enumerate(environments)
    ]
    for thread in threads:
        thread.start()
    try:
        yield from pool.serve(len(threads))
    finally:
        pool.stop()
        for thread in threads:
            thread.join(STOP_WAIT_S)
            if thread.is_alive():
                log.warning("%s is still in the middle of a step; it is left behind", thread.name)


class _Pool:
    def __init__(self, tasks: Iterable[Task], policy: Policy, settings: EpisodeSettings, seed: int) -> None:
        self._tasks = enumerate(tasks)
        self._taking = threading.Lock()
        self._policy = policy
        self._settings = settings
        self._seed = seed
        self._stopped = threading.Event()
        self._unasked: list[_Asked] = []  # taken from the queue
        self._waiting: dict[int, _Asked] = {}  # by their number at the policy
        # _Asked, Trajectory, an exception that ends everything, or None: a worker is done
        self._events: queue.SimpleQueue[_Asked | Trajectory | BaseException | None] = queue.SimpleQueue()

    # In the environments' threads -----------------------------------------------------------------------------------

    def work(self, environment: Application) -> None:
        """Runs episodes until there are no tasks left."""
        decide = self._decide_there
        if getattr(self._policy, "concurrent", False):
            decide = partial(self._decide_here, environment)
        try:
            while not self._stopped.is_set():
                with self._taking:
                    index, task = next(self._tasks, (0, None))
                if task is None:
                    break
                self._events.put(
                    run_episode(
                        task, environment, decide, self._settings, policy=self._policy.name, seed=self._seed + index
                    )
                )
        except _Stopped:
            pass
        except BaseException as error:  # the caller's thread raises it
            self._events.put(error)
        self._events.put(None)

    def _decide_here(self, environment: Application, state: State) -> Decision:
        if self._stopped.is_set():
            raise _Stopped
        return ask(self._policy, environment, state)

    def _decide_there(self, state: State) -> Decision:
        asked = _Asked(state, Future())
        self._events.put(asked)
        if self._stopped.is_set():  # nobody may be left to answer
            raise _Stopped
        return asked.answer.result()

    # In the caller's thread -----------------------------------------------------------------------------------------

    def serve(self, workers: int) -> Iterator[Trajectory]:
        """Decides what is asked and yields what ends, until every worker is done."""
        deciding = self._policy.deciding() if hasattr(self._policy, "deciding") else AtOnce(self._policy)
        while workers:
            first = [] if len(deciding) else [self._events.get()]
            events = [*first, *self._come_by_now()]
            asked = [event for event in events if isinstance(event, _Asked)]
            self._unasked = asked
            # First, since what follows may raise: an episode that has ended is the caller's to keep.
            yield from (event for event in events if isinstance(event, Trajectory))
            for event in events:
                if isinstance(event, BaseException):
                    raise event
                workers -= event is None
            self._waiting |= zip(deciding.ask([one.state for one in asked]), asked, strict=True)
            self._unasked = []
            for number, decision in deciding.advance():
                self._waiting.pop(number).answer.set_result(decision)

    def _come_by_now(self) -> Iterator[_Asked | Trajectory | BaseException | None]:
        with suppress(queue.Empty):
            while True:
                yield self._events.get_nowait()

    def stop(self) -> None:
        """Wakes every worker that waits; the others notice before their next decision or task."""
        self._stopped.set()
        for event in [*self._unasked, *self._waiting.values(), *self._come_by_now()]:
            if isinstance(event, _Asked) and not event.answer.done():
                event.answer.set_exception(_Stopped())
