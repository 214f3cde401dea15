"""Your own pairs: JSONL, JSON or Parquet files, or folders of them, in this library's TaskPlan records."""

import json
from collections.abc import Iterator
from pathlib import Path

from lam_train.collect.raw import RawPair
from lam_train.errors import UserError
from lam_train.records import TaskPlan, json_lines, parse_record

SUFFIXES = (".jsonl", ".json", ".parquet")


def read_rows(path: str | Path) -> Iterator[tuple[str, dict]]:
    """(where, row) of each row of a file, or of all files of a folder by name; `where` names file and line or row.

    Raises UserError, with file and line, for a missing path, a line that is not JSON, or a row that is no object.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
        if not files:
            raise UserError(f"{path}: no {', '.join(SUFFIXES)} file in this folder")
        for file in files:
            yield from read_rows(file)
    elif not path.is_file():
        raise UserError(f"{path}: no such file or folder; is the path right?")
    elif path.suffix not in SUFFIXES:
        raise UserError(
            f"{path}: cannot read {path.suffix or 'a file without suffix'}; give one of {', '.join(SUFFIXES)}"
        )
    else:
        read = {".jsonl": _jsonl_rows, ".json": _json_rows, ".parquet": _parquet_rows}[path.suffix]
        for where, row in read(path):
            if not isinstance(row, dict):
                raise UserError(f"{where}: a row must be an object, not {type(row).__name__}")
            yield where, row


def _jsonl_rows(path: Path) -> Iterator[tuple[str, object]]:
    for number, value in json_lines(path):
        if isinstance(value, UserError):
            raise value
        yield f"{path}, line {number}", value


def _json_rows(path: Path) -> Iterator[tuple[str, object]]:
    """A JSON file holds a list of rows, or one row."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}, line {error.lineno}: not JSON: {error.msg} (a file with an object a line is named .jsonl)"
        ) from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8: {error}") from None
    for number, row in enumerate(value if isinstance(value, list) else [value], start=1):
        yield f"{path}, row {number}", row


def _parquet_rows(path: Path) -> Iterator[tuple[str, object]]:
    import pyarrow.parquet as parquet  # slow to import, and only needed here
    from pyarrow.lib import ArrowException

    try:
        file = parquet.ParquetFile(path)
    except (ArrowException, OSError) as error:
        raise UserError(f"{path}: not a Parquet file: {error}") from None
    number = 0
    with file:
        for batch in file.iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", row


def read(path: str | Path) -> Iterator[RawPair]:
    """The TaskPlan records of `path` as pairs. A record without a page is its own page."""
    for where, row in read_rows(path):
        yield raw_of(parse_record(TaskPlan, row, where))


def raw_of(record: TaskPlan) -> RawPair:
    """A finished record as a pair, so that it passes the same stages."""
    return RawPair(
        task_id=record.task_id,
        page=record.page or record.task_id,
        titles=(record.task,),
        steps=tuple(record.plan),
        source=record.source,
        app=record.app,
        license=record.license,
        kind=record.kind,
        given=True,
    )
