"""Where a training goes on, and what is another training."""

import json

import pytest
import torch

from lam_train.__main__ import main
from lam_train.train.checkpoint import newest_checkpoint
from tests.conftest import base_overrides, metrics

STEPS = ["trainer.batch_size=8", "trainer.epochs=1", "checkpoint.every_steps=1", "checkpoint.keep_last=9"]


@pytest.fixture
def begun(plans, tmp_path):
    """Overrides of a training of which two of five steps are made."""
    overrides = [*base_overrides(plans), *STEPS, f"run_dir={tmp_path}/run"]
    assert main([*overrides, "trainer.max_steps=2"]) == 0
    return overrides


def said(caplog, *overrides: str) -> str:
    """The message of a command line that has to end with exit status 2."""
    caplog.clear()
    assert main(list(overrides)) == 2
    return caplog.text


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ("trainer.lr=2e-3", "trainer.lr"),
        ("trainer.schedule=linear", "trainer.schedule"),
        ("model.lora.rank=2", "model.lora"),
    ],
)
def test_another_setting_of_what_is_learned_is_another_training(begun, tmp_path, caplog, changed, key):
    before = (tmp_path / "run/recipe.yaml").read_bytes()
    told = said(caplog, *begun, changed)
    assert f"{key}=" in told and "another run_dir" in told and f"resume={tmp_path}/run" in told
    assert (tmp_path / "run/recipe.yaml").read_bytes() == before and len(metrics(tmp_path / "run")) == 2


def test_it_goes_on_with_another_rate_where_it_was_asked_to(begun, tmp_path, caplog):
    assert main([*begun, "trainer.lr=2e-3", f"resume={tmp_path}/run"]) == 0
    assert "going on with trainer.lr=0.002" in caplog.text and "made with trainer.lr=0.001" in caplog.text
    assert [row["step"] for row in metrics(tmp_path / "run")] == [1, 2, 3, 4, 5]
    caplog.clear()
    assert main([*begun, "trainer.lr=2e-3"]) == 0  # the newest checkpoint was made with it
    assert "made with" not in caplog.text


def test_layout_may_differ(begun, tmp_path):
    assert main([*begun, "batching.max_tokens=900", "model.gradient_checkpointing=true", "engine=zero1"]) == 0
    assert len(metrics(tmp_path / "run")) == 5


@pytest.mark.parametrize("other", ["phase4b", "phase3"])
def test_a_checkpoint_of_another_recipe_is_refused(begun, tmp_path, caplog, other):
    from lam_train.errors import UserError
    from lam_train.phases.resuming import find_resume
    from lam_train.recipe import compose_recipe
    from lam_train.train.run_directory import RunDirectory

    recipe = compose_recipe([f"+recipe={other}", "model=tiny", f"resume={tmp_path}/run"])
    with pytest.raises(UserError, match=rf"is of phase1, not of {other}: .*model.path=RUN_DIR/model"):
        find_resume(recipe, RunDirectory(tmp_path / "another"))


def test_a_damaged_checkpoint_is_named_with_the_one_before(begun, tmp_path, caplog):
    newest = newest_checkpoint(tmp_path / "run/checkpoints")
    file = next(newest.folder.glob("state-*.safetensors"))
    file.write_bytes(file.read_bytes()[:-100])
    caplog.clear()
    assert main(begun) == 1
    before = tmp_path / "run/checkpoints/step-00000001"
    assert str(newest.folder) in caplog.text and f"resume={before}" in caplog.text and "Traceback" not in caplog.text
    assert main([*begun, f"resume={before}"]) == 0
    assert [row["step"] for row in metrics(tmp_path / "run")][-1] == 5


def test_ranks_that_a_checkpoint_has_no_random_states_of_draw_their_own(tmp_path):
    """Two ranks of a checkpoint of one: dropout must differ, and from what the seed gave at the start."""
    from lam_train.train.checkpoint import random_states_of_a_new_rank

    drawn = []
    for seed, step, rank in ((0, 5, 1), (0, 5, 2), (0, 6, 1), (1, 5, 1)):
        random_states_of_a_new_rank({"step": step, "recipe": {"trainer": {"seed": seed}}}, rank)
        drawn.append(torch.rand(3).tolist())
    assert len({json.dumps(one) for one in drawn}) == 4
    random_states_of_a_new_rank({"step": 5, "recipe": None}, 1)
    assert torch.rand(3).tolist() == drawn[0]
