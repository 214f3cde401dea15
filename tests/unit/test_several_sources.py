"""Training on several sources at once: `data.train=[ONE,ANOTHER]`."""

import pytest

from lam_train.errors import UserError
from lam_train.language.data import DataSettings, read_samples, validation_data
from lam_train.recipe import compose_recipe
from lam_train.records import TaskPlan, write_jsonl


def write(path, name, number):
    write_jsonl(path, [TaskPlan(task_id=f"{name}{i}", task=f"{name} {i}", plan=["Click OK."]) for i in range(number)])
    return str(path)


def test_the_samples_of_all_sources_in_order(tmp_path, tiny):
    one, two = write(tmp_path / "one.jsonl", "a", 2), write(tmp_path / "two.jsonl", "b", 3)
    samples, bad = read_samples([two, one], tiny, "refuse", "data.train")
    assert [sample.id for sample in samples] == ["b0", "b1", "b2", "a0", "a1"] and not bad.count


def test_an_id_that_two_sources_share_is_refused_with_both_places(tmp_path, tiny):
    one, two = write(tmp_path / "one.jsonl", "a", 1), write(tmp_path / "two.jsonl", "a", 1)
    with pytest.raises(UserError, match=r"two\.jsonl, line 1: the id 'a0' is already taken by .*one\.jsonl, line 1"):
        read_samples([one, two], tiny, "refuse", "data.train")


def test_a_source_that_is_not_there_is_named(tmp_path, tiny):
    one = write(tmp_path / "one.jsonl", "a", 1)
    with pytest.raises(UserError, match=r"data\.train=.*missing\.jsonl: no such file"):
        read_samples([one, str(tmp_path / "missing.jsonl")], tiny, "refuse", "data.train")


def test_validation_is_read_beside_each_source_that_has_it(tmp_path):
    sources = [write(tmp_path / name / "train.jsonl", name, 1) for name in ("docs", "walk", "own")]
    assert validation_data(DataSettings(train=sources)) is None
    beside = [write(tmp_path / name / "validation.jsonl", f"v{name}", 1) for name in ("docs", "own")]
    assert validation_data(DataSettings(train=sources)) == beside
    assert validation_data(DataSettings(train=sources, validation=None)) is None


def test_a_recipe_takes_a_list(tmp_path):
    recipe = compose_recipe(["+recipe=phase1", f"data.train=[{tmp_path}/a.jsonl,{tmp_path}/b.jsonl]"])
    assert recipe.data.train == [f"{tmp_path}/a.jsonl", f"{tmp_path}/b.jsonl"]
    with pytest.raises(UserError, match=r"data\.train"):
        compose_recipe(["+recipe=phase1", "data.train=[]"])


def test_a_source_weighs_as_asked(tmp_path, tiny):
    one, two = write(tmp_path / "one.jsonl", "a", 1), write(tmp_path / "two.jsonl", "b", 2)
    plain, _ = read_samples([one, two], tiny, "refuse", "data.train")
    weighted, _ = read_samples([one, two], tiny, "refuse", "data.train", source_weights=[1.0, 2.5])
    for before, after in zip(plain, weighted, strict=True):
        assert (before.id, before.tokens.tolist()) == (after.id, after.tokens.tolist())
        factor = 1.0 if before.id == "a0" else 2.5
        assert after.weights.tolist() == (before.weights * factor).tolist() and after.weights.any()


@pytest.mark.parametrize("weights", ["[1.0]", "[1,2,3]"])
def test_a_weight_for_each_source(weights):
    """Said when the recipe is composed: of a stage of a curriculum before the first stage runs."""
    with pytest.raises(UserError, match=r"data.*weights=.* weights for 2 sources in train"):
        compose_recipe(["+recipe=phase3", "data.train=[one,two]", f"data.weights={weights}"])


@pytest.mark.parametrize("weights", ["[0,1]", "[-1,1]", "[.inf,1]"])
def test_a_weight_is_above_zero(weights):
    with pytest.raises(UserError, match=r"data\.weights"):
        compose_recipe(["+recipe=phase3", f"data.weights={weights}"])
