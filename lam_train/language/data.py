"""Training data of one's own: JSONL, Parquet or a Hugging Face dataset, in our records or in TRL's formats."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from lam_train.collect.sources.hub import load_hub_rows
from lam_train.collect.sources.own_files import read_rows
from lam_train.errors import UserError
from lam_train.language.conversation import Language
from lam_train.language.plans import plan_answer, plan_prompt
from lam_train.language.sample import Sample
from lam_train.records import BadRecords, TaskPlan, parse_record
from lam_train.settings import Settings

log = logging.getLogger(__name__)

SHIPPED = "shipped:plans_sample"
HUB = "hf:"


class DataSettings(Settings):
    """Where samples come from."""

    train: str = f"{SHIPPED}/train.jsonl"
    """a .jsonl, .json or .parquet file, a folder of them, `hf:OWNER/NAME[:SPLIT]`, or `shipped:NAME` (a small sample)"""
    validation: str | None = "auto"
    """the same for validation; `auto`: the file `validation` beside a training file `train`, if any; null: none"""
    on_bad_record: Literal["refuse", "skip"] = "refuse"
    """a line that cannot be read: stop with file and line, or leave it out and count it"""


def shipped_folder() -> Path:
    """`data/` of the checkout, or of the installed package."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "data"
    return inside if inside.is_dir() else package.parent / "data"


def resolve_data(where: str) -> str:
    """The path of a `shipped:` name; anything else as it is."""
    name = where.removeprefix("shipped:")
    return str(shipped_folder() / name) if name != where else where


def validation_data(settings: DataSettings) -> str | None:
    """Where the validation samples are, or None."""
    if settings.validation != "auto":
        return settings.validation
    train = Path(resolve_data(settings.train)).expanduser()
    sibling = train.with_name(f"validation{train.suffix}")
    return str(sibling) if train.stem == "train" and sibling.is_file() else None


def read_samples(where: str, language: Language, on_bad_record: str, key: str) -> tuple[list[Sample], BadRecords]:
    """The samples at `where` in order; `key` is the setting that named it, for messages. Raises UserError."""
    samples: list[Sample] = []
    bad = BadRecords()
    seen: dict[str, str] = {}
    for place, row in _rows(resolve_data(where), key, on_bad_record, bad):
        try:
            sample = to_sample(row, language, place)
            if sample.id in seen:
                raise UserError(f"{place}: the id {sample.id!r} is already taken by {seen[sample.id]}")
        except UserError as error:
            if on_bad_record == "refuse":
                raise UserError(f"{error} (data.on_bad_record=skip leaves such lines out and counts them)") from None
            bad.add(str(error))
            continue
        seen[sample.id] = place
        samples.append(sample)
    if not samples:
        skipped = f" ({bad.count} bad lines were skipped, the first: {bad.reasons[0]})" if bad.count else ""
        raise UserError(f"{key}={where}: no samples{skipped}: the data is empty")
    return samples, bad


def _rows(where: str, key: str, on_bad_record: str, bad: BadRecords) -> Iterator[tuple[str, dict]]:
    if where.startswith(HUB):
        name, _, split = where.removeprefix(HUB).partition(":")
        for number, row in enumerate(load_hub_rows(name, split or "train")):
            yield f"{where}, row {number}", row
        return
    path = Path(where).expanduser()
    if not path.exists():
        raise UserError(f"{key}={where}: no such file or folder")
    for place, row in read_rows(path):
        if isinstance(row, UserError):
            if on_bad_record == "refuse":
                raise UserError(f"{row} (data.on_bad_record=skip leaves such lines out and counts them)")
            bad.add(str(row))
            continue
        yield place, row


def to_sample(row: object, language: Language, place: str) -> Sample:
    """A row as a sample: a TaskPlan record, or TRL's prompt-completion or conversational format."""
    if not isinstance(row, dict):
        raise UserError(f"{place}: not a JSON object")
    if "plan" in row or "task_id" in row:
        record = parse_record(TaskPlan, row, place)
        messages = [*plan_prompt(record.task, record.app), {"role": "assistant", "content": plan_answer(record)}]
        return language.sample(messages, record.task_id, task=record.task_id)
    row = _chatml(row)
    id = str(row.get("id", place))
    prompt, completion, messages = row.get("prompt"), row.get("completion"), row.get("messages")
    if isinstance(prompt, str) and isinstance(completion, str):
        return language.completion(prompt, completion, id)
    if isinstance(prompt, list) and isinstance(completion, list):
        messages = [*prompt, *completion]
    if isinstance(messages, list):
        return language.sample(_checked(messages, place), id, task=id)
    known = "a TaskPlan (task_id, task, plan), prompt + completion, or messages"
    raise UserError(f"{place}: none of the formats {known}; its keys are {', '.join(sorted(row)) or '(none)'}")


def _chatml(row: dict) -> dict:
    """The row with from/value conversations as role/content messages, as TRL itself reads them."""
    if not any(isinstance(row.get(key), list) for key in ("prompt", "completion", "messages", "conversations")):
        return row
    try:
        from trl.data_utils import maybe_convert_to_chatml
    except ImportError:
        raise UserError("conversational data is read through TRL: pip install trl") from None
    return maybe_convert_to_chatml(dict(row))


def _checked(messages: list, place: str) -> list[dict[str, str]]:
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("content"), str) or "role" not in message:
            raise UserError(f"{place}: message {number} is not an object with a role and a text content")
    return [{"role": message["role"], "content": message["content"]} for message in messages]
