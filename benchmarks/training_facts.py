"""What the results of every training say: where and how it ran, what it took."""

import json
import os
import platform
import shutil
from pathlib import Path

import torch
import yaml

COPIED = ("recipe.yaml", "versions.json", "loss.png", "throughput.png")


def hardware() -> str:
    """The processor, the memory and the GPU of this machine, as Linux and CUDA name them."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{os.cpu_count()} cores of {models[0].split(':')[1].strip()}, {gib:.0f} GiB, {platform.system()}, {gpu}"


def copy_training(training: Path, target: Path) -> list[dict]:
    """Copies recipe, versions, plots, model card and the metrics without sample ids; returns the metrics' rows."""
    target.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copy(training / name, target / name)
    shutil.copy(training / "model" / "README.md", target / "model-card.md")
    rows = [json.loads(line) for line in (training / "metrics.jsonl").read_text().splitlines()]
    kept = [{k: v for k, v in row.items() if k != "samples"} for row in rows]
    (target / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
    return rows


def training_facts(training: Path, rows: list[dict], data: str) -> list[str]:
    """One line a fact; `data` says what was trained on."""
    recipe = yaml.safe_load((training / "recipe.yaml").read_text())
    versions = json.loads((training / "versions.json").read_text())
    steps = [row for row in rows if row["kind"] == "train"]
    held_out = [row for row in rows if row["kind"] == "validation"]
    total = {
        key: sum(row[key] for row in steps)
        for key in ("seconds", "tokens_physical", "tokens_logical", "tokens_supervised")
    }
    trainer, losses = recipe["trainer"], ", ".join(f"{row['loss']:.3f} (step {row['step']})" for row in held_out)
    return [
        f"date: {versions['time'][:10]}; commit {versions['git_commit'][:12]}"
        + (" with uncommitted changes" if versions["git_changes"] else ""),
        f"data: {data} (counts in model-card.md)",
        f"hardware: {hardware()}",
        f"model: SmolLM2-135M-Instruct, full fine-tuning, {recipe['engine']['dtype']} with fp32 master weights",
        f"settings: lr {trainer['lr']}, {trainer['schedule']}, {trainer['warmup_steps']} warm-up steps, batch "
        f"{trainer['batch_size']}, {steps[-1]['epoch']:.2f} epochs, seed {trainer['seed']}, rows of "
        f"{recipe['batching']['max_tokens']} tokens with shared prefixes",
        f"steps: {len(steps)}" + (f"; validation loss {losses}" if losses else "; no validation during training"),
        f"time in optimizer steps: {total['seconds'] / 60:.0f} min (other work ran on the machine at the same time)",
        f"tokens: {total['tokens_logical']:,} logical, {total['tokens_physical']:,} physical, "
        f"{total['tokens_supervised']:,} supervised",
        f"tree ratio: {total['tokens_logical'] / total['tokens_physical']:.2f}",
    ]
