"""Several Writers at once, one a thread, each kept warm from one job to the next."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from lam_train.apps.writer.environment import WriterEnvironment
from lam_train.apps.writer.settings import WriterSettings
from lam_train.collect.trajectories.progress import EpisodeProgress

Job = TypeVar("Job")


class Writers:
    """The Writers of a pool. What drives them sets its own limits, so an episode's are taken off."""

    def __init__(self, settings: WriterSettings) -> None:
        self.settings = settings.model_copy(update={"max_steps": 10**9, "episode_timeout_s": 1e9})
        self._of_thread = threading.local()
        self._all: list[WriterEnvironment] = []

    def mine(self) -> WriterEnvironment:
        """This thread's Writer."""
        if not hasattr(self._of_thread, "writer"):
            self._of_thread.writer = WriterEnvironment(self.settings)
            self._all.append(self._of_thread.writer)
        return self._of_thread.writer

    def run(self, jobs: Sequence[Job], work: Callable[[Job], bool], what: str, unit: str) -> None:
        """Does all jobs, `settings.instances` at once; `work` says whether one was good. The first error ends it."""
        with EpisodeProgress(what, unit, len(jobs)) as progress, ThreadPoolExecutor(self.settings.instances) as pool:
            try:
                for future in as_completed([pool.submit(work, job) for job in jobs]):
                    progress.advance(future.result())
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
                for writer in self._all:
                    writer.close()
