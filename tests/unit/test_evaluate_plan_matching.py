"""The matching of plan steps: hand-computed cases, order, ties, and a brute-force check."""

import itertools
import random

import numpy as np
import pytest

from lam_train.evaluate.plan_matching import THRESHOLD, _assign, _covered, match_plans, normalise_step, step_similarity

INSERT = ["Choose Insert > Table.", "Type 4 in the Columns box.", "Click Insert."]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1. Click the **OK** button.", "Press OK"),
        ("Choose File ▸ Print…", "Select File > Print..."),
        ("Go to the Insert menu, then click on Table", "Choose Insert > Table"),
        ("Press Ctrl + S", "press CTRL+S"),
        ("Type ‘4’ in Columns", 'Enter "4" in the Columns box'),
        ("To print the page, click Print.", "Click Print. The page is printed. It takes a while."),
        ("Click Users to open the panel.", "(Optional) Click Users."),
        ("Ｃlick OK", "Click OK"),
    ],
)
def test_ways_of_writing_one_action_are_normalised_to_one_text(one, other):
    assert normalise_step(one).words == normalise_step(other).words != []
    assert step_similarity([one], [other]).item() == pytest.approx(100)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Select the check box", "Clear the check box"),
        ("Open the file", "Close the file"),
        ("Press F5", "Press F7"),
        ("Type 4", "Type 5"),
        ("Press Ctrl+S", "Press Ctrl+Shift+S"),
        ("Click the menu button", "Click the list box"),  # light words alone are kept
        ("Select Snippets to enable the plugin", "Select Sort to enable the plugin"),  # one name in a long template
        ("Open the Activities overview and start typing Users", "Open the Activities overview and start typing Sound"),
        ("In the left pane of the window, click Forms", "In the left pane of the window, click Tables"),
    ],
)
def test_different_actions_stay_different(one, other):
    assert step_similarity([one], [other]).item() < THRESHOLD
    assert step_similarity([one], [one]).item() == pytest.approx(100)


def test_the_similarity_is_the_one_computed_by_hand():
    """Words {columns, type, x} and {columns, type, y}: 4 of 6 shared; names {columns} of both are said by both."""
    similarity = step_similarity(["Type x in Columns"], ["Enter y in the Columns box"]).item()
    assert similarity == pytest.approx(100 * 4 / 6)
    # The names are now {columns, 4} and {columns, 5}: 2 of 4 are said by the other step.
    similarity = step_similarity(["Type 4 in Columns"], ["Type 5 in Columns"]).item()
    assert similarity == pytest.approx(100 * 4 / 6 * 2 / 4)


def test_similarity_is_symmetric_and_keeps_its_shape_when_empty():
    steps = [*INSERT, "Press Ctrl+S", "", "!!!", "点击确定"]
    similarity = step_similarity(steps, steps)
    assert np.allclose(similarity, similarity.T)
    assert np.allclose(similarity.diagonal(), 100)
    assert similarity.min() == 0
    assert step_similarity([], INSERT).shape == (0, 3)
    assert step_similarity(["!!!"], ["..."]).item() == 0


def test_the_same_plan_succeeds():
    match = match_plans(INSERT, INSERT)
    assert match.pairs == [(0, 0), (1, 1), (2, 2)]
    assert (match.precision, match.recall, match.success, match.covered) == (1.0, 1.0, True, True)


def test_an_extra_step_costs_precision_and_success_but_the_reference_is_covered():
    match = match_plans([INSERT[0], "Open the calculator", *INSERT[1:]], INSERT)
    assert match.pairs == [(0, 0), (2, 1), (3, 2)]
    assert (match.precision, match.recall, match.success, match.covered) == (0.75, 1.0, False, True)


def test_a_missing_step_costs_recall():
    match = match_plans(INSERT[:2], INSERT)
    assert (match.precision, match.success, match.covered) == (1.0, False, False)
    assert match.recall == pytest.approx(2 / 3)


def test_another_order_keeps_precision_and_recall_but_not_success():
    match = match_plans([INSERT[1], INSERT[0], INSERT[2]], INSERT)
    assert (match.precision, match.recall, match.success, match.covered) == (1.0, 1.0, False, False)


