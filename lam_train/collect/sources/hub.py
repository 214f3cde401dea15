"""A Hugging Face dataset by its id, read row by row with `datasets`."""

from collections.abc import Iterator

from lam_train.collect.raw import RawPair
from lam_train.collect.sources.own_files import raw_of
from lam_train.errors import UserError
from lam_train.records import TaskPlan, parse_record

_REMEDY = (
    "on a machine with access, run it once (the rows are then in the cache, HF_HOME), "
    "or save the rows as JSONL or Parquet and give that file instead"
)


def load_hub_rows(dataset_id: str, split: str = "train", revision: str | None = None) -> Iterator[dict]:
    """The rows of one split of a dataset on the hub, in order.

    Raises UserError when the hub cannot be reached (or HF_HUB_OFFLINE is set) and the cache lacks the dataset,
    when there is no such dataset or it is private, and when it has no such split.
    """
    rows = _open(dataset_id, split, revision)
    yield from (dict(row) for row in rows)


def _open(dataset_id: str, split: str, revision: str | None):
    import datasets  # slow to import, and only needed here
    from datasets.exceptions import DatasetNotFoundError, DatasetsError
    from huggingface_hub import constants
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return datasets.load_dataset(dataset_id, split=split, revision=revision)
    except DatasetNotFoundError as error:
        if constants.HF_HUB_OFFLINE or "offline" in str(error).lower():
            raise _offline(dataset_id) from None
        raise UserError(
            f"{dataset_id}: no such dataset on the Hugging Face hub, or it needs a login: {_line(error)}"
        ) from None
    except ValueError as error:  # an unknown split or configuration; the message lists the known ones
        raise UserError(f"{dataset_id}, split {split!r}: {_line(error)}") from None
    except (DatasetsError, RuntimeError) as error:  # rows that cannot be read, or a set that needs its own script
        raise UserError(f"{dataset_id}: the dataset cannot be read: {_line(error)}") from None
    except (ConnectionError, OSError, HfHubHTTPError) as error:
        if constants.HF_HUB_OFFLINE:
            raise _offline(dataset_id) from None
        raise UserError(
            f"{dataset_id}: the Hugging Face hub cannot be reached from this machine ({_line(error)}); {_REMEDY}"
        ) from None


def _offline(dataset_id: str) -> UserError:
    return UserError(
        f"{dataset_id}: HF_HUB_OFFLINE is set, so the Hugging Face hub is not asked, "
        f"and the cache has no such dataset; {_REMEDY}"
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def read(dataset_id: str, split: str = "train", revision: str | None = None) -> Iterator[RawPair]:
    """A dataset whose rows are TaskPlan records, as pairs."""
    for number, row in enumerate(load_hub_rows(dataset_id, split, revision), start=1):
        row = {key: value for key, value in row.items() if value is not None}
        yield raw_of(parse_record(TaskPlan, row, f"{dataset_id}, {split} row {number}"))
