"""Which checkpoint is the newest, and which are kept."""

import json

import pytest

from lam_train.errors import UserError
from lam_train.train.checkpoint import STATE_KEYS, Checkpoints, CheckpointSettings, find_checkpoint, newest_checkpoint
from lam_train.train.distributed import World


def make(folder, step: int, complete: bool = True, loss: float | None = None) -> None:
    place = folder / (f"step-{step:08d}" + ("" if complete else ".incomplete"))
    place.mkdir(parents=True)
    (place / "a.safetensors").touch()
    state = dict.fromkeys(STATE_KEYS) | {"step": step, "files": {"w.weight": "a.safetensors"}, "validation_loss": loss}
    (place / "state.json").write_text(json.dumps(state))


def point(folder, name: str, step: int) -> None:
    (folder / name).write_text(f"step-{step:08d}\n")


def test_the_newest_is_the_one_latest_names_and_without_it_the_highest_step(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    for step in (10, 20, 30):
        make(tmp_path, step)
    assert newest_checkpoint(tmp_path).step == 30
    point(tmp_path, "latest", 20)  # a run went back to 10 and wrote 20 anew; 30 is from before
    assert newest_checkpoint(tmp_path).step == 20
    point(tmp_path, "latest", 40)  # it was removed by hand
    assert newest_checkpoint(tmp_path).step == 30


def test_what_is_incomplete_is_never_the_newest(tmp_path):
    make(tmp_path, 10)
    make(tmp_path, 20, complete=False)
    make(tmp_path, 30)
    (tmp_path / "step-00000030" / "state.json").write_text('{"step": 30, "fil')
    make(tmp_path, 40)
    (tmp_path / "step-00000040" / "a.safetensors").unlink()
    assert newest_checkpoint(tmp_path).step == 10


@pytest.mark.parametrize("content", ["{}", "[]", '{"step": 3}', "no json", "\xff"])
def test_a_state_that_is_not_one_is_the_users_mistake(tmp_path, content):
    make(tmp_path, 10)
    (tmp_path / "step-00000010" / "state.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match="checkpoint"):
        find_checkpoint(tmp_path / "step-00000010")


def test_a_run_directory_or_a_checkpoint_is_found_by_its_path(tmp_path):
    make(tmp_path / "run" / "checkpoints", 10)
    for path in ("run", "run/checkpoints", "run/checkpoints/step-00000010"):
        assert find_checkpoint(tmp_path / path).step == 10
    with pytest.raises(UserError, match="no complete checkpoint"):
        find_checkpoint(tmp_path)


def test_the_last_and_the_best_are_kept(tmp_path):
    for step, loss in ((10, 1.0), (20, 2.0), (30, None), (40, 3.0), (90, 1.5)):
        make(tmp_path, step, loss=loss)
    point(tmp_path, "latest", 40)  # 90 was left behind by a run that went back
    kept = Checkpoints(tmp_path, CheckpointSettings(keep_last=2), World(0, 1, 0, 1))
    kept._prune()
    assert {f.name for f in tmp_path.glob("step-*")} == {"step-00000010", "step-00000030", "step-00000040"}
    Checkpoints(tmp_path, CheckpointSettings(keep_last=1, keep_best=False), World(0, 1, 0, 1))._prune()
    assert {f.name for f in tmp_path.glob("step-*")} == {"step-00000040"}


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_a_loss_that_is_not_finite_is_never_the_best(tmp_path, odd):
    kept = Checkpoints(tmp_path, CheckpointSettings(keep_last=1), World(0, 1, 0, 1))
    make(tmp_path, 10, loss=odd)
    assert kept.best() is None
    for step, loss in ((20, 2.0), (30, 1.0), (40, 1.5), (50, odd)):
        make(tmp_path, step, loss=loss)
    assert kept.best().name == "step-00000030"
    kept._prune()
    assert {f.name for f in tmp_path.glob("step-*")} == {"step-00000030", "step-00000050"}
