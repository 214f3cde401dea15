"""From data to a folder that transformers opens; and what is said when something is wrong."""

import gc
import json
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lam_train.__main__ import main
from lam_train.train import state_files, trainer
from lam_train.train.checkpoint import newest_checkpoint
from lam_train.train.engine import adam_of
from tests.conftest import base_overrides, command, metrics, plan_rows, run_command, write_rows

SHORT = ["trainer.max_steps=2", "trainer.batch_size=8", "export.at_end=true"]


@pytest.fixture(scope="module")
def trained(plans, tmp_path_factory) -> Path:
    """A short training with validation, checkpoints of several files, the export; through main, as a notebook does."""
    run_dir = tmp_path_factory.mktemp("trained") / "run"
    overrides = [*base_overrides(plans), *SHORT, f"run_dir={run_dir}", "checkpoint.every_steps=1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state_files, "FILE_BYTES", 400_000)
        assert main([*overrides, f"data.validation={plans}/validation.jsonl", "tracker=tensorboard"]) == 0
    return run_dir


def test_transformers_opens_the_exported_model(trained):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(trained / "model")
    tokenizer = AutoTokenizer.from_pretrained(trained / "model")
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    answer = model.generate(**prompt, max_new_tokens=3, do_sample=False)
    assert answer.shape[1] <= prompt["input_ids"].shape[1] + 3
    assert model.config.use_cache and 2 in model.generation_config.eos_token_id
    card = (trained / "model" / "README.md").read_text()
    assert "training samples: 40" in card and "lr: 0.001" in card


def test_exported_tensors_are_those_of_the_checkpoint(trained):
    exported = load_file(trained / "model" / "model.safetensors")
    checkpoint = newest_checkpoint(trained / "checkpoints")
    assert len(exported) == len(checkpoint.state["shapes"])
    assert len(list(checkpoint.folder.glob("state-*.safetensors"))) > 2
    for name, tensor in exported.items():
        assert torch.equal(tensor, checkpoint.read_tensor(f"causal.{name}", "weight")), name


def test_a_changed_export_is_noticed(trained, monkeypatch):
    from lam_train.errors import Fault
    from lam_train.train.export import verify

    state = load_file(trained / "model" / "model.safetensors")
    assert verify(trained / "model", state) == len(state)
    name = next(iter(state))
    with pytest.raises(Fault, match=name):
        verify(trained / "model", state | {name: state[name] + 1e-3})
    with pytest.raises(Fault, match="missing"):
        verify(trained / "model", state | {"another": state[name]})


def test_tied_embeddings_are_written_once(tmp_path):
    from transformers import AutoModelForCausalLM

    from lam_train.model.load import ModelSettings
    from lam_train.model.tiny import tiny_config
    from lam_train.train.export import export

    config = tiny_config(259)
    config.tie_word_embeddings = True
    model = AutoModelForCausalLM.from_config(config)
    export(model, ModelSettings(source="tiny"), tmp_path / "model", torch.bfloat16, "a card")
    names = load_file(tmp_path / "model" / "model.safetensors").keys()
    assert "model.embed_tokens.weight" in names and "lm_head.weight" not in names
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert torch.equal(again.lm_head.weight, model.model.embed_tokens.weight.bfloat16())


def test_validation_rows_have_another_kind_and_the_best_is_pointed_at(trained):
    rows = metrics(trained, "validation")
    assert [row["step"] for row in rows] == [1, 2] and rows[1]["loss"] < rows[0]["loss"]
    assert (trained / "checkpoints" / "best").read_text().strip() == "step-00000002"
    assert list((trained / "tensorboard").iterdir())


def test_export_recipe_gives_the_same_folder_as_the_training(trained, tmp_path):
    output = tmp_path / "model"
    assert (
        main(["+recipe=export", f"export.checkpoint={trained}", f"export.output={output}", f"run_dir={tmp_path}/run"])
        == 0
    )
    ours, theirs = (load_file(folder / "model.safetensors") for folder in (output, trained / "model"))
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_an_export_in_bf16_has_the_trained_weights_rounded_once(trained, tmp_path):
    where = [f"export.checkpoint={trained}", f"export.output={tmp_path}/model", f"run_dir={tmp_path}/run"]
    assert main(["+recipe=export", *where, "export.dtype=bf16"]) == 0
    exported, exact = (load_file(folder / "model.safetensors") for folder in (tmp_path / "model", trained / "model"))
    assert exported.keys() == exact.keys()
    assert all(torch.equal(exported[name], exact[name].bfloat16()) for name in exact)


def test_an_export_is_made_in_its_dtype_but_adapters_and_heads_in_fp32():
    from lam_train.model.load import LoraSettings, ModelSettings
    from lam_train.model.reward import HEAD_FILE, RewardModel
    from lam_train.train.export import BlankModel

    plain, adapted = ModelSettings(source="tiny"), ModelSettings(source="tiny", lora=LoraSettings(rank=4))
    assert BlankModel(plain, 0, torch.bfloat16).merged().dtype == torch.bfloat16
    assert BlankModel(adapted, 0, torch.bfloat16).merged().dtype == torch.float32
    scoring = BlankModel(plain, 0, torch.bfloat16, RewardModel)
    scoring.put("head.bias", torch.tensor([0.3]))
    assert json.loads(scoring.beside()[HEAD_FILE])["bias"] == pytest.approx(0.3, rel=1e-6)


@pytest.mark.parametrize("stage", ["zero0", "zero3"])
def test_lora_trains_adapters_alone_and_exports_them_merged(plans, tmp_path, stage):
    overrides = [*base_overrides(plans), *SHORT, f"run_dir={tmp_path}/run", f"engine={stage}"]
    assert main([*overrides, "model.lora.rank=4", "checkpoint.every_steps=1"]) == 0
    checkpoint = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert all("lora" in name for name in checkpoint.state["shapes"])
    from lam_train.model.load import ModelSettings, load_model

    base = load_model(ModelSettings(source="tiny")).state_dict()
    merged = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert merged.keys() == base.keys()
    name = "model.layers.0.self_attn.q_proj"
    parts = [checkpoint.read_tensor(f"causal.{name}.lora_{ab}.default.weight", "weight") for ab in "BA"]
    expected = base[f"{name}.weight"] + 32 / 4 * parts[0] @ parts[1]
    assert torch.allclose(merged[f"{name}.weight"], expected, atol=1e-7)
    assert not torch.equal(merged[f"{name}.weight"], base[f"{name}.weight"])
    assert torch.equal(merged["model.embed_tokens.weight"], base["model.embed_tokens.weight"])


@pytest.mark.parametrize("stage", ["zero0", "zero1", "zero2", "zero3"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_training_leaves_its_optimizer_to_no_other(plans, tmp_path, monkeypatch, stage, dtype):
    """A curriculum trains five times in one process: what one held must be free for the next."""
    build, held = trainer.build_engine, []

    def noted(*arguments, **named):
        engine = build(*arguments, **named)
        parts = [getattr(parameter, "ds_tensor", parameter) for parameter in engine.module.parameters()]
        held.extend(weakref.ref(one) for one in [adam_of(engine), *(parts if stage == "zero3" else [])])
        return engine

    monkeypatch.setattr(trainer, "build_engine", noted)
    overrides = [*base_overrides(plans), f"engine={stage}", f"engine.dtype={dtype}", f"run_dir={tmp_path}/run"]
    assert main([*overrides, "trainer.max_steps=1", "checkpoint.every_steps=null"]) == 0
    gc.collect()
    left = [reference() for reference in held if reference() is not None]
    assert not left or stage == "zero3"
    assert all(isinstance(one, torch.optim.AdamW) and not one.state and not one.param_groups for one in left)


@pytest.mark.parametrize("stage", ["zero0", "zero1"])
def test_gradients_in_bf16_are_held_once(plans, tmp_path, monkeypatch, stage):
    """When a backward pass ends they are in their fp32 sum, and no longer at the weights."""
    build, held = trainer.build_engine, []

    def noted(*arguments, **named):
        engine = build(*arguments, **named)
        backward = engine.backward

        def counted(*loss, **how):
            backward(*loss, **how)
            held.append(sum(parameter.grad is not None for parameter in engine.module.parameters()))

        engine.backward = counted
        return engine

    monkeypatch.setattr(trainer, "build_engine", noted)
    overrides = [*base_overrides(plans), f"engine={stage}", "engine.dtype=bf16", f"run_dir={tmp_path}/run"]
    assert main([*overrides, "trainer.max_steps=1", "checkpoint.every_steps=null"]) == 0
    assert held and not any(held)


def test_bf16_export_is_what_was_trained_rounded_once(plans, tmp_path):
    overrides = [*base_overrides(plans), *SHORT, f"run_dir={tmp_path}/run", "engine=zero2", "engine.dtype=bf16"]
    assert main([*overrides, "checkpoint.every_steps=1"]) == 0
    exported = load_file(tmp_path / "run" / "model" / "model.safetensors")
    checkpoint = newest_checkpoint(tmp_path / "run" / "checkpoints")
    for name, tensor in exported.items():
        master = checkpoint.read_tensor(f"causal.{name}", "weight")
        assert tensor.dtype == torch.bfloat16 and torch.equal(tensor, master.bfloat16()), name


def mistake(capsys, caplog, *overrides: str) -> str:
    """The message of a command line that has to end with exit status 2."""
    caplog.clear()
    assert main(list(overrides)) == 2
    return caplog.text


def test_a_sample_longer_than_a_row_is_refused_with_id_and_counts(plans, tmp_path, capsys, caplog):
    rows = plan_rows(5, seed=3)
    rows[2]["plan"] = ["click " * 90]
    data = write_rows(tmp_path / "long.jsonl", rows)
    overrides = [*base_overrides(plans), f"data.train={data}", f"run_dir={tmp_path}/run", "batching.max_tokens=500"]
    said = mistake(capsys, caplog, *overrides)
    assert "batching.max_tokens=500" in said and "1 of 5" in said and "3-2 (" in said and "overlong=drop" in said
    assert main([*overrides, "batching.overlong=drop", "trainer.epochs=1", "trainer.batch_size=2"]) == 0
    seen = {id for row in metrics(tmp_path / "run") for id in row["samples"]}
    assert seen == {"3-0", "3-1", "3-3", "3-4"}


def test_corrupt_line_empty_data_missing_files(plans, tmp_path, capsys, caplog):
    base = [*base_overrides(plans), f"run_dir={tmp_path}/run"]
    good = write_rows(tmp_path / "bad.jsonl", plan_rows(4))
    good.write_text(good.read_text() + '{"task_id": "x", "task": \n')
    said = mistake(capsys, caplog, *base, f"data.train={good}")
    assert "bad.jsonl, line 5" in said and "on_bad_record=skip" in said
    (tmp_path / "empty.jsonl").touch()
    assert "the data is empty" in mistake(capsys, caplog, *base, f"data.train={tmp_path}/empty.jsonl")
    assert "no such file" in mistake(capsys, caplog, *base, f"data.train={tmp_path}/nowhere.jsonl")
    assert "no such folder" in mistake(capsys, caplog, *base, f"model.path={tmp_path}/nowhere")
    if not torch.cuda.is_available():
        assert "needs a GPU" in mistake(capsys, caplog, *base, "model.attention=flex")
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_what_would_overwrite_or_cannot_go_on_is_refused(trained, plans, tmp_path, capsys, caplog):
    base = [*base_overrides(plans), *SHORT, f"run_dir={trained}"]
    assert "resume=never" in mistake(capsys, caplog, *base, "resume=never")
    assert "trainer.seed" in mistake(capsys, caplog, *base, "trainer.seed=5")
    assert "no such path" in mistake(capsys, caplog, *base, f"resume={tmp_path}/nowhere")
    before = (trained / "recipe.yaml").read_bytes()
    assert "has made 2 already" in mistake(capsys, caplog, *base, "trainer.max_steps=1")
    assert (trained / "recipe.yaml").read_bytes() == before  # a refused command leaves the run as it was
    other = [*base_overrides(plans), *SHORT, f"run_dir={tmp_path}/run", f"resume={trained}", "model.lora.rank=2"]
    assert "model.lora=None" in (said := mistake(capsys, caplog, *other)) and "another training" in said


def test_a_run_goes_on_from_a_path_in_its_own_directory(trained, plans, caplog):
    overrides = [o for o in base_overrides(plans)]
    before = len(metrics(trained))
    assert main([*overrides, "trainer.batch_size=8", f"resume={trained}", "trainer.max_steps=2"]) == 0
    assert len(metrics(trained)) == before


@pytest.mark.parametrize("where", ["file size", "tmpfs"])
def test_a_full_disk_while_saving_keeps_the_last_checkpoint(plans, tmp_path, where):
    """A real failure of the write: a limit on file sizes, and a file system that is full."""
    run_dir = tmp_path / "run"
    mounted = where == "tmpfs"
    if mounted:
        run_dir.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", str(run_dir)]
        if subprocess.run(mount, capture_output=True).returncode:
            pytest.skip("mounting a file system needs root")
    try:
        overrides = [*base_overrides(plans), f"run_dir={run_dir}", "trainer.batch_size=8"]
        done = run_command(*overrides, "trainer.max_steps=1", "checkpoint.every_steps=1", "checkpoint.keep_last=9")
        assert done.returncode == 0, done.stderr[-2000:]
        line = command(*overrides, "trainer.max_steps=6", "checkpoint.every_steps=1", "checkpoint.keep_last=9")
        shell = "exec " + " ".join(f"'{part}'" for part in line)
        if not mounted:
            shell = f"ulimit -f 2000; {shell}"  # blocks of 1,024 bytes: the state has 3 MB
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, timeout=300, env={**os.environ})
        assert done.returncode == 1, done.stderr[-2000:]
        assert "could not be written" in done.stderr and "is complete" in done.stderr
        assert "Traceback" not in done.stderr
        kept = newest_checkpoint(run_dir / "checkpoints")
        assert kept is not None and kept.step >= 1
        for name in kept.state["shapes"]:
            kept.read_tensor(name, "exp_avg")
        assert not list((run_dir / "checkpoints").glob("*.incomplete"))
    finally:
        if mounted:
            subprocess.run(["umount", str(run_dir)], check=True)


def test_wandb_works_offline_and_keeps_one_run_over_resumes(plans, tmp_path):
    overrides = [*base_overrides(plans), f"run_dir={tmp_path}/run", "tracker=wandb", "trainer.batch_size=8"]
    for steps in (1, 2):
        done = run_command(
            *overrides, f"trainer.max_steps={steps}", "trainer.schedule=constant", "checkpoint.every_steps=1"
        )
        assert done.returncode == 0, done.stderr[-2000:]
    runs = list((tmp_path / "run" / "wandb").glob("offline-run-*"))
    identity = (tmp_path / "run" / "wandb-run-id").read_text().strip()
    assert len(runs) == 2 and all(run.name.endswith(identity) for run in runs)


def test_inspect_shows_targets_tree_and_counts_and_loads_no_weights(plans, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lam_train.model.load.load_model", None)
    assert main([*base_overrides(plans), "inspect=true", f"run_dir={tmp_path}/run", "trainer.batch_size=8"]) == 0
    said = capsys.readouterr().out
    targets = [part.split("⟧")[0] for part in said.split("⟦")[1:] if not part.startswith("target")]
    answers = {"\n".join(f"{n}. {step}" for n, step in enumerate(r["plan"], start=1)) for r in plan_rows(40)}
    assert len(targets) == 2 and all(t.removesuffix("<|im_end|>") in answers and t not in answers for t in targets)
    for words in (
        "tree ratio",
        "fill of the rows",
        "optimizer steps: 15",
        "supervised",
        "memory of a rank",
        "first row",
        "model.gradient_checkpointing=false fits",
    ):
        assert words in said
    assert not (tmp_path / "run").exists()


def test_an_installed_command_line_is_the_module(plans, tmp_path):
    done = subprocess.run([sys.executable, "-m", "lam_train", "--help"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and "phase1" in done.stdout
