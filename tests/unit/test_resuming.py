"""Where a training goes on, and what is another training."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from lam_train.__main__ import main
from lam_train.phases import stages as stages_module
from lam_train.train import checkpoint as checkpoint_module
from lam_train.train.checkpoint import CheckpointSettings, newest_checkpoint, random_states_of_a_new_rank
from lam_train.train.distributed import World
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
    assert f"{key}=" in told and "another run_dir" in told
    assert (f"resume={tmp_path}/run goes on" in told) is key.startswith("trainer")
    assert (tmp_path / "run/recipe.yaml").read_bytes() == before and len(metrics(tmp_path / "run")) == 2


def test_it_goes_on_with_another_rate_where_it_was_asked_to(begun, tmp_path, caplog):
    assert main([*begun, "trainer.lr=2e-3", f"resume={tmp_path}/run"]) == 0
    assert "going on with trainer.lr=0.002" in caplog.text and "made with trainer.lr=0.001" in caplog.text
    rows = metrics(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
    assert max(row["lr"] for row in rows[2:]) > 1e-3 >= max(row["lr"] for row in rows[:2])
    caplog.clear()
    assert main([*begun, "trainer.lr=2e-3"]) == 0  # the newest checkpoint was made with it
    assert "made with" not in caplog.text


def test_another_model_is_refused_by_content_and_not_by_its_name(plans, tmp_path, caplog):
    """A run that was moved goes on, and so does one whose model is spelt in another way."""
    base = [*base_overrides(plans), *STEPS]
    assert main([*base, f"run_dir={tmp_path}/first", "trainer.max_steps=1", "export.at_end=true"]) == 0
    model, moved, other = tmp_path / "first/model", tmp_path / "moved", tmp_path / "other"
    overrides = [*base, f"run_dir={tmp_path}/run", f"resume={tmp_path}/run"]
    assert main([*base, f"run_dir={tmp_path}/run", "trainer.max_steps=2", f"model.path={model}"]) == 0
    shutil.copytree(model, other)
    weights = load_file(other / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in weights.items()}, other / "model.safetensors")
    assert f"model.path={other}" in said(caplog, *overrides, f"model.path={other}")
    shutil.copytree(model, moved)
    assert main([*overrides, "trainer.max_steps=3", f"model.path={moved}"]) == 0
    shutil.rmtree(moved)
    assert main([*overrides, f"model.path={model}/../model"]) == 0
    assert len(metrics(tmp_path / "run")) == 5


def test_a_stage_that_would_learn_otherwise_begins_anew_beside_what_was_made(begun, tmp_path, caplog):
    stages_module._run([*begun, "batching.max_tokens=900"], None)
    assert len(metrics(tmp_path / "run")) == 5 and not (tmp_path / "run.before-1").exists()
    stages_module._run([*begun, "trainer.lr=2e-3"], None)
    assert "begun with other settings (trainer.lr)" in caplog.text
    assert len(metrics(tmp_path / "run")) == len(metrics(tmp_path / "run.before-1")) == 5
    assert max(row["lr"] for row in metrics(tmp_path / "run")) > 1e-3


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


def test_ranks_that_a_checkpoint_has_no_random_states_of_draw_their_own(begun, tmp_path, monkeypatch):
    """Two ranks of a checkpoint of one: dropout must differ, and from what the seed gave at the start."""
    checkpoint = newest_checkpoint(tmp_path / "run/checkpoints")
    monkeypatch.setattr(checkpoint_module, "all_succeeded", lambda *_: None)
    monkeypatch.setattr(checkpoint_module, "trained_parameters", lambda _: [])
    monkeypatch.setattr(checkpoint_module, "write_state", lambda *_: None)
    empty = checkpoint_module.Checkpoint(checkpoint.folder, checkpoint.state | {"files": {}})
    loaded = []
    for rank in (0, 1, 2, 1):
        world = World(rank=rank, size=3, local_rank=rank, local_size=3)
        torch.manual_seed(7)
        checkpoint_module.Checkpoints(tmp_path, CheckpointSettings(), world).load(None, empty)
        loaded.append(torch.rand(3).tolist())
    assert loaded[1] == loaded[3] and len({json.dumps(one) for one in loaded}) == 3
    drawn = []
    for seed, step, rank in ((0, 5, 1), (0, 5, 2), (0, 6, 1), (20260101, 5, 1)):
        random_states_of_a_new_rank({"step": step, "recipe": {"trainer": {"seed": seed}}}, rank)
        drawn.append(torch.rand(3).tolist())
    assert len({json.dumps(one) for one in drawn}) == 4
    random_states_of_a_new_rank({"step": 5, "recipe": None}, 1)
    assert torch.rand(3).tolist() == drawn[0]
