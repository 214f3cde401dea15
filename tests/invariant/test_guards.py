"""A guard for each way in which training goes wrong silently. Each test fails when its guard is taken out."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from lam_train.batching.layout import BatchingSettings
from lam_train.batching.loader import Loader
from lam_train.errors import Fault
from lam_train.language.conversation import Language
from lam_train.language.data import read_samples
from lam_train.language.sample import Samples
from lam_train.model.load import ModelSettings, load_model, load_tokenizer
from lam_train.model.trainable import TrainableModel
from lam_train.objectives.imitation import imitation, imitation_loss
from lam_train.train.checkpoint import Checkpoints, CheckpointSettings, newest_checkpoint
from lam_train.train.distributed import LaunchSettings, join_world, leave_world
from lam_train.train.engine import BUCKET, EngineSettings, adam_of, deepspeed_config
from lam_train.train.engine_state import stepped_tensors
from lam_train.train.metrics import METRICS, MetricsFile
from lam_train.train.trackers import NoTracker
from lam_train.train.trainer import Trainer, TrainerSettings
from tests.conftest import ROOT, base_overrides

STAGES = [0, 1, 2, 3]


@pytest.fixture
def world():
    yield join_world(LaunchSettings(threads=1))
    leave_world()


@pytest.fixture
def make_trainer(world, plans, tmp_path):
    """A trainer on the tiny model, with whatever is to be changed about it."""

    def make(stage=0, dtype="fp32", objective=imitation, every=1, steps=4, causal=None, lr=1e-3):
        language = Language(load_tokenizer(ModelSettings(source="tiny")))
        samples = Samples(read_samples(f"{plans}/train.jsonl", language, "refuse", "data.train")[0])
        dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16}
        causal = causal or load_model(ModelSettings(source="tiny"), dtypes[dtype])
        return Trainer(
            TrainableModel(causal),
            objective,
            Loader(samples, BatchingSettings(workers=0), batch_size=8, steps=steps, seed=0),
            None,
            settings=TrainerSettings(lr=lr, schedule="constant", warmup_steps=0, batch_size=8),
            engine_settings=EngineSettings(zero_stage=stage, dtype=dtype),
            checkpoints=Checkpoints(tmp_path / "checkpoints", CheckpointSettings(every_steps=every), world),
            metrics=MetricsFile(tmp_path / "metrics.jsonl"),
            tracker=NoTracker(),
            world=world,
        )

    return make


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    from lam_train.train.export import live_weights

    return {name: tensor.clone() for name, tensor in live_weights(trainer.engine)}


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("stage", STAGES[1:])
def test_gradients_exchanged_and_stepped_in_lots_smaller_than_a_matrix_are_the_same(
    make_trainer, monkeypatch, stage, dtype
):
    trained = []
    for lot in (BUCKET, 2000):
        monkeypatch.setattr("lam_train.train.engine.BUCKET", lot)
        trainer = make_trainer(stage, dtype, every=None)
        assert getattr(trainer.engine.optimizer, "reduce_bucket_size", lot) == lot  # stage 1 has none in bf16
        if stage == 3:
            assert (len(stepped_tensors(trainer.engine)) > 1) == (lot == 2000)
        trainer.fit()
        trained.append(weights(trainer))
    for name, weight in trained[0].items():
        assert (trained[1][name] - weight).norm() <= 1e-5 * weight.norm(), name


@pytest.mark.parametrize("stage", STAGES)
def test_a_gradient_that_is_not_finite_stops_before_the_update(make_trainer, tmp_path, stage):
    trainer = make_trainer(stage)
    batches = iter(trainer.loader)
    trainer.record(trainer._train_step(next(batches), 0.0))
    trainer._after_step()
    before = weights(trainer)
    trainer.engine.module.causal.lm_head.register_full_backward_hook(
        lambda module, grad_in, grad_out: tuple(
            g * float("inf") if g is not None and g.is_floating_point() else g for g in grad_in
        )
    )
    batch = next(batches)
    with pytest.raises(Fault) as fault:
        trainer._train_step(batch, 0.0)
    assert "gradient is not finite" in str(fault.value) and "checkpoint of step 1" in str(fault.value)
    assert all(sample in str(fault.value) for sample in batch.samples)
    after = weights(trainer)
    assert before and all(torch.equal(before[name], after[name]) for name in before)
    assert newest_checkpoint(tmp_path / "checkpoints").step == 1


def test_a_norm_that_overflows_stops_before_the_update(make_trainer):
    """Every gradient is finite, their norm is not: noticed inside the optimizer's step, before it moves anything."""
    trainer = make_trainer()
    batches = iter(trainer.loader)
    trainer._train_step(next(batches), 0.0)
    before = weights(trainer)
    trainer.engine.module.causal.lm_head.weight.register_hook(lambda gradient: gradient * 1e24)
    with pytest.raises(Fault, match="gradient norm over all ranks is inf; no weight was updated"):
        trainer._train_step(next(batches), 0.0)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(trainer).items())


