"""What a stage was made from, by content: it is run again only where one of its inputs changed."""

import hashlib
import time
from pathlib import Path

from lam_train.records import Record

FILE = "stage.json"
READ = (".safetensors", ".json", ".jsonl", ".parquet", ".npz")  # what other stages read; not logs, plots or pages
NOT_READ = ("stage.json", "metrics.jsonl", "README.md")


class Lineage(Record):
    """A finished stage."""

    command: list[str]
    inputs: dict[str, str]  # path in the run directory -> digest of what was there
    seconds: float
    ended: str  # UTC

    @classmethod
    def of(cls, folder: Path) -> "Lineage | None":
        """That of the stage in `folder`; None where it has not ended."""
        file = folder / FILE
        return cls.model_validate_json(file.read_text(encoding="utf-8")) if file.is_file() else None

    def write(self, folder: Path) -> None:
        """Marks the stage in `folder` as finished."""
        partial = folder / (FILE + ".partial")
        partial.write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")
        partial.replace(folder / FILE)


def now() -> str:
    """The time, UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def digest(path: Path) -> str:
    """Of a file's content, or of a folder's files that other stages read, with their names; "missing" for nothing."""
    if not path.exists():
        return "missing"
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if _is_read(file, path))
    whole = hashlib.sha256()
    for file in files:
        name = file.name if file == path else str(file.relative_to(path))
        with file.open("rb") as opened:
            whole.update(f"{name} {hashlib.file_digest(opened, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()[:16]


def _is_read(file: Path, folder: Path) -> bool:
    parts = file.relative_to(folder).parts
    return file.is_file() and file.suffix in READ and file.name not in NOT_READ and "checkpoints" not in parts


def set_aside(folder: Path) -> Path:
    """Moves a folder out of the way and returns where it is now; nothing is lost."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.before-{number}")).exists():
        number += 1
    return folder.rename(aside)
