"""What only a GPU can show. Run on a machine with one: python -m pytest -m gpu tests/gpu"""

import pytest
import torch

from lam_train.batching.layout import BatchingSettings
from lam_train.model.layers import compile_layers
from lam_train.model.load import ModelSettings, load_model
from lam_train.model.trainable import TrainableModel
from lam_train.phases.run import run
from lam_train.recipe import compose_recipe
from tests.conftest import base_overrides, metrics
from tests.invariant.test_trees import FORESTS, loss_and_gradients, samples_of, tiny

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")]


COMPILED = ("three levels", "several trees in a row")  # compiling takes long


@pytest.mark.parametrize(
    ("name", "compiled", "window"),
    [(name, False, None) for name in FORESTS]
    + [(name, True, None) for name in COMPILED]
    + [(name, compiled, 8) for name in COMPILED for compiled in (False, True)],
)
def test_flex_attention_and_compiled_layers_are_attention_with_a_dense_mask(name, compiled, window):
    """In fp32 with exact products: loss and every gradient, of a model with grouped keys, and with a window."""
    torch.set_float32_matmul_precision("highest")
    samples, results = samples_of(name), []
    for attention in ("dense", "flex"):
        model = TrainableModel(load_model(ModelSettings(source="tiny", attention=attention))).to("cuda")
        model.causal.config.sliding_window = window
        if compiled and attention == "flex":
            compile_layers(model.causal)
        original = model.forward
        model.forward = lambda pack, original=original: original(pack.to(torch.device("cuda"))).cpu()
        results.append(loss_and_gradients(model, samples, BatchingSettings(workers=0)))
    (loss, gradients, _), (other_loss, other_gradients, _) = results
    assert other_loss == pytest.approx(loss, rel=1e-4)
    for key, gradient in gradients.items():
        assert (gradient - other_gradients[key]).norm() < 1e-3 * gradient.norm(), key


@pytest.mark.parametrize("name", FORESTS)
def test_forest_in_bf16_agrees_with_samples_one_by_one(name):
    """bf16 rounds differently in every layout: gradients point the same way, cosine above 0.999."""
    model = tiny().to("cuda", torch.bfloat16)
    samples = samples_of(name)
    original = model.forward
    model.forward = lambda pack: original(pack.to(torch.device("cuda"))).cpu()
    expected, expected_gradients, _ = loss_and_gradients(
        model, samples, BatchingSettings(share_prefixes=False, micro_batch_size=1, workers=0)
    )
    loss, gradients, _ = loss_and_gradients(model, samples, BatchingSettings(workers=0))
    assert loss == pytest.approx(expected, rel=1e-2)
    for key, gradient in gradients.items():
        cosine = torch.nn.functional.cosine_similarity(
            gradient.float().flatten(), expected_gradients[key].float().flatten(), dim=0
        )
        assert cosine > 0.999, key


@pytest.mark.parametrize("stage", ["zero0", "zero2", "zero3", "zero3-offload"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_phase1_trains_and_goes_on_on_a_gpu(plans, tmp_path, stage, dtype):
    overrides = [*base_overrides(plans), f"engine={stage}", f"engine.dtype={dtype}", f"run_dir={tmp_path}/run"]
    overrides += ["launch.processes=1", "checkpoint.every_steps=1", "export.at_end=true", "trainer.schedule=constant"]
    for steps in (1, 3):
        more = [*overrides, f"trainer.max_steps={steps}"]
        assert run(compose_recipe(more), more) == 0
    rows = metrics(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2, 3] and rows[2]["loss"] < rows[0]["loss"]
