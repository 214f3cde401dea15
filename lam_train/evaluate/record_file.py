"""A JSONL file that grows by whole records and survives a kill at any moment."""

import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Generic

from lam_train.records import RecordT, read_jsonl

log = logging.getLogger(__name__)


class RecordFile(Generic[RecordT]):
    """Records that are appended as they come; opened again, it holds all that were written whole."""

    def __init__(self, path: Path, kind: type[RecordT]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._drop_torn_line()
        self.records: list[RecordT] = list(read_jsonl(path, kind)) if path.exists() else []

    def _drop_torn_line(self) -> None:
        """A process that was killed while writing leaves half a line, without its end."""
        if not self.path.exists():
            return
        with self.path.open("rb+") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                log.warning("%s: the last line was cut off and is dropped", self.path)
                file.truncate(whole)

    def append(self, records: Iterable[RecordT]) -> None:
        """Adds the records; once it returns they are on the disk."""
        records = list(records)
        with self.path.open("ab") as file:
            file.write("".join(record.model_dump_json() + "\n" for record in records).encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())
        self.records += records
