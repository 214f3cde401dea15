"""The matching of steps against labels given by hand."""

from pathlib import Path

import pytest

from lam_train.evaluate.agreement import StepPair, agreement, agreement_table
from lam_train.evaluate.plan_matching import THRESHOLD
from lam_train.records import read_jsonl

PAIRS = list(read_jsonl(Path(__file__).parent.parent / "fixtures" / "evaluate" / "step_pairs.jsonl", StepPair))


def test_the_threshold_agrees_with_the_labels():
    """The pairs were picked where deciding is hard; always saying "different" would agree on 77 %."""
    found = agreement(PAIRS, THRESHOLD)
    assert found.pairs >= 200
    assert found.same / found.pairs > 0.2
    assert found.accuracy >= 0.87
    assert found.wrongly_matched <= found.wrongly_apart  # where it errs, it does not flatter


@pytest.mark.parametrize("threshold", [60.0, 70.0, 85.0, 95.0])
def test_other_thresholds_agree_less(threshold):
    assert agreement(PAIRS, threshold).accuracy < agreement(PAIRS, THRESHOLD).accuracy - 0.02


def test_agreement_counts_both_kinds_of_error():
    pairs = [
        StepPair(one="Click OK", other="Press the OK button", same=True, origin="a"),
        StepPair(one="Click OK", other="Press the OK button", same=False, origin="a"),
        StepPair(one="Click OK", other="Close the window", same=True, origin="b"),
        StepPair(one="Click OK", other="Close the window", same=False, origin="b"),
    ]
    found = agreement(pairs, 77.0)
    assert (found.pairs, found.same, found.wrongly_matched, found.wrongly_apart) == (4, 2, 1, 1)
    assert found.accuracy == 0.5
    assert agreement_table(pairs, [77.0]).splitlines()[2:] == [
        "| 77 | a | 2 | 1 | 1 | 0 | 50.0% |",
        "| 77 | b | 2 | 1 | 0 | 1 | 50.0% |",
    ]
