"""Records that survive a kill: JSONL shards, appended line by line, each line on the disk before it counts.

A line cut in half by a kill is taken away when the folder is opened again, so its record is made anew: none is lost
and none comes twice. One process writes to a folder at a time.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Generic

from lam_train.disk import flush
from lam_train.errors import Fault, UserError
from lam_train.records import RecordT, Trajectory, read_jsonl

log = logging.getLogger(__name__)


class FolderLock:
    """Keeps a second process from writing to a folder; ends with the process, however that ends."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / ".lock").open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise UserError(f"{folder}: another collection is writing there; wait for it or choose another") from None

    def release(self) -> None:
        self._file.close()


class ShardStore(Generic[RecordT]):
    """Records of one kind in `folder/NAME-00000.jsonl`, `NAME-00001.jsonl`, …, `shard_size` records a file."""

    def __init__(self, folder: Path, name: str, kind: type[RecordT], shard_size: int) -> None:
        self.folder, self.name, self.kind, self.shard_size = folder, name, kind, shard_size
        self.healed = 0  # half-written lines that were taken away
        self._file: int | None = None
        folder.mkdir(parents=True, exist_ok=True)
        shards = self.shards()
        if shards:
            self.healed = _heal(shards[-1])
        self._index = max(len(shards) - 1, 0)
        self._lines = _line_count(shards[-1]) if shards else 0

    def shards(self) -> list[Path]:
        """The files, in the order they were written."""
        return shards_of(self.folder, self.name)

    def __iter__(self) -> Iterator[RecordT]:
        for shard in self.shards():
            yield from read_jsonl(shard, self.kind)

    def append(self, record: RecordT) -> None:
        """Adds a record; when this returns, it is on the disk. Raises Fault where the disk refuses it."""
        if self._lines >= self.shard_size:
            self.close()
            self._index, self._lines = self._index + 1, 0
        path = self.folder / f"{self.name}-{self._index:05d}.jsonl"
        line = record.model_dump_json().encode() + b"\n"
        whole = None
        try:
            if self._file is None:
                self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
                flush(self.folder)  # a new file's name is as lasting as its lines
            whole = os.fstat(self._file).st_size
            while line:  # a write may be short; the rest follows
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except OSError as error:
            if whole is not None:  # half a line would spoil the next one, and what reads the folder meanwhile
                with suppress(OSError):
                    os.ftruncate(self._file, whole)
            raise Fault(f"{path}: {error.strerror}; all earlier records are kept, the same command goes on") from None
        self._lines += 1

    def close(self) -> None:
        """Closes the file; may be called twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def shards_of(folder: Path, name: str) -> list[Path]:
    """The shards of a kind of record, in order; raises UserError where one is missing in between."""
    found = sorted(folder.glob(f"{name}-[0-9][0-9][0-9][0-9][0-9].jsonl"))
    for index, shard in enumerate(found):
        if shard.name != f"{name}-{index:05d}.jsonl":
            raise UserError(f"{folder}: {name}-{index:05d}.jsonl is missing; put it back, or start in another folder")
    return found


def read_trajectories(path: str | Path) -> Iterator[Trajectory]:
    """The trajectories of a collection's folder, or of one JSONL file."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such folder or file of trajectories; make one with +recipe=collect or explore")
    files = shards_of(path, "episodes") if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path}: no episodes-00000.jsonl there; make some with +recipe=collect or explore")
    for file in files:
        yield from read_jsonl(file, Trajectory)


def _heal(shard: Path) -> int:
    """Takes a half-written last line away; returns 1 where there was one."""
    with shard.open("r+b") as file:
        data = file.read()
        whole = data.rfind(b"\n") + 1
        if whole == len(data):
            return 0
        file.truncate(whole)
        os.fsync(file.fileno())
    log.info("%s: its last line was cut off by a kill; it is made again", shard)
    return 1


def _line_count(shard: Path) -> int:
    return shard.read_bytes().count(b"\n")
