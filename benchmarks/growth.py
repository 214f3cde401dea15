"""How time and memory grow: with the length of a sequence, the depth of a tree, the number of ranks.

    python benchmarks/growth.py OUTPUT_FOLDER --data DATA [--model smollm2-135m] [--repeats 3]

Lengths and depths are rows of random tokens, half of them targets, forward and backward, each in a process of its own
so that its peak of resident memory is its own. Ranks are real trainings of the recipe on the same steps, one thread a
rank, at each ZeRO stage; their memory stands beside the estimate of `inspect=true`, for a row as long as theirs.
The number of samples is batcher.py's. Writes growth.json, README.md and growth.png.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import matplotlib
import numpy as np
import torch
from command import parser_of, run_command
from training_facts import hardware

from lam_train.batching.layout import BatchingSettings
from lam_train.batching.loader import Loader
from lam_train.language.sample import Sample, Samples, Segment
from lam_train.model.load import load_config, load_model
from lam_train.model.trainable import TrainableModel
from lam_train.recipe import compose_recipe
from lam_train.report.markdown import table
from lam_train.train.allocator import keep_freed_blocks
from lam_train.train.engine import DTYPES
from lam_train.train.memory import estimate_memory

matplotlib.use("Agg")
import matplotlib.pyplot as plt

LENGTHS = (256, 512, 1024, 2048, 4096)
DEPTHS = (1, 2, 4, 8)
DEEP_TOKENS = 1536  # of a tree, whatever its depth
RANKS, STAGES = (1, 2), (0, 1, 2, 3)
STEPS = 4


def deep_tree(depth: int, tokens: int) -> list[Sample]:
    """`depth` samples: a leaf at each of `depth` places along one path; as many tokens whatever the depth."""
    rng = np.random.default_rng(0)
    each = tokens // (2 * depth)
    trunk: list[Segment] = []
    samples = []
    for level in range(depth):
        trunk.append(Segment(rng.integers(5, 40_000, each).astype(np.int32)))
        leaf = Segment(rng.integers(5, 40_000, each).astype(np.int32), 1.0)
        samples.append(Sample(str(level), (*trunk, leaf)))
    return samples


def one_row(model: str, samples: list[Sample], repeats: int) -> dict:
    """Seconds of a forward and backward pass, and what the process holds at most."""
    settings = compose_recipe(["+recipe=phase1", f"model={model}"]).model
    keep_freed_blocks()
    dtype = "bf16"
    causal = load_model(settings, DTYPES[dtype])
    causal.config.max_position_embeddings = 8192
    module = TrainableModel(causal)
    lot = BatchingSettings(max_tokens=10**6, workers=0)
    pack = Loader(Samples(samples), lot, batch_size=len(samples), steps=1, seed=0).dataset[0].packs[0]
    seconds = []
    for _ in range(repeats + 1):
        module.zero_grad()
        begun = time.perf_counter()
        (-(module(pack) * pack.weights).sum()).backward()
        seconds.append(time.perf_counter() - begun)
    return {"tokens": len(pack.tokens), "seconds": statistics.median(seconds[1:])}


def measured(*arguments: str) -> dict:
    """A row in a process of its own."""
    command = [sys.executable, __file__, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    told = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {status}")
    return json.loads(told.splitlines()[-1]) | {"peak_gib": usage.ru_maxrss / 2**20}


def of_ranks(args, ranks: int, stage: int, work: Path) -> dict:
    """A short training: its seconds a step without the first, and rank 0's largest resident set."""
    overrides = [
        f"+recipe={args.recipe}", f"model={args.model}", "model.path=null", f"data.train={args.data}",
        "data.validation=null", f"trainer.max_steps={STEPS}", "trainer.batch_size=8", "checkpoint.every_steps=null",
        "export.at_end=false", f"engine.zero_stage={stage}", f"launch.processes={ranks}", "launch.threads=1",
        f"run_dir={work}", "resume=never", *args.set,
    ]  # fmt: skip
    command = [sys.executable, "-m", "lam_train", *overrides]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stderr[-3000:]}")
    rows = [json.loads(line) for line in (work / "metrics.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["kind"] == "train"]
    recipe = compose_recipe(overrides)
    longest = max(row["tokens_physical"] / row["micro_batches"] / ranks for row in rows)
    parts = estimate_memory(load_config(recipe.model), recipe.model, recipe.engine, ranks, round(longest))
    return {
        "ranks": ranks, "stage": stage, "dtype": recipe.engine.dtype,
        "seconds": statistics.mean(row["seconds"] for row in rows[1:]),
        "logical_tokens_per_s": sum(r["tokens_logical"] for r in rows[1:]) / sum(r["seconds"] for r in rows[1:]),
        "memory_gib": max(row["memory_gib"] for row in rows), "estimated_gib": parts["together"],
    }  # fmt: skip


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] == "row":
        _, _, model, kind, number, repeats = sys.argv
        rng = np.random.default_rng(0)
        if kind == "length":
            halves = [rng.integers(5, 40_000, int(number) // 2).astype(np.int32) for _ in range(2)]
            samples = [Sample("0", (Segment(halves[0]), Segment(halves[1], 1.0)))]
        else:
            samples = deep_tree(int(number), DEEP_TOKENS)
        print(json.dumps(one_row(model, samples, int(repeats))))
        return
    args = parser_of(__doc__).parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    report = {
        "date": time.strftime("%Y-%m-%d"), "hardware": hardware(), "threads": torch.get_num_threads(),
        "torch": torch.__version__, "model": args.model, "recipe": args.recipe, "repeats": args.repeats,
    }  # fmt: skip
    report["ranks"] = []  # first: they read the data, where a mistake may be
    for ranks in RANKS:
        for stage in STAGES:
            found = of_ranks(args, ranks, stage, args.output / "work" / f"{ranks}-{stage}")
            report["ranks"].append(found)
            print(found, flush=True)
    for kind, numbers in (("length", LENGTHS), ("depth", DEPTHS)):
        report[kind] = []
        for number in numbers:
            found = {kind: number} | measured("row", args.model, kind, str(number), str(args.repeats))
            report[kind].append(found)
            print(found, flush=True)
    (args.output / "growth.json").write_text(json.dumps(report, indent=1) + "\n")
    (args.output / "README.md").write_text(page(report))
    plot(report, args.output / "growth.png")


def page(report: dict) -> str:
    rows = [
        [kind, f"{row[kind]:,}", f"{row['tokens']:,}", f"{row['seconds']:.2f}",
         f"{row['tokens'] / row['seconds']:,.0f}", f"{row['peak_gib']:.1f}"]
        for kind in ("length", "depth") for row in report[kind]
    ]  # fmt: skip
    ranks = [
        [str(row["ranks"]), str(row["stage"]), f"{row['seconds']:.1f}", f"{row['logical_tokens_per_s']:,.0f}",
         f"{row['memory_gib']:.1f}", f"{row['estimated_gib']:.1f}"]
        for row in report["ranks"]
    ]  # fmt: skip
    facts = [
        f"- {report['date']}, {report['hardware']}, {report['threads']} threads, torch {report['torch']}",
        f"- {report['model']}; lengths and depths: one row, forward and backward in bf16, median of "
        f"{report['repeats']}; every tree has {DEEP_TOKENS} tokens",
        f"- ranks: {report['recipe']}, 8 samples a step, {STEPS - 1} timed steps, {report['ranks'][0]['dtype']}, one "
        "thread a rank; GiB resident of rank 0, Python's and the libraries' own too, and the estimate, without them",
    ]
    return "\n".join(
        [
            "# Growth", "", *facts, "",
            *table(["what grows", "", "tokens", "seconds", "tokens/s", "peak GiB"], rows), "",
            *table(["ranks", "ZeRO", "s a step", "logical tokens/s", "GiB", "estimated"], ranks), "",
            "![growth](growth.png)",
        ]
    ) + "\n"  # fmt: skip


def plot(report: dict, file: Path) -> None:
    figure, axes = plt.subplots(1, 4, figsize=(16, 3.4), layout="constrained")
    for axis, kind in zip(axes, ("length", "depth"), strict=False):
        rows = report[kind]
        axis.plot([row[kind] for row in rows], [row["seconds"] for row in rows], "o-", color="tab:blue")
        axis.set(xlabel={"length": "tokens of a sequence", "depth": "levels of a tree"}[kind], ylabel="seconds")
        _from_zero(axis)
        other = axis.twinx()
        other.plot([row[kind] for row in rows], [row["peak_gib"] for row in rows], "s--", color="tab:orange")
        other.set_ylabel("peak GiB (dashed)")
        _from_zero(other)
    for ranks in RANKS:
        rows = [row for row in report["ranks"] if row["ranks"] == ranks]
        for axis, key in zip(axes[2:], ("seconds", "memory_gib"), strict=True):
            axis.plot([row["stage"] for row in rows], [row[key] for row in rows], "o-", label=f"{ranks} rank(s)")
    for axis, told in zip(axes[2:], ("seconds a step", "GiB of rank 0"), strict=True):
        axis.set(xlabel="ZeRO stage", ylabel=told, xticks=STAGES)
        _from_zero(axis)
        axis.legend()
    figure.savefig(file, dpi=120)


def _from_zero(axis) -> None:
    axis.set_ylim(0, 1.05 * axis.dataLim.y1)


if __name__ == "__main__":
    run_command(main)
