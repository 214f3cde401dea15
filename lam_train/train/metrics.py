"""Metrics, named once with their units, to `metrics.jsonl` always and to trackers if asked."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
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
    _known: list[dict] = field(default_factory=list, init=False, repr=False, compare=False)
    """what `numbers` has read: the rows of the file's first `_end` bytes"""
    _end: int = field(default=0, init=False, repr=False, compare=False)
    _last: bytes = field(default=b"", init=False, repr=False, compare=False)
    """the line before `_end`: where another stands there now, the file was rewritten"""

    def write(self, row: dict) -> None:
        """Appends a row; it survives the process being killed the moment after."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()

    def read(self) -> list[dict]:
        """All whole rows; a last line cut short by a kill is left out. The ids of a long run's samples are most of it:
        who does not need them asks for `numbers`."""
        return list(self._rows())

    def numbers(self) -> list[dict]:
        """All whole rows without the ids in `samples`; reads only what was appended since the last call."""
        if not self.path.exists():
            self._forget()
            return []
        with self.path.open("rb") as file:
            file.seek(self._end - len(self._last))
            if file.read(len(self._last)) != self._last:
                self._forget()
                file.seek(0)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # cut short by a kill, or still being written: read again next time
                self._end, self._last = self._end + len(line), line
                row = _parsed(line)
                if row is not None:  # interned: the names would be most of the memory
                    self._known.append({sys.intern(name): row[name] for name in row if name != "samples"})
        return list(self._known)

    def rewind(self, step: int) -> None:
        """Forgets the rows behind `step`: the run goes on from there and writes them again."""
        self.keep(lambda row: row["step"] <= step)

    def keep(self, wanted: Callable[[dict], bool]) -> None:
        """Forgets all other rows."""
        partial = self.path.with_name(self.path.name + ".partial")
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in self._rows() if wanted(row))
        os.replace(partial, self.path)
        self._forget()

    def _rows(self) -> Iterator[dict]:
        """The whole rows, one at a time."""
        if self.path.exists():
            with self.path.open("rb") as file:
                yield from (row for row in map(_parsed, file) if row is not None)

    def _forget(self) -> None:
        self._known, self._end, self._last = [], 0, b""


def _parsed(line: bytes) -> dict | None:
    """The row of a line, or None where a kill cut it short."""
    try:
        return json.loads(line.decode("utf-8"))
    except ValueError:
        return None


def memory_gib() -> float:
    """Peak GPU memory allocated by this process, or its resident set on a CPU, in GiB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return psutil.Process().memory_info().rss / 2**30
