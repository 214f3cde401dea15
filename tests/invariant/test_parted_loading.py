"""At ZeRO stage 3 a rank loads its part of a pretrained model, never the whole, and the training is the same."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from lam_train.model.load import ModelSettings, load_tokenizer
from lam_train.model.tiny import tiny_config
from lam_train.phases.training import load_learner
from lam_train.recipe import compose_recipe
from lam_train.train.distributed import LaunchSettings, join_world, leave_world
from lam_train.train.engine import build_engine, release_engines
from tests.conftest import ROOT, metrics
from tests.invariant.test_going_on import SAME

RANKS = 4


def saved(folder, kind: str = "llama", **config):
    """A folder with a random model of one matrix for its embedding and its head, in fp32, and the tiny tokenizer."""
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(0)
    tokenizer = load_tokenizer(ModelSettings(source="tiny"))
    shape = tiny_config(len(tokenizer)).to_dict() | {"tie_word_embeddings": True} | config
    kept = {key: value for key, value in shape.items() if key not in ("model_type", "architectures", "dtype")}
    AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **kept)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def held_by_ranks(tmp_path, *overrides: str) -> list[dict]:
    start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={RANKS}"]
    driver = [str(ROOT / "tests" / "loading_driver.py"), str(tmp_path), "+recipe=phase1", *overrides]
    done = subprocess.run([sys.executable, *start, *driver], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(RANKS)]


def test_no_rank_ever_holds_the_whole_model(tmp_path):
    large = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 12}
    large |= {"num_attention_heads": 8, "num_key_value_heads": 8}
    model = saved(tmp_path / "model", **large)
    whole = sum(tensor.numel() for tensor in load_file(model / "model.safetensors").values()) * 2  # in bf16
    largest = 1024 * 4096 * 4  # a matrix, as the file has it
    settings = [f"model.path={model}", "engine.dtype=bf16", "launch.threads=1"]
    for rank in held_by_ranks(tmp_path, *settings, "engine=zero3"):
        assert rank["parts"] == pytest.approx(whole / RANKS, rel=0.01)
        assert rank["held"] < 1.3 * whole / RANKS + largest
    for rank in held_by_ranks(tmp_path, *settings, "engine=zero2"):  # which the measure sees
        assert rank["parts"] == whole and rank["held"] > 0.9 * whole


KINDS = {
    "fp32": [],
    "bf16": ["engine.dtype=bf16"],
    "lora": ["model.lora.rank=4", "model.lora.dropout=0.1"],
    "lora bf16": ["model.lora.rank=4", "engine.dtype=bf16"],
}
PAIRS = [*((kind, "zero3") for kind in KINDS), ("bf16", "zero3-offload")]


@pytest.fixture(scope="module")
def trained(train_cases, tmp_path_factory):
    model = saved(tmp_path_factory.mktemp("model"))
    common = ["trainer.batch_size=8", "trainer.schedule=constant", "checkpoint.every_steps=2", f"model.path={model}"]
    common += ["trainer.max_steps=3", "export.at_end=true"]
    engines = [*((kind, "zero2") for kind in KINDS), *PAIRS]
    cases = {f"{kind} {engine}": [*common, f"engine={engine}", *KINDS[kind]] for kind, engine in engines}
    cases["stopped"] = [*common, "engine=zero3", "trainer.max_steps=2"]
    cases["stopped then on"] = [*common, "engine=zero3"]
    return train_cases(cases, ranks=2)


@pytest.mark.parametrize(("kind", "engine"), PAIRS)
def test_a_training_is_that_of_another_stage(trained, kind, engine):
    expected, found = (metrics(trained[f"{kind} {name}"]) for name in ("zero2", engine))
    tolerance = 2e-3 if "bf16" in kind else 1e-5
    assert len(found) == 3
    for before, now in zip(expected, found, strict=True):
        assert now["samples"] == before["samples"]
        assert now["loss"] == pytest.approx(before["loss"], rel=tolerance)
    assert found[0]["loss"] == expected[0]["loss"]  # of the same weights, rounded alike


@pytest.mark.parametrize(("kind", "engine"), PAIRS)
def test_its_export_is_that_of_another_stage(trained, kind, engine):
    expected, found = (load_file(trained[f"{kind} {e}"] / "model" / "model.safetensors") for e in ("zero2", engine))
    assert {name: tensor.shape for name, tensor in found.items()} == {n: t.shape for n, t in expected.items()}
    for name, tensor in found.items():
        assert (tensor.float() - expected[name].float()).norm() <= 1e-2 * expected[name].float().norm(), name


def test_adapters_beside_parted_weights_have_their_dtype(tmp_path):
    recipe = compose_recipe(
        ["+recipe=phase1", f"model.path={saved(tmp_path)}", "engine=zero3", "engine.dtype=bf16", "model.lora.rank=4"]
    )
    join_world(LaunchSettings(threads=1))
    try:
        adam = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
        engine = build_engine(load_learner(recipe), recipe.engine, **adam, clipping=1.0)
        assert {parameter.dtype for parameter in engine.module.parameters()} == {torch.bfloat16}
    finally:
        release_engines()
        leave_world()


def test_a_type_that_is_looked_at_first_trains_the_same_in_parts(train_cases, tmp_path):
    """`check_rows` passes over a small tree in the first step, where weights are gathered; with adapters too."""
    folder = saved(tmp_path / "granite", kind="granite")
    common = ["batching.max_tokens=600", "trainer.batch_size=8", "trainer.max_steps=3", f"model.path={folder}"]
    kinds = {"full": [], "lora": ["model.lora.rank=4"]}
    cases = {f"{k} {e}": [*common, *more, f"engine={e}"] for k, more in kinds.items() for e in ("zero2", "zero3")}
    found = {name: metrics(run_dir) for name, run_dir in train_cases(cases, ranks=2).items()}
    for kind in kinds:
        losses = [[row["loss"] for row in found[f"{kind} {engine}"]] for engine in ("zero2", "zero3")]
        assert len(losses[0]) == 3 and losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_it_goes_on(trained):
    whole, broken = metrics(trained["fp32 zero3"]), metrics(trained["stopped"])
    assert [[row[key] for key in SAME] for row in broken] == [[row[key] for key in SAME] for row in whole]
    assert "going on from" in (trained["stopped"] / "log").read_text()
