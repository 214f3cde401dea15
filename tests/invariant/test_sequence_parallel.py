"""A row that ranks share gives what it gives on one: outputs, and gradients summed over the ranks."""

import os
import subprocess
import sys

import pytest
import torch

from lam_train.__main__ import main
from lam_train.errors import UserError
from lam_train.model.sequence_parallel import check_shareable
from tests.conftest import ROOT, base_overrides
from tests.sequence_cases import CASES, learned, made


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> dict:
    """Case -> (outputs, gradients), on two ranks that share each row."""
    file = tmp_path_factory.mktemp("sequence") / "found.pt"
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    driver = [str(ROOT / "tests" / "sequence_driver.py"), str(file)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([*start, *driver], capture_output=True, text=True, timeout=600, env=env)
    assert done.returncode == 0, done.stderr[-4000:]
    return torch.load(file)


@pytest.mark.parametrize("name", CASES)
def test_a_shared_row_is_the_row(shared, name):
    outputs, gradients = learned(made(CASES[name]), CASES[name])
    found, found_gradients = shared[name]
    torch.testing.assert_close(found, outputs, rtol=1e-5, atol=1e-6)
    assert found_gradients.keys() == gradients.keys() and (gradients or name == "flex")
    for parameter, gradient in gradients.items():
        assert gradient.abs().max() > 0
        torch.testing.assert_close(found_gradients[parameter], gradient, rtol=1e-4, atol=1e-6, msg=parameter)


CONFIG = {"hidden_size": 144, "num_attention_heads": 8, "num_key_value_heads": 2}


def configuration(type: str = "llama", **sizes):
    from transformers import AutoConfig

    return AutoConfig.for_model(type, **(CONFIG | sizes))


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_heads_that_ranks_can_take_as_many_of(ranks):
    check_shareable(configuration(), ranks)


@pytest.mark.parametrize(
    ("config", "ranks", "said"),
    [
        (configuration(), 3, "8 query heads and 2 key-value heads, and each rank takes as many; possible: 2, 4, 8"),
        (configuration(num_attention_heads=9, num_key_value_heads=3), 2, "possible: 3, 9"),
        (configuration(num_attention_heads=12, num_key_value_heads=4), 6, "possible: 2, 4, 12"),
        (configuration("gemma2"), 2, "models of types llama, mistral, qwen2, qwen3, not gemma2"),
    ],
)
def test_what_cannot_be_shared_is_refused(config, ranks, said):
    with pytest.raises(UserError, match=f"engine.sequence_parallel={ranks}: .*{said}"):
        check_shareable(config, ranks)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ["engine.sequence_parallel=4", "launch.processes=4", "model.attention=dense"],
            "needs model.attention=auto or",
        ),
        (["engine.sequence_parallel=3", "launch.processes=3", "trainer.batch_size=9"], "possible: 2, 4"),
    ],
)
def test_inspection_refuses_what_training_does(plans, caplog, given, said):
    assert main([*base_overrides(plans), "inspect=true", *given]) == 2
    assert said in caplog.text
