"""Training data of one's own: JSONL, Parquet or a Hugging Face dataset, in our records or in TRL's formats."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from lam_train.collect.sources.hub import load_hub_rows
from lam_train.collect.sources.own_files import SUFFIXES, read_rows
from lam_train.collect.trajectories.store import shards_of
from lam_train.errors import UserError
from lam_train.language.conversation import Language
from lam_train.language.plans import plan_answer, plan_prompt
from lam_train.language.sample import Sample
from lam_train.language.trajectories import HeldOut, StepReader
from lam_train.records import BadRecords, Split, TaskPlan, Trajectory, json_lines, parse_record
from lam_train.settings import Settings

log = logging.getLogger(__name__)

SHIPPED = "shipped:plans_sample"
HUB = "hf:"
SHAREGPT_ROLES = {"human": "user", "gpt": "assistant"}
READ_OF_A_MESSAGE = ("role", "content", "from", "value", "name")
CHANGES_THE_PROMPT = ("tools", "chat_template_kwargs", "images", "image", "videos", "audios")


Source = Annotated[str, Field(min_length=1)]
Sources = Source | Annotated[list[Source], Field(min_length=1)]


class DataSettings(Settings):
    """Where samples come from."""

    train: Sources = f"{SHIPPED}/train.jsonl"
    """a .jsonl, .json or .parquet file, a folder of them, `hf:OWNER/NAME[:SPLIT]`, or `shipped:NAME` (small data);
    [ONE,ANOTHER] reads several, in that order"""
    validation: Sources | None = "auto"
    """the same for validation; `auto`: the file `validation` beside a training file `train`, or the folder
    `NAME-validation` beside a training folder NAME, of each source that has one; null: none"""
    weights: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] | None = None
    """of the sources in `train`, in their order: how much a target of each counts in the loss; null: all alike"""
    splits: Annotated[list[Split], Field(min_length=1)] = ["train"]
    """of trajectories in `train`, those of these splits are learned from; the test split is always refused"""
    on_bad_record: Literal["refuse", "skip"] = "refuse"
    """a line that cannot be read: stop with file and line, or leave it out and count it"""

    def model_post_init(self, _context) -> None:
        sources = len(listed(self.train))
        if self.weights is not None and len(self.weights) != sources:
            raise ValueError(f"weights={self.weights}: {len(self.weights)} weights for {sources} sources in train")


def shipped_folder() -> Path:
    """`data/` of the checkout, or of the installed package."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "data"
    return inside if inside.is_dir() else package.parent / "data"


def resolve_data(where: str) -> str:
    """The path of a `shipped:` name; anything else as it is."""
    name = where.removeprefix("shipped:")
    return str(shipped_folder() / name) if name != where else where


def listed(where: str | list[str]) -> list[str]:
    """The sources, one or several, as a list."""
    return [where] if isinstance(where, str) else where


def validation_data(settings: DataSettings) -> str | list[str] | None:
    """Where the validation samples are, or None."""
    if settings.validation != "auto":
        return settings.validation
    found = [beside for source in listed(settings.train) if (beside := _validation_beside(source))]
    return found[0] if found and isinstance(settings.train, str) else found or None


def _validation_beside(source: str) -> str | None:
    train = Path(resolve_data(source)).expanduser()
    if train.is_dir():
        beside = train.with_name(f"{train.name}-validation")
        return str(beside) if beside.is_dir() else None
    sibling = train.with_name(f"validation{train.suffix}")
    return str(sibling) if train.stem == "train" and sibling.is_file() else None


def read_samples(
    where: str | list[str],
    language: Language,
    on_bad_record: str,
    key: str,
    steps: StepReader | None = None,
    source_weights: list[float] | None = None,
) -> tuple[list[Sample], BadRecords]:
    """The samples at `where`, one source or several, in order; `key` is the setting that named it, for messages.

    Raises UserError. `steps` makes and counts those of trajectories; without it a file of trajectories is refused.
    `source_weights` multiply the target weights, one for each source.
    """
    samples: list[Sample] = []
    bad = BadRecords()
    seen: dict[str, str] = {}
    sources = [resolve_data(source) for source in listed(where)]
    weights = source_weights or [1.0] * len(sources)
    found = (
        (weight, *row)
        for source, weight in zip(sources, weights, strict=True)
        for row in _rows(source, key, on_bad_record, bad)
    )
    for weight, place, row in found:
        try:
            made = to_samples(row, language, place, steps)
            taken = next((sample.id for sample in made if sample.id in seen), None)
            if taken is not None:
                raise UserError(f"{place}: the id {taken!r} is already taken by {seen[taken]}")
        except HeldOut as error:
            raise UserError(f"{key}={where}: {error}") from None
        except UserError as error:
            _refuse_or_count(error if place in str(error) else UserError(f"{place}: {error}"), on_bad_record, bad)
            continue
        seen |= {sample.id: place for sample in made}
        samples += made if weight == 1 else [sample.weighted(weight) for sample in made]
    if not samples:
        skipped = f" ({bad.count} bad lines were skipped, the first: {bad.reasons[0]})" if bad.count else ""
        counted = "".join(f"; {number} {name}" for name, number in steps.counts.items()) if steps else ""
        raise UserError(f"{key}={where}: no samples{skipped}{counted}: the data is empty")
    return samples, bad


