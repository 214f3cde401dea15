"""Metrics, named once with their units, to `metrics.jsonl` always and to trackers if asked."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

# name -> what it is, with its unit. Every number a run reports is one of these.
METRICS = {
    "step": "optimizer steps done",
    "loss": "the step's weighted mean; phases 1 to 3: negative log-probability, nats a supervised token; 4a: squared "
    "error of a step's score; 4b: PPO's objective, an action",
    "lr": "learning rate of the step",
    "grad_norm": "L2 norm of the whole gradient before clipping",
    "tokens_physical": "tokens that went through the model in the step, over all ranks; a shared prefix once",
    "tokens_logical": "tokens that a trainer without sharing would have processed",
    "tokens_repeated": "of the physical ones: prefixes that ran again because a tree was split over rows or ranks",
    "tokens_supervised": "target tokens",
    "tokens_per_second_physical": "tokens/s",
    "tokens_per_second_logical": "tokens/s",
    "tokens_per_second_supervised": "tokens/s",
    "tree_ratio": "tokens_logical / tokens_physical",
    "epoch": "epochs of data seen",
    "micro_batches": "rows a rank ran in the step",
    "seconds": "seconds of wall clock for the step",
    "model_flops": "FLOPs of the step, over all ranks, without what is computed again (train/flops.py)",
    "mfu": "model FLOPs utilisation, 0 to 1 (train/flops.py); only on a GPU of known peak",
    "memory_gib": "GiB: peak allocated on the GPU, or resident set on a CPU, of rank 0",
}

# What phase 4b's rows have besides.
PPO_METRICS = {
    "kl": "nats an action, estimated, from the policy to the model it began as",
    "kl_old": "nats an action, estimated, from the policy to the one that acted",
    "kl_coefficient": "of the KL in the loss, as the step used it",
    "clip_fraction": "share of target tokens whose ratio is clipped",
    "ratio": "mean of new over old probability (of tokens, or of actions)",
    "entropy": "nats a target token, of the policy's whole distribution",
    "reward": "mean reward of the step's actions (of a probe: of its answers), -0.5 to 0.5",
    "iteration": "which iteration's experience the step learned from, from 0",
    "value_loss": "the value head's, a mean over actions",
    "explained_variance": "1 - variance of return less value / variance of return, of the step's actions",
    "format_valid_rate": "share of a probe's answers that are an action in the format",
    "reward_within": "of an experience: mean deviation of the rewards of different answers to one state",
    "reward_between": "of an experience: deviation of the states' mean rewards",
    "judge_seconds": "of a row of kind experience: the reward model's; its seconds are the policy's own pass",
    "reference_seconds": "of a row of kind experience: the starting model's, loaded for it; 0 at the first iteration",
}


@dataclass
class MetricsFile:
    """`metrics.jsonl`: one object an optimizer step (kind "train"), and one an evaluation (another kind)."""

    path: Path

    def write(self, row: dict) -> None:
        """Appends a row; it survives the process being killed the moment after."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()

    def read(self) -> list[dict]:
        """All whole rows; a last line cut short by a kill is left out."""
        rows = []
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    rows.append(json.loads(line))
                except json.JSONDecodeError:
                    continue
        return rows

    def rewind(self, step: int) -> None:
        """Forgets the rows behind `step`: the run goes on from there and writes them again."""
        rows = [row for row in self.read() if row["step"] <= step]
        partial = self.path.with_name(self.path.name + ".partial")
        partial.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        os.replace(partial, self.path)


def memory_gib() -> float:
    """Peak GPU memory allocated by this process, or its resident set on a CPU, in GiB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return psutil.Process().memory_info().rss / 2**30
