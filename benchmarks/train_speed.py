"""How fast we train against TRL's SFTTrainer: the same model, samples and supervised tokens, sides in turn in one run.

    python benchmarks/train_speed.py OUTPUT_FOLDER --data DATA [--recipe phase2_small] [--steps 4] [--repeats 5]

Each turn runs every side as a process of its own, on the very samples that our loader draws for `--steps` optimizer
steps; those before them (`--warmup`) are not timed. The learning rate is too small to move a weight, so the mean loss
of all timed tokens must be the same: a side that differs by more than `--tolerance` ends the run. TRL's ways are those
of SIDES; `--sides` picks. MFU is of what a side computes by its own way, each token with the keys on its path: padding
does not count, a prefix that TRL computes for each of its samples does, and its head on all tokens (on a GPU on the
supervised ones, as ours). The peak is the vendor's dense bf16 one; on a CPU, where nobody names one, the rate of a
large bf16 product. Writes speed.json, README.md.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from command import parser_of, run_command
from mfu import measured_peak
from sides import faster, in_turn, told_faster
from training_facts import hardware
from transformers import AutoConfig

from lam_train.batching.loader import EpochPlan
from lam_train.errors import UserError
from lam_train.language.conversation import Language
from lam_train.language.sample import Samples
from lam_train.model.load import load_tokenizer, resolve_folder
from lam_train.phases.imitation import prepare
from lam_train.recipe import compose_recipe
from lam_train.report.markdown import table
from lam_train.train.flops import ModelShape, peak_flops

HERE = Path(__file__).resolve().parent
OURS = "lam_train"
COUNTED = ("logical", "physical", "supervised", "flops")  # of a step; tokens, and FLOPs
SIDES = {  # TRL's settings; bf16 by autocast over fp32 weights is what its `bf16=True` does
    "TRL padded, 1": [],
    "TRL padded, 4 by length": ["--batch=4", "--sorted"],
    "TRL padded, 8 by length": ["--batch=8", "--sorted"],
    "TRL padded, 1, fp32": ["--precision=fp32"],  # to see that the loss is the same, rounding apart: engine.dtype=fp32
    "TRL bfd": ["--packing=bfd"],
    "TRL padded, 1, pure bf16": ["--precision=pure"],
    "TRL padded, 4 by length, pure bf16": ["--batch=4", "--sorted", "--precision=pure"],
    "TRL bfd, pure bf16": ["--packing=bfd", "--precision=pure"],
    "TRL padded, 4 by length, DeepSpeed": ["--batch=4", "--sorted", "--deepspeed"],
}
ON_A_GPU = {  # instead of those above: with Liger's kernels
    "TRL padded, 8 by length, Liger, pure bf16": ["--batch=8", "--sorted", "--liger", "--precision=pure"],
    "TRL padded, 32 by length, Liger, pure bf16": ["--batch=32", "--sorted", "--liger", "--precision=pure"],
    "TRL bfd, Liger, pure bf16": ["--packing=bfd", "--liger", "--precision=pure"],
    "TRL bfd, 4 rows of 2048, Liger, pure bf16": [
        "--packing=bfd", "--batch=4", "--length=2048", "--liger", "--precision=pure",
    ],
    "TRL bfd, Liger": ["--packing=bfd", "--liger"],
    "TRL padded, 32 by length, Liger, DeepSpeed": ["--batch=32", "--sorted", "--liger", "--deepspeed"],
    "TRL bfd, FlexAttention, pure bf16": ["--packing=bfd", "--precision=pure", "--attention=flex_attention"],
}  # fmt: skip


def main() -> None:
    args = parsed()
    args.output.mkdir(parents=True, exist_ok=True)
    overrides = [
        f"+recipe={args.recipe}", f"model={args.model}", "model.path=null", f"data.train={args.data}",
        "data.validation=null", "trainer.lr=1e-12", "trainer.schedule=constant", "trainer.warmup_steps=0",
        f"trainer.max_steps={args.warmup + args.steps}", "checkpoint.every_steps=null", "export.at_end=false",
        *args.set,
    ]  # fmt: skip
    steps = write_samples(overrides, args.warmup + args.steps, args.output / "samples.jsonl")
    sides = args.sides or [OURS, *(ON_A_GPU if torch.cuda.is_available() else SIDES)]
    folder = resolve_folder(compose_recipe(overrides).model)
    if folder is None and sides != [OURS]:
        raise UserError(f"model={args.model} has random weights and no folder for TRL to load: --set model.path=FOLDER")
    turns: dict[str, list[dict]] = {name: [] for name in sides}
    for turn, name in in_turn(sides, args.repeats):
        work = args.output / "work" / f"{turn}-{sides.index(name)}"
        work.mkdir(parents=True, exist_ok=True)
        run = run_ours(overrides, args, work) if name == OURS else run_trl(name, folder, args, work)
        turns[name].append(run)
        print(f"turn {turn + 1} of {args.repeats}  {name}: {told(run)}", flush=True)
        if all(len(runs) == turn + 1 for runs in turns.values()):  # told after every turn: a long run may be ended
            check_losses(turns, args.tolerance)
            report = summary(turns, args, steps)
            (args.output / "speed.json").write_text(json.dumps(report, indent=1) + "\n")
            (args.output / "README.md").write_text(page(report))
    print((args.output / "README.md").read_text())


def write_samples(overrides: list[str], steps: int, path: Path) -> list[list[int]]:
    """One line a step: what our loader draws for it, as token ids and labels. Returns the places of each step."""
    recipe = compose_recipe(overrides)
    samples: Samples = prepare(recipe, Language(load_tokenizer(recipe.model))).train
    plan = EpochPlan(samples, recipe.trainer.batch_size, recipe.trainer.seed, recipe.batching.group_by)
    drawn = [plan.step_samples(step).tolist() for step in range(steps)]
    with path.open("w") as file:
        for chosen in drawn:
            line = []
            for place in chosen:
                tokens, weights = samples.tokens(place), samples.weights(place)
                labels = np.where(weights > 0, tokens, -100)
                line.append({"input_ids": tokens.tolist(), "labels": labels.tolist()})
            file.write(json.dumps(line) + "\n")
    return drawn


def run_ours(overrides: list[str], args, work: Path) -> dict:
    command = [sys.executable, "-m", "lam_train", *overrides, f"run_dir={work}", "resume=never"]
    peak = measured(command, work / "out.log")
    shutil.rmtree(work / "checkpoints", ignore_errors=True)  # gigabytes a turn
    rows = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    steps = [
        {"seconds": row["seconds"], "loss": row["loss"], "logical": row["tokens_logical"],
         "physical": row["tokens_physical"], "supervised": row["tokens_supervised"], "flops": row["model_flops"]}
        for row in rows if row["kind"] == "train"
    ]  # fmt: skip
    gpu = max(row["memory_gib"] for row in rows if row["kind"] == "train")
    return timed(steps, gpu if torch.cuda.is_available() else peak, args.warmup)


def run_trl(name: str, folder: str, args, work: Path) -> dict:
    output = work / "trl.json"
    script = [str(HERE / "peers" / "trl_sft.py"), folder, str(args.output / "samples.jsonl"), str(output)]
    settings = (SIDES | ON_A_GPU)[name]
    peak = measured([sys.executable, *script, f"--length={args.length}", *settings], work / "out.log")
    found, shape = json.loads(output.read_text()), ModelShape.of_config(AutoConfig.from_pretrained(folder))
    heads = "supervised" if torch.cuda.is_available() else "logical"
    for step in found["steps"]:
        step["flops"] = shape.flops(step["logical"], step[heads], step["attended"])
    return timed(found["steps"], found["gpu_memory_gib"] or peak, args.warmup)


def measured(command: list[str], log: Path, environment: dict[str, str] | None = None) -> float:
    """Runs a command and returns its process's largest resident memory in GiB; raises with its log where it fails."""
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, cwd=HERE.parent, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}\nended with {status}:\n{log.read_text()[-3000:]}")
    return usage.ru_maxrss / 2**20


