"""What a collection gave."""

from dataclasses import dataclass, field
from pathlib import Path

from lam_train.collect.counts import Counts
from lam_train.collect.split import SPLITS, Split
from lam_train.records import TaskPlan


@dataclass
class CollectReport:
    """What a collection gave."""

    output: Path
    """The folder it was written to."""
    counts: Counts
    """What became of every pair."""
    splits: dict[Split, list[TaskPlan]]
    """The records of each split."""
    unavailable: dict[str, str] = field(default_factory=dict)
    """Packages that could not be had, and why."""
    queries: dict[str, int] = field(default_factory=dict)
    """What became of the search queries."""

    def __str__(self) -> str:
        sizes = ", ".join(f"{len(self.splits[split])} {split}" for split in SPLITS)
        return f"{self.counts.of('kept')} pairs of {self.counts.of('parsed')} parsed ({sizes}) in {self.output}"
