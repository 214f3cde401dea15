"""Puts a phase-1 result together: phase1_result.py TRAINING_RUN EVALUATION_RUN RESULT_FOLDER

Copies what shows it (recipe, versions, plots, reports, metrics without the sample ids) and writes README.md from it.
"""

import json
import os
import platform
import shutil
import sys
from pathlib import Path

import yaml

COPIED = {
    "training": ("recipe.yaml", "versions.json", "loss.png", "throughput.png"),
    "evaluation": ("evaluation.json", "evaluation.md", "evaluation.png", "examples.md"),
}


def hardware() -> str:
    """The processor and the memory of this machine, as Linux names them."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores of {models[0].split(':')[1].strip()}, {gib:.0f} GiB, {platform.system()}, no GPU"


def main(training: Path, evaluation: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for name in COPIED["training"]:
        shutil.copy(training / name, target / name)
    for name in COPIED["evaluation"]:
        shutil.copy(evaluation / "evaluation" / name, target / name)
    shutil.copy(training / "model" / "README.md", target / "model-card.md")
    rows = [json.loads(line) for line in (training / "metrics.jsonl").read_text().splitlines()]
    kept = [{k: v for k, v in row.items() if k != "samples"} for row in rows]
    (target / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    (target / "README.md").write_text(page(training, rows, (target / "evaluation.md").read_text()))


def page(training: Path, rows: list[dict], report: str) -> str:
    """The result's README."""
    recipe = yaml.safe_load((training / "recipe.yaml").read_text())
    versions = json.loads((training / "versions.json").read_text())
    steps = [row for row in rows if row["kind"] == "train"]
    held_out = [row for row in rows if row["kind"] == "validation"]
    total = {
        key: sum(row[key] for row in steps)
        for key in ("seconds", "tokens_physical", "tokens_logical", "tokens_supervised")
    }
    trainer, losses = recipe["trainer"], ", ".join(f"{row['loss']:.3f} (step {row['step']})" for row in held_out)
    facts = [
        f"date: {versions['time'][:10]}; commit {versions['git_commit'][:12]}"
        + (" with uncommitted changes" if versions["git_changes"] else ""),
        "data: all packaged documentation, split by page (counts in model-card.md)",
        f"hardware: {hardware()}",
        f"model: SmolLM2-135M-Instruct, full fine-tuning, {recipe['engine']['dtype']} with fp32 master weights",
        f"settings: lr {trainer['lr']}, {trainer['schedule']}, {trainer['warmup_steps']} warm-up steps, batch "
        f"{trainer['batch_size']}, {trainer['epochs']} epochs, seed {trainer['seed']}, rows of "
        f"{recipe['batching']['max_tokens']} tokens with shared prefixes",
        f"steps: {len(steps)}; validation loss {losses}",
        f"time in optimizer steps: {total['seconds'] / 60:.0f} min (other work ran on the machine at the same time)",
        f"tokens: {total['tokens_logical']:,} logical, {total['tokens_physical']:,} physical, "
        f"{total['tokens_supervised']:,} supervised",
        f"tree ratio: {total['tokens_logical'] / total['tokens_physical']:.2f}",
    ]
    plots = "![loss](loss.png)\n\n![throughput](throughput.png)\n\n![evaluation](evaluation.png)\n"
    head = "# Phase 1: SmolLM2-135M learns to plan from all packaged documentation\n\n"
    return (
        head
        + "".join(f"- {fact}\n" for fact in facts)
        + f"\n{plots}\n{report.replace('# ', '## ', 1).replace('![scores](evaluation.png)', '')}"
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