def test_no_steps_score_zero():
    match = match_plans([], INSERT)
    assert (match.pairs, match.precision, match.recall, match.success, match.covered) == ([], 0.0, 0.0, False, False)


def test_an_empty_reference_is_refused():
    with pytest.raises(ValueError, match="no steps"):
        match_plans(INSERT, [])


def test_repeating_a_step_earns_nothing():
    match = match_plans(["Click OK"] * 5, ["Click OK", "Close the window"])
    assert (len(match.pairs), match.precision, match.recall) == (1, 0.2, 0.5)


def test_equal_steps_are_matched_in_order():
    plan = ["Click OK", "Type a name", "Click OK"]
    assert match_plans(plan, plan).pairs == [(0, 0), (1, 1), (2, 2)]
    assert match_plans(["Click OK"] * 2, ["Type a name", *["Click OK"] * 2]).pairs == [(0, 1), (1, 2)]


def test_more_pairs_beat_a_closer_pair():
    """Taking the exact pair (0, 0) would leave step 1 alone; both pairs are over the threshold the other way."""
    similarity = np.array([[100.0, 80.0], [80.0, 0.0]])
    assert _assign(similarity >= 75, similarity) == [(0, 1), (1, 0)]


def test_among_as_many_pairs_the_closest_wins():
    similarity = np.array([[80.0, 100.0]])
    assert _assign(similarity >= 75, similarity) == [(0, 1)]


def test_the_threshold_is_reached_at_equality():
    one, other = ["Type 4 in Columns"], ["Type 5 in Columns"]
    similarity = step_similarity(one, other).item()
    assert 0 < similarity < 100
    assert match_plans(one, other, similarity).success
    assert not match_plans(one, other, similarity + 0.01).success


def brute_force(similarity: np.ndarray, matches: np.ndarray) -> tuple[int, int, int]:
    """(pairs, whole percents, -squared distance) of the best one-to-one matching, by trying them all."""
    rows, columns = similarity.shape
    best = (0, 0, 0)
    for size in range(1, min(rows, columns) + 1):
        for chosen_rows in itertools.combinations(range(rows), size):
            for chosen_columns in itertools.permutations(range(columns), size):
                pairs = list(zip(chosen_rows, chosen_columns, strict=True))
                if all(matches[pair] for pair in pairs):
                    best = max(best, value(pairs, similarity))
    return best


def value(pairs, similarity):
    return (
        len(pairs),
        int(sum(np.rint(similarity[pair]) for pair in pairs)),
        -sum((row - column) ** 2 for row, column in pairs),
    )


def test_the_matching_is_the_best_of_all_matchings():
    generator = np.random.default_rng(0)
    sizes = set()
    for _ in range(150):
        rows, columns = generator.integers(1, 5, size=2)
        similarity = generator.choice([0.0, 10.4, 10.0, 20.0, 90.0, 100.0], size=(rows, columns))
        matches = similarity >= 10
        pairs = _assign(matches, similarity)
        sizes.add(len(pairs))
        assert value(pairs, similarity) == brute_force(similarity, matches)
    assert sizes == {0, 1, 2, 3, 4}


def test_long_plans_are_matched_exactly():
    """500 equal steps: the sums must stay exact integers, or the order is lost."""
    similarity = np.full((500, 500), 100.0)
    assert _assign(similarity >= 75, similarity) == [(place, place) for place in range(500)]


def test_covered_agrees_with_trying_all_subsequences():
    generator = np.random.default_rng(1)
    outcomes = set()
    for _ in range(300):
        rows, columns = generator.integers(1, 6), generator.integers(1, 4)
        matches = generator.random((rows, columns)) < 0.5
        expected = any(
            all(matches[row, column] for column, row in enumerate(chosen))
            for chosen in itertools.combinations(range(rows), columns)
        )
        outcomes.add(expected)
        assert _covered(matches) == expected
    assert outcomes == {True, False}


def test_precision_and_recall_do_not_depend_on_the_order_of_steps():
    plan = [*INSERT, "Click Insert", "Close the window", "Press F5"]
    reference = [*INSERT, "Press F7", "Click Insert."]
    expected = match_plans(plan, reference)
    for seed in range(10):
        shuffled = random.Random(seed).sample(plan, len(plan))
        match = match_plans(shuffled, reference)
        assert (match.precision, match.recall) == (expected.precision, expected.recall)
