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
    """How many values a number or text field is given; a drop-down list gets three times as many."""
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
