"""Nothing learned depends on layout: micro-batches, ranks, ZeRO stage. And the trainer is plain torch's AdamW."""

import json

import pytest
import torch
from safetensors import safe_open

from lam_train.batching.layout import BatchingSettings
from lam_train.batching.loader import Loader
from lam_train.language.conversation import Language
from lam_train.language.data import read_samples
from lam_train.language.sample import Samples
from lam_train.model.load import ModelSettings, load_model, load_tokenizer
from lam_train.model.trainable import TrainableModel
from lam_train.objectives.imitation import imitation_loss
from lam_train.train.checkpoint import newest_checkpoint
from lam_train.train.schedule import learning_rate
from tests.conftest import metrics

STEPS = 3
SHORT = ["trainer.max_steps=3", "trainer.batch_size=8", "checkpoint.every_steps=null"]
STAGES = ["zero0", "zero1", "zero2", "zero3", "zero3-offload"]


@pytest.fixture(scope="module")
def one_rank(train_cases, plans):
    cases = {
        "(8, 1)": [*SHORT, "batching.micro_batch_size=8"],
        "(1, 8)": [*SHORT, "batching.micro_batch_size=1"],
        "no sharing": [*SHORT, "batching.share_prefixes=false"],
        "small rows": [*SHORT, "batching.max_tokens=450"],
        "checkpointed activations": [*SHORT, "model.gradient_checkpointing=true"],
        "head in chunks": [*SHORT, "model.logits_budget=100000"],
        "validated": [*SHORT, f"data.validation={plans}/validation.jsonl"],
        "no clipping": [*SHORT, "trainer.gradient_clipping=0"],
        "no clipping, stage 2": [*SHORT, "trainer.gradient_clipping=0", "engine=zero2"],
        "hard clipping": [*SHORT, "trainer.gradient_clipping=0.1", "trainer.eps=0.1"],
        "hard clipping, stage 1": [*SHORT, "trainer.gradient_clipping=0.1", "trainer.eps=0.1", "engine=zero1"],
        **{f"bf16 {stage}": [*SHORT, f"engine={stage}", "engine.dtype=bf16"] for stage in STAGES[:4]},
        **{stage: [*SHORT, f"engine={stage}"] for stage in STAGES},
    }
    return train_cases(cases, ranks=1)


@pytest.fixture(scope="module")
def two_ranks(train_cases, plans):
    cases = {f"2 x {stage}": [*SHORT, f"engine={stage}"] for stage in STAGES}
    cases["2 x 4"] = [*SHORT, "batching.micro_batch_size=4"]
    shared = [*SHORT, "engine.sequence_parallel=2"]
    cases |= {f"shared, {stage}": [*shared, f"engine={stage}"] for stage in STAGES}
    cases["shared, checkpointed"] = [*shared, "model.gradient_checkpointing=true"]
    cases["shared, bf16 zero1"] = [*shared, "engine=zero1", "engine.dtype=bf16"]
    cases["shared, validated"] = [*shared, f"data.validation={plans}/validation.jsonl"]
    cases["2 x zero3, head in chunks"] = [*SHORT, "engine=zero3", "model.logits_budget=100000"]
    return train_cases(cases, ranks=2)


@pytest.fixture(scope="module")
def four_ranks(train_cases):
    """Two pairs of ranks, each pair with rows of its own."""
    pairs = [*SHORT, "engine.sequence_parallel=2", "batching.micro_batch_size=2"]
    return train_cases({"2 x 2": pairs, "2 x 2, zero3": [*pairs, "engine=zero3"]}, ranks=4)


def weights(run_dir) -> dict[str, torch.Tensor]:
    checkpoint = newest_checkpoint(run_dir / "checkpoints")
    return {name: checkpoint.read_tensor(name, "weight") for name in checkpoint.state["shapes"]}


