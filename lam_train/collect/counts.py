"""What happened to every pair, by source: each stage's counts add up to what was parsed."""

from collections import Counter
from dataclasses import dataclass, field

from lam_train.collect.filters import REASONS
from lam_train.collect.split import SPLITS

STAGES = (
    "parsed",
    "kind_not_wanted",
    *REASONS,
    "unified",
    "duplicate_exact",
    "duplicate_near",
    "not_sampled",
    "kept",
    *SPLITS,
)
_DROPPED = ("kind_not_wanted", *REASONS)


@dataclass
class Counts:
    """Pairs by (source, stage)."""

    by_source: dict[str, Counter] = field(default_factory=dict)

    def add(self, source: str, stage: str) -> None:
        """One more pair of `source` that reached, or ended in, `stage`."""
        assert stage in STAGES, stage
        self.by_source.setdefault(source, Counter())[stage] += 1

    def of(self, stage: str) -> int:
        """Over all sources."""
        return sum(counter[stage] for counter in self.by_source.values())

    def check(self) -> None:
        """Raises AssertionError if a pair was lost or counted twice."""
        for source, counter in self.by_source.items():
            dropped = sum(counter[stage] for stage in _DROPPED)
            assert counter["parsed"] == dropped + counter["unified"], (source, counter)
            removed = counter["duplicate_exact"] + counter["duplicate_near"] + counter["not_sampled"]
            assert counter["unified"] == removed + counter["kept"], (source, counter)
            assert counter["kept"] == sum(counter[split] for split in SPLITS), (source, counter)

    def as_dict(self) -> dict[str, dict[str, int]]:
        """For JSON: source -> stage -> pairs, and "all"."""
        rows = {
            source: {stage: counter[stage] for stage in STAGES} for source, counter in sorted(self.by_source.items())
        }
        return rows | {"all": {stage: self.of(stage) for stage in STAGES}}
