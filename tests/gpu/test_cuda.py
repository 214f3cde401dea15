"""What only a GPU can show. Run on a machine with one: python -m pytest -m gpu tests/gpu"""

import numpy as np
import pytest
import torch

from lam_train.agent.answer_passes import Passes, RecordedPasses
from lam_train.agent.generation import Sampling
from lam_train.agent.local_policy import LocalPolicy
from lam_train.agent.policy_settings import LocalPolicySettings
from lam_train.batching.layout import BatchingSettings
from lam_train.language.sample import Sample, Samples, Segment
from lam_train.language.step_format import StepFormat
from lam_train.model.head import BYTES_IN_WORK, ChunkedHead, log_probabilities
from lam_train.model.layers import compile_layers
from lam_train.model.load import ModelSettings, load_model
from lam_train.model.trainable import TrainableModel
from lam_train.phases.run import run
from lam_train.recipe import compose_recipe
from tests.conftest import base_overrides, metrics
from tests.hand_made import trajectory
from tests.invariant.test_parted_loading import saved
from tests.invariant.test_trees import FORESTS, loss_and_gradients, samples_of, tiny
from tests.unit import test_phase4b as phase4b
from tests.unit.test_agent_generation import Adversary, assert_same, built, by_definition, generator, prompts
from tests.unit.test_objectives import NAMES, cases
from tests.unit.test_ppo import pack_of

judged = phase4b.judged  # the fixture

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")]


# transformers computes norms in fp32 in a float64 model too, and a GPU adds up in another order for other batches
ROUNDED = 1e-4
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


@pytest.mark.parametrize(
    ("kind", "tolerance", "compiled"),
    [(torch.float32, 1e-3, False), (torch.bfloat16, 2e-2, False), (torch.bfloat16, 2e-2, True)],
)
def test_a_row_that_is_one_long_sample_is_attention_with_a_dense_mask(kind, tolerance, compiled):
    """By the kernels made for that, between rows that are not: loss and every gradient, against exact ones in fp32."""
    torch.set_float32_matmul_precision("highest")
    rng = np.random.default_rng(0)
    lots = []
    for lengths in ((2200,), (700, 200), (4000,)):
        drawn = [rng.integers(5, 60, length).astype(np.int32) for length in lengths]
        lots.append(Samples([Sample(str(i), (Segment(t[:9]), Segment(t[9:], 1.0))) for i, t in enumerate(drawn)]))
    results = []
    for attention, dtype in (("dense", torch.float32), ("auto", kind)):
        causal = load_model(ModelSettings(source="tiny", attention=attention))
        model = TrainableModel(causal).to("cuda", dtype)
        if compiled and attention == "auto":
            compile_layers(causal)
        original = model.forward
        model.forward = lambda pack, original=original: original(pack.to(torch.device("cuda"))).cpu()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            settings = BatchingSettings(max_tokens=4096, workers=0)
            results.append([loss_and_gradients(model, lot, settings) for lot in lots])
        kernels = {event.key for event in profile.key_averages()}
    for (loss, gradients, _), (other_loss, other_gradients, _) in zip(*results, strict=True):
        assert other_loss == pytest.approx(loss, rel=tolerance)
        for key, gradient in gradients.items():
            assert (gradient - other_gradients[key].float()).norm() < tolerance * gradient.norm(), key
    made_for_it = ("fmha",) if kind == torch.float32 else ("sdpa", "flash")
    assert any(name in kernel for kernel in kernels for name in made_for_it)
    assert any("flex_attention" in kernel for kernel in kernels)


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


@pytest.mark.parametrize(
    ("stage", "loaded"),
    [(stage, "whole") for stage in ("zero0", "zero2", "zero3", "zero3-offload")]
    + [(stage, "in parts") for stage in ("zero3", "zero3-offload")],
)
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_phase1_trains_and_goes_on_on_a_gpu(plans, tmp_path, stage, dtype, loaded):
    overrides = [*base_overrides(plans), f"engine={stage}", f"engine.dtype={dtype}", f"run_dir={tmp_path}/run"]
    if loaded == "in parts":
        overrides += [f"model.path={saved(tmp_path / 'pretrained')}"]
    overrides += ["launch.processes=1", "checkpoint.every_steps=1", "export.at_end=true", "trainer.schedule=constant"]
    for steps in (1, 3):
        more = [*overrides, f"trainer.max_steps={steps}"]
        assert run(compose_recipe(more), more) == 0
    rows = metrics(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2, 3] and rows[2]["loss"] < rows[0]["loss"]


@pytest.mark.parametrize("name", list(cases()))
def test_no_objective_waits_for_the_gpu(name):
    learn, outputs = cases()[name]
    pack, outputs = pack_of(*NAMES).to(torch.device("cuda")), outputs.to("cuda").requires_grad_()
    torch.cuda.set_sync_debug_mode("error")
    try:
        learn(outputs, pack).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("entropies", [False, True])
