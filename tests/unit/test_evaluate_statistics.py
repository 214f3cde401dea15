"""Bootstrap intervals: known answers, coverage, clusters, pairs, missing values."""

import numpy as np
import pytest
from scipy import stats

from lam_train.evaluate.statistics import estimates, resampled_means


def one(values, pages, resamples=2000, seed=0):
    return estimates(np.asarray(values, float)[:, None], pages, resamples, seed)[0]


def own_pages(count):
    return [f"page {index}" for index in range(count)]


def test_the_mean_is_over_tasks_not_over_pages():
    assert one([1, 1, 1, 0], ["a", "a", "a", "b"]).mean == 0.75


def test_it_agrees_with_scipy_when_every_task_has_its_own_page():
    values = np.random.default_rng(0).random(200)
    ours = one(values, own_pages(200), resamples=20_000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.002)
    assert ours.high == pytest.approx(theirs.high, abs=0.002)


def test_the_interval_covers_a_known_rate_about_95_times_in_100():
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(300):
        estimate = one(generator.random(100) < 0.3, own_pages(100), resamples=400)
        covered += estimate.low <= 0.3 <= estimate.high
    assert 0.90 <= covered / 300 <= 0.98  # 95 % of 300 has a standard error of 1.3 points


def test_clustered_tasks_get_a_wider_interval_that_covers():
    """Tasks of a page are copies of one another: a bootstrap over tasks is too sure, one over pages is right."""
    generator = np.random.default_rng(0)
    covered = {"pages": 0, "tasks": 0}
    for _ in range(200):
        values = np.repeat(generator.random(40) < 0.5, 5)
        pages = [f"page {index // 5}" for index in range(200)]
        for unit, names in (("pages", pages), ("tasks", own_pages(200))):
            estimate = one(values, names, resamples=300)
            covered[unit] += estimate.low <= 0.5 <= estimate.high
    assert covered["pages"] / 200 > 0.89
    assert covered["tasks"] / 200 < 0.75


def test_differences_are_paired():
    """Two models that move together from task to task differ by a constant: no width; unpaired there would be some."""
    first = np.random.default_rng(0).random(100)
    values = np.stack([first, first + 0.1, (first + 0.1) - first], axis=1)
    left, right, difference = estimates(values, own_pages(100), 1000, 0)
    assert difference.low == pytest.approx(0.1) == difference.high
    assert right.high - left.low > 0.15
    means_BC = resampled_means(values, own_pages(100), 1000, 0)
    assert np.allclose(means_BC[:, 1] - means_BC[:, 0], means_BC[:, 2])


def test_same_seed_same_numbers_other_seed_others_and_the_order_of_tasks_does_not_matter():
    values, pages = np.random.default_rng(0).random(50), [f"page {index % 9}" for index in range(50)]
    assert one(values, pages) == one(values, pages)
    assert one(values, pages, seed=1).low != one(values, pages).low
    backwards = one(values[::-1], pages[::-1])
    assert backwards.low == pytest.approx(one(values, pages).low, abs=1e-12)


def test_missing_values_are_left_out_and_a_column_without_values_has_no_estimate():
    values = np.array([[1.0, np.nan], [np.nan, np.nan], [0.0, np.nan], [1.0, np.nan]])
    some, none = estimates(values, own_pages(4), 500, 0)
    assert some.mean == pytest.approx(2 / 3)
    assert 0 <= some.low < some.high <= 1
    assert none is None


def test_more_resamples_than_a_chunk_are_all_drawn():
    means_BC = resampled_means(np.arange(10.0)[:, None], own_pages(10), 1001, 0)
    assert means_BC.shape == (1001, 1)
    assert len(np.unique(means_BC)) > 50
    assert means_BC.mean() == pytest.approx(4.5, abs=0.1)


def test_one_page_for_every_task_is_required():
    with pytest.raises(ValueError, match="3 rows of values for 2 pages"):
        resampled_means(np.zeros((3, 1)), ["a", "b"], 100, 0)
