"""Stopped and gone on with at every stage, precision and number of ranks: to the bit, or to rounding elsewhere."""

import shutil

import pytest

from tests.conftest import metrics

BASE = ["trainer.batch_size=8", "trainer.schedule=constant", "checkpoint.every_steps=2", "batching.max_tokens=600"]
FIRST, WHOLE = [*BASE, "trainer.max_steps=2"], [*BASE, "trainer.max_steps=4"]
KINDS = {
    "zero0": ["engine=zero0"],
    "zero1": ["engine=zero1"],
    "zero2": ["engine=zero2"],
    "zero3": ["engine=zero3"],
    "offload": ["engine=zero3-offload"],
    "zero0 bf16": ["engine=zero0", "engine.dtype=bf16"],
    "zero2 bf16": ["engine=zero2", "engine.dtype=bf16"],
    "zero3 bf16": ["engine=zero3", "engine.dtype=bf16"],
    "lora with dropout": ["engine=zero0", "model.lora.rank=4", "model.lora.dropout=0.2"],
    "zero3 lora with dropout": ["engine=zero3", "model.lora.rank=4", "model.lora.dropout=0.2"],
}
ON_TWO = ("zero1", "zero2", "zero3", "offload", "zero2 bf16", "zero3 bf16", "zero3 lora with dropout", "zero0")
SAME = ("step", "loss", "grad_norm", "lr", "samples")


@pytest.fixture(scope="module", params=[1, 2])
def runs(request, train_cases):
    cases = {}
    for kind, overrides in KINDS.items():
        cases[f"{kind} whole"] = [*WHOLE, *overrides]
        cases[kind] = [*FIRST, *overrides]
        cases[f"{kind} then on"] = [*WHOLE, *overrides]
    return train_cases(cases, ranks=request.param)


@pytest.mark.parametrize("kind", KINDS)
def test_going_on_is_exact_at_the_same_size_and_stage(runs, kind):
    whole, broken = metrics(runs[f"{kind} whole"]), metrics(runs[kind])
    assert [[row[key] for key in SAME] for row in broken] == [[row[key] for key in SAME] for row in whole]
    assert len(whole) == 4 and whole[0]["micro_batches"] >= 1
    assert "going on from" in (runs[kind] / "log").read_text()


@pytest.fixture(scope="module")
def one_rank(train_cases):
    return train_cases({kind: [*FIRST, *KINDS[kind]] for kind in ("zero0", "zero2", "zero3", "zero2 bf16")}, ranks=1)


@pytest.mark.parametrize(
    ("saved", "gone_on"),
    [("zero0", "zero3"), ("zero2", "zero0"), ("zero3", "zero2"), ("zero3", "offload"), ("zero2 bf16", "zero3 bf16")],
)
def test_one_rank_goes_on_as_two_at_another_stage(one_rank, train_cases, runs, saved, gone_on, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(one_rank[saved], copy)
    train_cases({"x": [*WHOLE, *KINDS[gone_on], f"run_dir={copy}"]}, ranks=2)
    whole, broken = metrics(runs[f"{gone_on} whole"]), metrics(copy)
    assert [row["step"] for row in broken] == [1, 2, 3, 4]
    assert [row["samples"] for row in broken] == [row["samples"] for row in whole]
    tolerance = 1e-3 if "bf16" in gone_on else 1e-5
    assert [row["loss"] for row in broken] == pytest.approx([row["loss"] for row in whole], rel=tolerance)