def assert_same_training(run_dir, other, loss=2e-6, weight=2e-5):
    ours, theirs = metrics(run_dir), metrics(other)
    assert len(ours) == len(theirs) == STEPS
    for a, b in zip(ours, theirs, strict=True):
        assert a["samples"] == b["samples"] and a["lr"] == b["lr"]
        assert a["loss"] == pytest.approx(b["loss"], rel=loss)
        assert a["grad_norm"] == pytest.approx(b["grad_norm"], rel=50 * loss)
        assert a["tokens_logical"] == b["tokens_logical"] and a["tokens_supervised"] == b["tokens_supervised"]
    mine, their = weights(run_dir), weights(other)
    assert mine.keys() == their.keys()
    for name in mine:
        assert (mine[name] - their[name]).norm() <= weight * their[name].norm() + 1e-6, name


@pytest.mark.parametrize(
    "name", ["(1, 8)", "no sharing", "small rows", "checkpointed activations", "head in chunks", "zero0"]
)
def test_micro_batches_and_sharing_are_layout(one_rank, name):
    assert_same_training(one_rank[name], one_rank["(8, 1)"])


def test_the_layouts_are_really_different(one_rank):
    count = {name: metrics(one_rank[name])[0]["micro_batches"] for name in ("(8, 1)", "(1, 8)", "small rows")}
    assert count["(8, 1)"] == 1 and count["(1, 8)"] == 8 and 1 < count["small rows"] < 8
    assert metrics(one_rank["no sharing"])[0]["tree_ratio"] == 1 < metrics(one_rank["zero0"])[0]["tree_ratio"]


def test_two_ranks_of_four_are_one_of_eight(one_rank, two_ranks):
    assert_same_training(two_ranks["2 x 4"], one_rank["(8, 1)"])


@pytest.mark.parametrize("stage", STAGES[1:])
def test_zero_stages_are_layout_on_one_rank(one_rank, stage):
    assert_same_training(one_rank[stage], one_rank["zero0"])


@pytest.mark.parametrize("stage", STAGES)
def test_zero_stages_are_layout_on_two_ranks(one_rank, two_ranks, stage):
    assert_same_training(two_ranks[f"2 x {stage}"], one_rank["zero0"])


@pytest.mark.parametrize("name", [*STAGES, "checkpointed", "validated"])
def test_rows_that_two_ranks_share_are_layout(one_rank, two_ranks, name):
    """Each row is on both ranks: as many micro-batches as one rank has, each once in every count."""
    found, alone = two_ranks[f"shared, {name}"], one_rank["zero0"]
    assert_same_training(found, alone)
    for a, b in zip(metrics(found), metrics(alone), strict=True):
        assert a["micro_batches"] == b["micro_batches"] and a["tokens_physical"] == b["tokens_physical"]


def test_rows_that_two_ranks_share_are_validated_once(one_rank, two_ranks):
    [found], [alone] = (metrics(x, "validation") for x in (two_ranks["shared, validated"], one_rank["validated"]))
    assert found["loss"] == pytest.approx(alone["loss"], rel=2e-6)
    assert found["tokens_supervised"] == alone["tokens_supervised"]


def test_rows_that_two_ranks_share_agree_with_bf16_as_bf16_can(one_rank, two_ranks):
    assert_same_training(two_ranks["shared, bf16 zero1"], one_rank["bf16 zero1"], loss=2e-4, weight=3e-3)


@pytest.mark.parametrize("name", ["2 x 2", "2 x 2, zero3"])
def test_two_pairs_of_ranks_are_layout(one_rank, four_ranks, name):
    assert_same_training(four_ranks[name], one_rank["zero0"])
    assert metrics(four_ranks[name])[0]["micro_batches"] == 2


def test_a_head_in_chunks_is_layout_where_its_weight_is_sharded(one_rank, two_ranks):
    assert_same_training(two_ranks["2 x zero3, head in chunks"], one_rank["zero0"])


@pytest.mark.parametrize("stage", STAGES[1:4])
def test_zero_stages_with_bf16_agree_as_bf16_can(one_rank, stage):
    assert_same_training(one_rank[f"bf16 {stage}"], one_rank["bf16 zero0"], loss=2e-4, weight=3e-3)