def timed(steps: list[dict], peak: float, warmup: int = 1) -> dict:
    """Sums over whole steps but the first, which warm up; the loss is the mean over all supervised tokens."""
    counted = [step for step in steps[warmup:] if step.get("whole", True)]
    if not counted:
        raise SystemExit(f"of {len(steps)} steps, {warmup} of them to warm up, none is whole: take more --steps")
    supervised = sum(step["supervised"] for step in steps)
    return {
        **{key: sum(step[key] for step in counted) for key in ("seconds", *COUNTED)},
        "loss": sum(step["loss"] * step["supervised"] for step in steps) / supervised,
        "all_supervised": supervised,
        "peak_gib": peak,
    }


def check_losses(turns: dict[str, list[dict]], tolerance: float) -> None:
    first = {name: runs[0] for name, runs in turns.items()}
    reference = first.get(OURS) or next(iter(first.values()))
    for name, run in first.items():
        if abs(run["loss"] / reference["loss"] - 1) > tolerance or run["all_supervised"] != reference["all_supervised"]:
            raise SystemExit(
                f"{name} does not learn the same: loss {run['loss']:.5f} of {run['all_supervised']} tokens, "
                f"{reference['loss']:.5f} of {reference['all_supervised']}"
            )


def told(run: dict) -> str:
    return f"{run['logical'] / run['seconds']:.0f} logical tokens/s, loss {run['loss']:.4f}, {run['peak_gib']:.1f} GiB"


