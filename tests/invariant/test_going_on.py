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
SHARED = "zero2, rows shared"
ON_TWO = ("zero1", "zero2", "zero3", "offload", "zero3 bf16", "zero3 lora with dropout", SHARED)
SAME = ("step", "loss", "grad_norm", "lr", "samples")


ACROSS = [
    ("zero2", "zero1"),
    ("zero0", "zero3"),
    ("zero3", "zero2"),
    ("zero3", "offload"),
    ("zero2 bf16", "zero3 bf16"),
    ("zero2", SHARED),
]
SETTINGS = KINDS | {SHARED: ["engine=zero2", "engine.sequence_parallel=2"]}


def broken_and_whole(kinds) -> dict[str, list[str]]:
    cases = {}
    for kind in kinds:
        cases[f"{kind} whole"] = [*WHOLE, *SETTINGS[kind]]
        cases[kind] = [*FIRST, *SETTINGS[kind]]
        cases[f"{kind} then on"] = [*WHOLE, *SETTINGS[kind]]
    return cases


@pytest.fixture(scope="module")
def one_rank(train_cases):
    stopped = {f"{kind} stopped": [*FIRST, *SETTINGS[kind]] for kind in {saved for saved, _ in ACROSS}}
    return train_cases(broken_and_whole(KINDS) | stopped, ranks=1)


@pytest.fixture(scope="module")
def two_ranks(train_cases, one_rank, tmp_path_factory):
    cases = broken_and_whole(ON_TWO)
    copies = tmp_path_factory.mktemp("copies")
    for saved, gone_on in ACROSS:
        copy = copies / f"{saved}-{gone_on}".replace(" ", "-").replace(",", "")
        shutil.copytree(one_rank[f"{saved} stopped"], copy)
        cases[f"{saved} to {gone_on}"] = [*WHOLE, *SETTINGS[gone_on], f"run_dir={copy}"]
    folders = train_cases(cases, ranks=2)
    return folders | {f"{s} to {g}": copies / f"{s}-{g}".replace(" ", "-").replace(",", "") for s, g in ACROSS}


@pytest.mark.parametrize(("ranks", "kind"), [*((1, kind) for kind in KINDS), *((2, kind) for kind in ON_TWO)])
def test_going_on_is_exact_at_the_same_size_and_stage(one_rank, two_ranks, ranks, kind):
    runs = one_rank if ranks == 1 else two_ranks
    whole, broken = metrics(runs[f"{kind} whole"]), metrics(runs[kind])
    assert [[row[key] for key in SAME] for row in broken] == [[row[key] for key in SAME] for row in whole]
    assert len(whole) == 4
    assert "going on from" in (runs[kind] / "log").read_text()


@pytest.mark.parametrize(("saved", "gone_on"), ACROSS)
def test_one_rank_goes_on_as_two_at_another_stage(two_ranks, saved, gone_on):
    whole, broken = metrics(two_ranks[f"{gone_on} whole"]), metrics(two_ranks[f"{saved} to {gone_on}"])
    assert [row["step"] for row in broken] == [1, 2, 3, 4]
    assert [row["samples"] for row in broken] == [row["samples"] for row in whole]
    tolerance = 1e-3 if "bf16" in gone_on else 1e-5
    assert [row["loss"] for row in broken] == pytest.approx([row["loss"] for row in whole], rel=tolerance)