@pytest.mark.parametrize("at_once", [1, 10, 1000])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_the_head_gives_what_autograd_gives_in_fp64(dtype, tolerance, at_once, entropies):
    """Of 300 targets: a chunk of 1, 10 or all, and the slopes of some of them or all kept."""
    torch.set_float32_matmul_precision("highest")
    torch.manual_seed(0)
    weight_VD, hidden_ND = torch.randn(997, 64, device="cuda") / 8, torch.randn(300, 64, device="cuda")
    targets_N, weights_N = torch.randint(997, (300,), device="cuda"), torch.rand(300, device="cuda")
    found = []
    for kind in (torch.float64, dtype):
        head = torch.nn.Linear(64, 997, bias=False, device="cuda", dtype=kind)
        with torch.no_grad():
            head.weight.copy_(weight_VD.to(dtype))
        given = hidden_ND.to(dtype).to(kind).requires_grad_()
        if kind == torch.float64:
            outputs = log_probabilities(head(given), targets_N, entropies)
        else:
            head.__class__, head.logits_budget = ChunkedHead, 2 * at_once * BYTES_IN_WORK * 997
            outputs = head(given, targets_N, entropies)
        logprobs = outputs[0] if entropies else outputs
        (logprobs * weights_N).sum().backward()
        found.append((outputs.detach().double(), head.weight.grad.double(), given.grad.double()))
    for exact, mine in zip(*found, strict=True):
        assert (mine - exact).norm() < tolerance * exact.norm()


@pytest.mark.parametrize("name", ["llama, as loaded", "sliding window", "windows in some layers"])
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_answers_with_cache_and_guesses_are_those_by_definition(name, batch_size):
    """In float64, so that what is left of a difference is a mistake; guesses right, wrong and none."""
    model, given = built(name).to("cuda"), prompts()
    wanted = [by_definition(model, prompt) for prompt in given]
    writes = generator(model, batch_size=batch_size, speculative_tokens=5)
    assert_same(writes.write(given), wanted, ROUNDED)
    writes.guesses = Adversary({tuple(p): answer.tokens for p, answer in zip(given, wanted, strict=True)})
    assert_same(writes.write(given), wanted, ROUNDED)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_recorded_passes_write_what_others_write(kind):
    """The second time all shapes are known and there is something to guess from; more prompts move the buffers."""
    model = built("llama, as loaded").to("cuda", kind)
    plain, recorded = (generator(model, speculative_tokens=5, cuda_graphs=on) for on in (False, True))
    assert type(recorded.passes) is RecordedPasses and type(plain.passes) is Passes
    few = prompts()[:5]
    for given in (few, few, prompts(40), few):
        found, wanted = recorded.write(given), plain.write(given)
        if kind == torch.float32:
            assert_same(found, wanted, ROUNDED)
        else:
            firsts = [(one.logprobs[0], other.logprobs[0]) for one, other in zip(found, wanted, strict=True)]
            assert sum(abs(one - other) for one, other in firsts) / len(firsts) < 0.05
    recordings = recorded.passes._recordings.values()
    assert any(recording._replay for recording in recordings)


def test_guesses_change_no_sample():
    model = built("llama, as loaded").to("cuda")
    drawn = [
        generator(model, batch_size=4, speculative_tokens=count, sampling=Sampling(1.0, 0.9, seed=3))
        for count in (0, 8)
    ]
    for _ in range(2):  # the second time there is something to guess from
        plain, guessed = (writes.write(prompts()) for writes in drawn)
        assert_same(guessed, plain, ROUNDED)


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0, "top_p": 0.9}])
def test_a_policy_whose_answers_are_constrained_acts(dtype, sampling):
    pytest.importorskip("llguidance")
    given = {"constrained": True, "max_new_tokens": 400, "device": "cuda", "dtype": dtype, **sampling}
    policy = LocalPolicy.load(ModelSettings(source="tiny"), StepFormat(kind="compact"), LocalPolicySettings(**given))
    for _ in range(2):  # the second time there is something to guess from
        for decision in policy.decide([state for number in range(3) for state in trajectory(number).states()]):
            assert decision.action is not None and decision.answer_tokens[-1] in policy.end_ids


def test_ppo_samples_judges_and_learns_on_a_gpu(judged, tmp_path):
    assert phase4b.run(judged, tmp_path / "ppo", *phase4b.SAMPLED, "launch.processes=1") == 0
    rows = metrics(tmp_path / "ppo")
    assert [row["iteration"] for row in rows] == [0] * 4 + [1] * 4
    assert rows[0]["ratio"] == pytest.approx(1, abs=1e-5) and rows[0]["kl"] == pytest.approx(0, abs=1e-5)
    assert rows[4]["kl"] > 0 and (tmp_path / "ppo/model/model.safetensors").exists()
