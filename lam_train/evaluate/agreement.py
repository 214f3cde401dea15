"""How well the matching of steps agrees with people: for choosing a threshold on labelled pairs of one's own.

python -m lam_train.evaluate.agreement tests/fixtures/evaluate/step_pairs.jsonl
"""

import sys
from pathlib import Path

import numpy as np

from lam_train.evaluate.plan_matching import step_similarity
from lam_train.records import Record, Text, read_jsonl


class StepPair(Record):
    """Two steps, and whether a person says that they are the same action."""

    one: Text
    other: Text
    same: bool
    origin: str = ""
    """Where the pair comes from: one line of the table each."""


class Agreement(Record):
    """What a threshold says of labelled pairs."""

    threshold: float
    pairs: int
    same: int
    """Pairs that the label calls the same action."""
    wrongly_matched: int
    wrongly_apart: int

    @property
    def accuracy(self) -> float:
        """The share of pairs on which the threshold and the label agree."""
        return 1 - (self.wrongly_matched + self.wrongly_apart) / self.pairs


def agreement(pairs: list[StepPair], threshold: float) -> Agreement:
    """How often "similarity of at least `threshold`" is what the labels say. `pairs` must not be empty."""
    labels = np.array([pair.same for pair in pairs])
    matched = np.array([step_similarity([pair.one], [pair.other])[0, 0] for pair in pairs]) >= threshold
    return Agreement(
        threshold=threshold,
        pairs=len(pairs),
        same=int(labels.sum()),
        wrongly_matched=int((matched & ~labels).sum()),
        wrongly_apart=int((~matched & labels).sum()),
    )


def agreement_table(pairs: list[StepPair], thresholds: list[float]) -> str:
    """Markdown: a line for each threshold and origin."""
    lines = ["| threshold | pairs from | pairs | same | wrongly matched | wrongly apart | accuracy |", "|---" * 7 + "|"]
    for threshold in thresholds:
        for origin in sorted({pair.origin for pair in pairs}):
            found = agreement([pair for pair in pairs if pair.origin == origin], threshold)
            counts = found.pairs, found.same, found.wrongly_matched, found.wrongly_apart
            cells = [f"{threshold:g}", origin, *map(str, counts), f"{found.accuracy:.1%}"]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(agreement_table(list(read_jsonl(Path(sys.argv[1]), StepPair)), [60.0, 65.0, 70.0, 75.0, 80.0, 85.0, 90.0]))
