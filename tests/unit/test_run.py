"""A recipe from Python: what the command does, its errors raised."""

import pytest

import lam_train
from lam_train.errors import UserError
from tests.conftest import base_overrides, metrics


def test_it_trains_as_the_command_does(plans, tmp_path):
    lam_train.run(*base_overrides(plans), "trainer.max_steps=2", f"run_dir={tmp_path}/run")
    assert [row["step"] for row in metrics(tmp_path / "run")] == [1, 2]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_mistake_is_raised_as_one(plans, tmp_path, processes):
    wrong = [f"data.train={tmp_path}/missing.jsonl", f"launch.processes={processes}", f"run_dir={tmp_path}/run"]
    with pytest.raises(UserError):
        lam_train.run(*base_overrides(plans), *wrong)


def test_a_folder_of_recipes_that_does_not_exist_is_refused(plans):
    with pytest.raises(UserError, match="--config-dir nowhere: no such folder"):
        lam_train.run(*base_overrides(plans), config_dir="nowhere")