def plain_torch(plans, clipping: float, eps: float = 1e-8) -> tuple[list[float], list[float], dict[str, torch.Tensor]]:
    """The same training in a few lines of torch: no DeepSpeed, no packing; losses, gradient norms, weights."""
    language = Language(load_tokenizer(ModelSettings(source="tiny")))
    samples = Samples(read_samples(f"{plans}/train.jsonl", language, "refuse", "data.train")[0])
    model = TrainableModel(load_model(ModelSettings(source="tiny")))
    adam = torch.optim.AdamW(model.parameters(), lr=1e-3, eps=eps, weight_decay=0.0)
    settings = BatchingSettings(share_prefixes=False, micro_batch_size=1, workers=0)
    losses, norms = [], []
    for batch in Loader(samples, settings, batch_size=8, steps=STEPS, seed=0):
        adam.param_groups[0]["lr"] = learning_rate(batch.step, peak=1e-3, total=STEPS, warmup=2)
        adam.zero_grad()
        loss = sum(imitation_loss(model(pack), pack.weights) for pack in batch.packs) / batch.weight
        loss.backward()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), clipping or float("inf")).item())
        adam.step()
        losses.append(loss.item())
    return losses, norms, {name: p.detach() for name, p in model.named_parameters()}


@pytest.mark.parametrize(
    ("name", "clipping", "eps"),
    [
        ("zero0", 1.0, 1e-8),
        ("no clipping", 0.0, 1e-8),
        ("no clipping, stage 2", 0.0, 1e-8),
        ("hard clipping", 0.1, 0.1),  # a large eps: Adam alone would undo any scaling of the gradient
        ("hard clipping, stage 1", 0.1, 0.1),
    ],
)
def test_training_is_plain_torch(one_rank, plans, name, clipping, eps):
    """Also the guard against DeepSpeed's default clipping: without clipping nothing clips."""
    losses, norms, expected = plain_torch(plans, clipping, eps)
    rows = metrics(one_rank[name])
    assert [row["loss"] for row in rows] == pytest.approx(losses, rel=2e-6)
    assert [row["grad_norm"] for row in rows] == pytest.approx(norms, rel=1e-4)
    assert max(norms) > 1  # there is something to clip
    for key, tensor in weights(one_rank[name]).items():
        assert torch.allclose(tensor, expected[key], atol=2e-6), key


def test_hard_clipping_changes_what_is_learned(plans):
    """The oracle itself notices clipping: with it the weights differ."""
    clipped, free = plain_torch(plans, 0.1, 0.1)[2], plain_torch(plans, 0.0, 0.1)[2]
    assert any(not torch.allclose(clipped[name], free[name], atol=2e-6) for name in free)


@pytest.mark.parametrize("ranks", [1, 2])
def test_learning_rates_are_the_schedules_for_any_world_and_accumulation(one_rank, two_ranks, ranks):
    expected = [learning_rate(s, peak=1e-3, total=STEPS, warmup=2) for s in range(STEPS)]
    for name, folder in (one_rank if ranks == 1 else two_ranks).items():
        assert [row["lr"] for row in metrics(folder)] == expected, name


def test_a_checkpoint_holds_the_fp32_master_weights_of_bf16(one_rank):
    """Master weights are finer than bf16: updates far below bf16's resolution are kept."""
    checkpoint = newest_checkpoint(one_rank["bf16 zero2"] / "checkpoints")
    name = next(iter(checkpoint.state["shapes"]))
    tensor = checkpoint.read_tensor(name, "weight")
    assert tensor.dtype == torch.float32 and not torch.equal(tensor, tensor.bfloat16().float())


def test_run_directory_is_complete(one_rank):
    folder = one_rank["zero0"]
    for name in ("recipe.yaml", "versions.json", "metrics.jsonl", "log", "loss.png", "throughput.png"):
        assert (folder / name).stat().st_size > 0, name
    row = metrics(folder)[0]
    assert {"step", "loss", "lr", "grad_norm", "samples", "tokens_physical", "tokens_logical"} <= row.keys()
    assert {"tokens_supervised", "seconds", "tree_ratio", "memory_gib"} <= row.keys()
    assert json.loads((folder / "versions.json").read_text())["torch"]
    state = folder / "checkpoints" / (folder / "checkpoints" / "latest").read_text().strip()
    with safe_open(next(state.glob("*.safetensors")), framework="pt") as file:
        assert len(file.keys()) % 3 == 0