@pytest.mark.parametrize("stage", STAGES)
def test_bf16_gradients_add_up_in_fp32(make_trainer, stage):
    trainer = make_trainer(stage, dtype="bf16")
    assert trainer.engine.get_data_types() == (torch.bfloat16, torch.float32)


@pytest.mark.parametrize("stage", [0, 2])
def test_a_loss_that_is_not_finite_names_its_samples(make_trainer, stage):
    trainer = make_trainer(stage)
    batch = next(iter(trainer.loader))
    guilty = batch.samples[3]
    samples = trainer.loader.plan.samples
    start = samples.offsets[samples.ids.index(guilty)]
    at = int(samples.offsets[samples.ids.index(guilty) + 1]) - 1
    assert samples._weights[at] and at > start
    samples._weights[at] = float("inf")
    before = weights(trainer)
    poisoned = trainer.loader.dataset[0]
    object.__setattr__(poisoned, "weight", batch.weight)
    trainer.loader.next_step = 0
    with pytest.raises(Fault) as fault:
        # The weights do not add up to the plan's any more; that check has a test of its own.
        trainer._stop_if_not_finite(poisoned, *_forward(trainer, poisoned))
    assert f"samples: {guilty}." in str(fault.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in weights(trainer).items())


def _forward(trainer, batch):
    kept = [(pack, trainer.engine(pack).detach()) for pack in batch.packs]
    loss = sum(float(imitation_loss(logprobs, pack.weights)) for pack, logprobs in kept)
    return loss, 0.0, kept


def test_a_full_gpu_is_told_with_what_would_need_less(make_trainer):
    """The error is PyTorch's own kind, raised where a GPU would raise it: in the second step's pass."""
    passes = []

    def objective(outputs, pack):
        passes.append(len(pack.tokens))
        if trainer.step == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return imitation(outputs, pack)

    trainer = make_trainer(objective=objective)
    with pytest.raises(Fault) as fault:
        trainer.fit()
    told = str(fault.value)
    assert told.startswith(f"step 2: the GPU's memory is full; this rank's longest row has {passes[-1]:,} tokens")
    for part in ("checkpoint of step 1", "gradient_checkpointing", "max_tokens", "expandable_segments", "2.00 GiB"):
        assert part in told


def test_ranks_that_disagree_with_the_plan_are_noticed(make_trainer):
    """The loss is divided by the plan's global weight; a rank that holds other targets would scale it silently."""
    trainer = make_trainer()
    batch = next(iter(trainer.loader))
    object.__setattr__(batch, "weight", batch.weight * 2)
    with pytest.raises(Fault, match="the plan says"):
        trainer._train_step(batch, 0.0)


@pytest.mark.parametrize(("stage", "kind"), [(1, "DeepSpeedZeroOptimizer"), (3, "DeepSpeedZeroOptimizer_Stage3")])
def test_the_engine_is_deepspeed_on_a_cpu(make_trainer, stage, kind):
    """accelerate's plugin would silently be DistributedDataParallel here."""
    trainer = make_trainer(stage)
    assert type(trainer.engine).__name__ == "DeepSpeedEngine"
    assert type(trainer.engine.optimizer).__name__ == kind
    assert trainer.engine.zero_optimization_stage() == stage


