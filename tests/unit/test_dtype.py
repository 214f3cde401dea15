"""`auto` is bf16 where the processor multiplies it, and a recipe says what it ran with."""

import pytest
import torch

from lam_train import dtype as dtype_module
from lam_train.agent.policy_settings import LocalPolicySettings
from lam_train.dtype import fast_dtype
from lam_train.recipe import compose_recipe
from lam_train.train.engine import EngineSettings


@pytest.mark.parametrize("found", ["bf16", "fp32"])
def test_auto_becomes_what_is_fast_here(monkeypatch, found):
    monkeypatch.setattr(dtype_module, "fast_dtype", lambda: found)
    assert EngineSettings(dtype="auto").dtype == found
    assert LocalPolicySettings().dtype == found
    assert LocalPolicySettings(dtype="fp32").dtype == "fp32" and EngineSettings().dtype == "fp32"
    recipe = compose_recipe(["+recipe=phase2_small"])
    assert recipe.engine.dtype == found and f"dtype: {found}" in recipe.yaml()


@pytest.mark.skipif(torch.cuda.is_available(), reason="the CPU's instructions decide where there is no GPU")
def test_a_cpu_without_bf16_instructions_calculates_in_fp32():
    found = torch.cpu.get_capabilities()
    if found["architecture"] == "x86_64":
        assert fast_dtype() == ("bf16" if found["avx512_bw"] else "fp32")
    assert fast_dtype() in ("bf16", "fp32")
