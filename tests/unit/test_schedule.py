"""The learning rate of every step."""

import itertools
import math

import pytest

from lam_train.train.schedule import learning_rate


def test_cosine_with_the_papers_two_warm_up_steps():
    rates = [learning_rate(s, peak=3.0, total=10, warmup=2) for s in range(10)]
    assert rates[:3] == pytest.approx([1.0, 2.0, 3.0])
    assert rates[6] == pytest.approx(1.5)
    assert rates[9] == pytest.approx(1.5 * (1 + math.cos(math.pi * 7 / 8)))
    assert all(a > b for a, b in itertools.pairwise(rates[2:]))


def test_linear_and_constant():
    assert [learning_rate(s, peak=1.0, total=4, warmup=0, kind="linear") for s in range(4)] == [1.0, 0.75, 0.5, 0.25]
    assert [learning_rate(s, peak=1.0, total=4, warmup=0, kind="constant") for s in range(4)] == [1.0] * 4


def test_a_run_shorter_than_its_warm_up():
    assert [learning_rate(s, peak=4.0, total=2, warmup=3) for s in range(2)] == [1.0, 2.0]