def _rows(where: str, key: str, on_bad_record: str, bad: BadRecords) -> Iterator[tuple[str, object]]:
    if where.startswith(HUB):
        name, _, split = where.removeprefix(HUB).partition(":")
        for number, row in enumerate(load_hub_rows(name, split or "train")):
            yield f"{where}, row {number}", row
        return
    path = Path(where).expanduser()
    if not path.exists():
        raise UserError(f"{key}={where}: no such file or folder")
    for file in _files(path, key):
        yield from _jsonl_rows(file, on_bad_record, bad) if file.suffix == ".jsonl" else read_rows(file)


def _files(path: Path, key: str) -> list[Path]:
    """The file itself, or a folder's data files; refuses a folder that holds the splits of a data set.

    Of a folder that +recipe=collect wrote, the episodes: what stands beside them is no training data.
    """
    if not path.is_dir():
        return [path]
    episodes = shards_of(path, "episodes")
    if episodes:
        return episodes
    files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
    splits = {file.stem.partition("-")[0] for file in files} & {"train", "validation", "valid", "dev", "test"}
    if len(splits) > 1:
        raise UserError(f"{key}={path}: the folder holds {', '.join(sorted(splits))} data; give the file of one")
    return files or [path]


def _jsonl_rows(path: Path, on_bad_record: str, bad: BadRecords) -> Iterator[tuple[str, object]]:
    for number, row in json_lines(path):
        if isinstance(row, UserError):
            _refuse_or_count(row, on_bad_record, bad)
        else:
            yield f"{path}, line {number}", row


def _refuse_or_count(error: UserError, on_bad_record: str, bad: BadRecords) -> None:
    if on_bad_record == "refuse":
        raise UserError(f"{error} (data.on_bad_record=skip leaves such lines out and counts them)")
    bad.add(str(error))


def to_samples(row: object, language: Language, place: str, steps: StepReader | None) -> list[Sample]:
    """A row as samples: those of a Trajectory's steps, else one."""
    if not isinstance(row, dict) or "trajectory_id" not in row:
        return [to_sample(row, language, place)]
    if steps is None:
        raise UserError(f"{place}: a trajectory; phase 2 (+recipe=phase2) learns from those")
    return steps.samples(parse_record(Trajectory, row, place), place)


def to_sample(row: object, language: Language, place: str) -> Sample:
    """A row as a sample: a TaskPlan record, or TRL's prompt-completion or conversational format."""
    if not isinstance(row, dict):
        raise UserError(f"{place}: not a JSON object")
    row = {key: value for key, value in row.items() if value is not None}  # a Parquet column that a row leaves out
    if "plan" in row or "task_id" in row:
        record = parse_record(TaskPlan, row, place)
        messages = [*plan_prompt(record.task, record.app), {"role": "assistant", "content": plan_answer(record)}]
        return language.sample(messages, record.task_id, task=record.task_id)
    unread = [key for key in CHANGES_THE_PROMPT if row.get(key)]
    if unread:
        raise UserError(f"{place}: {unread[0]} would change the prompt, and this library does not read it")
    id = str(row.get("id", place))
    prompt, completion = row.get("prompt"), row.get("completion")
    messages = row.get("messages", row.get("conversations"))
    if isinstance(prompt, str) and isinstance(completion, str):
        return language.completion(prompt, completion, id)
    if isinstance(prompt, list) and isinstance(completion, list):
        read = _messages(prompt, place)
        return language.sample([*read, *_messages(completion, place)], id, task=id, learned_from=len(read))
    if isinstance(messages, list):
        return language.sample(_messages(messages, place), id, task=id)
    known = "a TaskPlan (task_id, task, plan), a Trajectory, prompt + completion, or messages"
    raise UserError(f"{place}: none of the formats {known}; its keys are {', '.join(sorted(row)) or '(none)'}")


def _messages(messages: list, place: str) -> list[dict[str, str]]:
    """Messages with role and content, from such or from ShareGPT's from and value."""
    return [_message(message, f"{place}: message {number}") for number, message in enumerate(messages)]


def _message(message: object, place: str) -> dict[str, str]:
    if not isinstance(message, dict):
        raise UserError(f"{place} is not an object with a role and a text content")
    role, content = message.get("role", message.get("from")), message.get("content", message.get("value"))
    if not isinstance(role, str) or not isinstance(content, str):
        raise UserError(f"{place} is not an object with a role and a text content")
    unread = [key for key, value in message.items() if value and key not in READ_OF_A_MESSAGE]
    if unread:
        raise UserError(f"{place} has {unread[0]}, which this library does not read: only role and content")
    if "role" not in message:
        role = SHAREGPT_ROLES.get(role, role)
    return {"role": role, "content": content}
