"""Settings of the walk through Writer."""

from pydantic import Field

from lam_train.settings import Settings


class WalkSettings(Settings):
    """The walk through Writer's commands, menus and dialogs."""

    output: str = "collected/application_plans"
    """The folder for the dataset, its card, counts, examples, and the walk's own results."""
    installation: str = "/usr/lib/libreoffice"
    """LibreOffice's folder: its registry, menus and dialog definitions give the words."""
    entries: list[str] = []
    """Walk only entries that begin with one of these ("Format > Paragraph", "keys: Ctrl+B"); [] walks all."""
    values: int = Field(default=2, ge=1)
    """How many values a number or text field is given; a drop-down list gets three times as many. More in the same
    folder adds to what is there."""
    validation: float = Field(default=0.1, ge=0, lt=0.5)
    """The fraction of commands and tabs for validation."""
    test: float = Field(default=0.1, ge=0, lt=0.5)
    """The fraction of commands and tabs for the test."""
    seed: int = 0
    """Another seed, another split and other examples."""
    examples: int = Field(default=20, ge=0)
    """How many random pairs are written out to look at."""
    shard_size: int = Field(default=20_000, ge=1)
    """Results a file."""


class EvolveWalkSettings(Settings):
    """More pairs from those of a walk: plans with other values, two plans in one, other words."""

    data: str = "collected/application_plans"
    """What `collect_application_plans` wrote."""
    output: str = "collected/evolved_application_plans"
    """The folder for the evolved pairs, their card and counts; the same command goes on in it."""
    values: int = Field(default=2, ge=0)
    """Other values that a number or text field is given, each executed."""
    compositions: int = Field(default=600, ge=0)
    """How many compositions of two plans are tried, each executed."""
    wordings: int = Field(default=1, ge=0)
    """Other wordings of a task, at most; the plan is the executed one."""
    seed: int = 0
    """Another seed, other compositions."""
    examples: int = Field(default=20, ge=0)
    """How many random pairs are written out to look at."""
    shard_size: int = Field(default=20_000, ge=1)
    """Results a file."""