@pytest.mark.parametrize("clipping", [0.0, 0.7])
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_clipping_is_always_written(stage, dtype, clipping):
    """DeepSpeed clips at 1.0 where the key is left out."""
    config = deepspeed_config(EngineSettings(zero_stage=stage, dtype=dtype), clipping)
    ours = stage == 0 and dtype == "fp32"  # clipped by train/gradients.py
    assert config["gradient_clipping"] == (0.0 if ours else clipping)


@pytest.mark.parametrize("stage", STAGES)
def test_bf16_starts_adam_at_step_zero_and_keeps_tiny_updates(make_trainer, stage):
    """DeepSpeed's own stage 0 with bf16 starts Adam's count at 1; weights in bf16 alone would round updates away."""
    trainer = make_trainer(stage, dtype="bf16", lr=1e-6, steps=3)
    start = weights(trainer)
    for done, batch in enumerate(trainer.loader, start=1):
        trainer._train_step(batch, 0.0)
        steps = {int(state["step"]) for state in adam_of(trainer.engine).state.values()}
        assert steps == {done}
    moved = weights(trainer)
    name = "causal.model.norm.weight"  # ones: bf16 cannot hold 1 + 3e-6
    assert moved[name].dtype == torch.float32
    change = (moved[name] - start[name]).abs()
    assert 0 < change.max() < 1e-5
    assert torch.equal(moved[name].bfloat16(), start[name].bfloat16())


def test_padding_is_masked_by_length_so_the_stop_token_is_learned():
    """SmolLM2 has pad = eos = <|im_end|>: a mask by id would lose the stop token. So has the tiny tokenizer."""
    tokenizer = load_tokenizer(ModelSettings(source="tiny"))
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    language = Language(tokenizer)
    sample = language.sample([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "x")
    assert sample.weights[-1] == 1 and sample.tokens[-1] == language.end_of_turn_id == tokenizer.pad_token_id


def test_generated_text_of_a_model_trained_here_may_use_the_cache_again():
    """The cache is off while training (transformers loses isolation with it) and on in what is exported."""
    causal = load_model(ModelSettings(source="tiny"))
    assert causal.config.use_cache is False


def test_loading_a_model_does_not_move_the_random_state():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    load_model(ModelSettings(source="tiny"))
    assert torch.equal(torch.rand(3), expected)


def test_no_epoch_is_silent_about_a_step_without_targets(plans):
    from lam_train.errors import UserError
    from lam_train.phases.training import fitting

    language = Language(load_tokenizer(ModelSettings(source="tiny")))
    samples = Samples(read_samples(f"{plans}/train.jsonl", language, "refuse", "data.train")[0])
    samples._weights[samples.offsets[5] : samples.offsets[6]] = 0
    recipe = SimpleNamespace(batching=BatchingSettings())
    with pytest.raises(UserError, match=samples.ids[5]):
        fitting(samples, recipe, "training samples", {})


def test_metrics_rows_have_the_names_that_are_documented(make_trainer):
    trainer = make_trainer(steps=1)
    row = trainer._train_step(next(iter(trainer.loader)), 0.0)
    assert row.keys() - {"kind", "samples"} == METRICS.keys() - {"mfu"}


POISONED = """
import os, sys
import lam_train.__main__ as command
from lam_train.model.trainable import TrainableModel

whole, passes = TrainableModel.forward, []

def forward(self, pack):
    passes.append(pack)
    outputs = whole(self, pack)
    if os.environ["RANK"] == "1" and len(passes) == 2:
        print("guilty:", pack.samples[0], flush=True)
        outputs = outputs.masked_fill(pack.owners == 0, float("nan"))
    return outputs

TrainableModel.forward = forward
command.end(command.main(sys.argv[1:]))
"""


def test_samples_that_are_not_finite_on_another_rank_are_told_once(plans, tmp_path):
    (tmp_path / "poisoned.py").write_text(POISONED)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    small = ["trainer.batch_size=8", "trainer.max_steps=3", "batching.max_tokens=600", f"run_dir={tmp_path}/run"]
    done = subprocess.run(
        [*launcher, str(tmp_path / "poisoned.py"), *base_overrides(plans), *small],
        capture_output=True, text=True, timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    guilty = re.search(r"guilty: (\S+)", done.stdout)[1]
    assert done.returncode == 1
    assert re.findall(r"the loss is not finite; samples: (.*?)\.", done.stderr) == [guilty], done.stderr[-3000:]
