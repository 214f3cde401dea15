"""The folder of a collection: what it holds, and what it was begun with."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lam_train.collect.trajectories.instantiation import Instantiation
from lam_train.collect.trajectories.judge import Judgement
from lam_train.collect.trajectories.store import FolderLock, ShardStore
from lam_train.errors import UserError
from lam_train.records import Trajectory


@dataclass
class Collection:
    """The folder, open for writing; used by one process at a time."""

    folder: Path
    shard_size: int = 500

    def __enter__(self) -> "Collection":
        self._lock = FolderLock(self.folder)
        self.episodes = ShardStore(self.folder, "episodes", Trajectory, self.shard_size)
        self.plans = ShardStore(self.folder, "instantiations", Instantiation, self.shard_size)
        self.judgements = ShardStore(self.folder, "judgements", Judgement, self.shard_size)
        return self

    def __exit__(self, *_exception) -> None:
        for store in (self.episodes, self.plans, self.judgements):
            store.close()
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
                    "choose another output folder, or go on with the same settings"
                )

    def done(self) -> set[str]:
        """Ids of the tasks that have their episode: one that the application broke is made again."""
        return {episode.task.task_id for episode in self.episodes if episode.outcome != "error"}

    def last(self) -> Iterator[Trajectory]:
        """Each task's episode; one that the application broke only where it was not made again since."""
        return last_of_tasks(self.episodes)


def last_of_tasks(episodes: Iterable[Trajectory]) -> Iterator[Trajectory]:
    """The episodes without those that the application broke before the task's last one; what is broken comes last."""
    broken, done = {}, set()
    for episode in episodes:
        if episode.outcome == "error":
            broken[episode.task.task_id] = episode
        else:
            done.add(episode.task.task_id)
            yield episode
    yield from (episode for task_id, episode in broken.items() if task_id not in done)