def summary(turns: dict[str, list[dict]], args, steps: list[list[int]]) -> dict:
    sides, peak = {}, peak_flops() or measured_peak()
    for name, runs in turns.items():
        rates = {key: statistics.median(run[key] / run["seconds"] for run in runs) for key in COUNTED}
        sides[name] = {
            "mfu": rates.pop("flops") / peak, "tokens_per_s": rates, "loss": runs[0]["loss"],
            "peak_gib": max(run["peak_gib"] for run in runs), "seconds": [run["seconds"] for run in runs],
        }  # fmt: skip
        if OURS in turns and name != OURS:  # a token: TRL's packed rows do not end where steps do
            pair = ([run["seconds"] / run["logical"] for run in side] for side in (turns[OURS], runs))
            sides[name]["ours_is_faster"] = faster(*pair)
    return {
        "date": time.strftime("%Y-%m-%d"), "hardware": hardware(), "threads": torch.get_num_threads(),
        "versions": {name: version(name) for name in ("torch", "transformers", "trl", "deepspeed")},
        "recipe": args.recipe, "model": args.model, "set": args.set, "samples_a_step": len(steps[0]),
        "timed_steps": args.steps, "repeats": min(map(len, turns.values())), "peak_tflops": peak / 1e12, "sides": sides,
    }  # fmt: skip


def version(name: str) -> str:
    from importlib.metadata import version as installed

    return installed(name)


def page(report: dict) -> str:
    """The report as Markdown."""
    body = []
    for name, side in report["sides"].items():
        rates = side["tokens_per_s"]
        body.append(
            [
                name, *(f"{rates[key]:,.0f}" for key in ("logical", "physical", "supervised")),
                f"{side['mfu']:.1%}", f"{side['peak_gib']:.1f}", f"{side['loss']:.4f}",
                told_faster(side.get("ours_is_faster")),
            ]
        )  # fmt: skip
    head = ["", "logical tokens/s", "physical", "supervised", "MFU", "peak GiB", "loss", "ours is faster by"]
    versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
    facts = [
        f"- {report['date']}, {report['hardware']}, {report['threads']} threads; {versions}",
        f"- recipe {report['recipe']}, model {report['model']}, {report['samples_a_step']} samples a step, "
        f"{report['timed_steps']} timed steps, {report['repeats']} turns of all sides; medians, in brackets the range",
        "- the same samples on every side; logical tokens are those of the samples, physical those computed",
        f"- MFU of {report['peak_tflops']:,.2f} TFLOP/s, without padding",
    ]
    return "\n".join(["# Training speed", "", *facts, "", *table(head, body)]) + "\n"


def parsed() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--steps", type=int, default=4, help="optimizer steps that are timed")
    parser.add_argument("--warmup", type=int, default=1, help="optimizer steps before those")
    parser.add_argument("--length", type=int, default=2048, help="TRL's rows, and longest sample")
    parser.add_argument("--tolerance", type=float, default=0.003, help="of the loss, as a share")
    parser.add_argument("--sides", nargs="+", choices=[OURS, *SIDES, *ON_A_GPU])
    args = parser.parse_args()
    args.output = args.output.absolute()
    return args


if __name__ == "__main__":
    run_command(main)
