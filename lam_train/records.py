"""What flows between the rooms, as typed records, with strict JSONL in and out."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from lam_train.errors import UserError

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
PlanKind = Literal["steps", "prose", "menu_path"]


class Record(BaseModel):
    """A line of JSONL: unknown keys and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class TaskPlan(Record):
    """A task and the plan that does it (phase 1's data; paper, section 3.1)."""

    task_id: Text
    task: Text
    plan: Annotated[list[Text], Field(min_length=1)]
    source: str = "own"
    app: str = ""
    license: str = ""
    page: str = ""
    kind: PlanKind = "steps"  # "steps": a numbered list; the two others are weaker, made from prose


RecordT = TypeVar("RecordT", bound=Record)


class BadRecords:
    """Lines that could not be read: counted, and the first few kept for the report."""

    KEPT = 20

    def __init__(self) -> None:
        self.count = 0
        self.reasons: list[str] = []

    def add(self, reason: str) -> None:
        self.count += 1
        if len(self.reasons) < self.KEPT:
            self.reasons.append(reason)


def reason_of(error: ValidationError) -> str:
    """One line that says what is wrong with a record, field by field."""
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'record'}: {e['msg'][0].lower()}{e['msg'][1:]}" for e in error.errors()
    )


def parse_record(kind: type[RecordT], value: object, where: str) -> RecordT:
    """`value` as a record; raises UserError with `where` and the reason."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise UserError(f"{where}: {reason_of(error)}") from None


def json_lines(path: Path) -> Iterator[tuple[int, object | UserError]]:
    """(line number, value) of each line that is not blank; a line that is not JSON gives the error instead."""
    try:
        lines = path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; is the path right?") from None
    with lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                yield number, json.loads(line.decode("utf-8").rstrip("\r\n"))
            except json.JSONDecodeError as error:
                yield number, UserError(f"{path}, line {number}: not JSON: {error.msg} at column {error.colno}")
            except (ValueError, RecursionError) as error:  # not UTF-8, a number of 5,000 digits, 100,000 brackets
                yield number, UserError(f"{path}, line {number}: not JSON: {error}")


def read_jsonl(
    path: str | Path, kind: type[RecordT], on_bad_record: str = "refuse", bad: BadRecords | None = None
) -> Iterator[RecordT]:
    """The records of a JSONL file, in order.

    `on_bad_record="refuse"` raises UserError at the first bad line, with file, line number and reason;
    `"skip"` leaves it out and counts it in `bad`.
    """
    path = Path(path)
    for number, value in json_lines(path):
        try:
            if isinstance(value, UserError):
                raise value
            yield parse_record(kind, value, f"{path}, line {number}")
        except UserError as error:
            if on_bad_record == "refuse":
                raise UserError(f"{error} (data.on_bad_record=skip leaves such lines out and counts them)") from None
            if bad is not None:
                bad.add(str(error))


def write_jsonl(path: str | Path, records: Iterable[Record]) -> int:
    """Writes the records, a line each, and returns their number. The file appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    count = 0
    with partial.open("w", encoding="utf-8") as file:
        for record in records:
            file.write(record.model_dump_json() + "\n")
            count += 1
    partial.replace(path)
    return count
