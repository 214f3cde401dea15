"""A row of one long sample, forward and backward, on one rank and shared by two: seconds and memory of each rank.

    python benchmarks/shared_rows.py FOLDER [--tokens 4096 8192] [--turns 3]

A random model of 72 million weights in bf16, on a CPU; two threads together on both sides, alternating. Each
training is a process of its own, whose second pass is timed. Writes shared_rows.json and README.md into FOLDER.
"""

import argparse
import json
import os
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing
from command import run_command

from lam_train.batching.pack import PackInput, build_pack
from lam_train.model.head import ChunkedHead
from lam_train.model.trainable import TrainableModel
from lam_train.model.tree_attention import NAME, register
from lam_train.train.allocator import keep_freed_blocks
from lam_train.train.distributed import LaunchSettings, join_world, leave_world
from lam_train.train.engine import share_rows

THREADS, TARGETS = 2, 256
SIZES = {
    "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 12,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 72, "tie_word_embeddings": True,
    "max_position_embeddings": 65536, "pad_token_id": None,
}  # fmt: skip


def one_rank(rank: int, ranks: int, tokens: int, port: int, found) -> None:
    """Puts (seconds, GiB more than before the first pass at the peak, the loss)."""
    from transformers import AutoConfig, AutoModelForCausalLM

    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(ranks), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(ranks),
                   "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}  # fmt: skip
    world = join_world(LaunchSettings(threads=THREADS // ranks), sequence_parallel=ranks)
    keep_freed_blocks()
    register()
    torch.manual_seed(0)
    config = AutoConfig.for_model("llama", **SIZES)
    causal = AutoModelForCausalLM.from_config(config, attn_implementation=NAME).bfloat16()
    causal.config.use_cache = False
    ChunkedHead.replace(causal, 2**28)
    model = share_rows(TrainableModel(causal), world)
    sample = np.random.default_rng(0).integers(0, SIZES["vocab_size"], tokens).astype(np.int32)
    weights = np.zeros(tokens, np.float32)
    weights[-TARGETS:] = 1
    pack = build_pack([PackInput("a", sample, weights, 0)])
    before = _peak_gib()
    for _ in range(2):
        begun = time.perf_counter()
        loss = -(model(pack) * pack.weights).mean()
        loss.backward()
        seconds = time.perf_counter() - begun
    found.put((seconds, _peak_gib() - before, loss.item()))
    leave_world()


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tokens", type=int, nargs="+", default=[4096, 8192])
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()
    rows = []
    for tokens in args.tokens:
        for turn in range(args.turns):
            for ranks in (1, 2):
                found = torch.multiprocessing.get_context("spawn").SimpleQueue()
                port = 29500 + os.getpid() % 400 + ranks
                torch.multiprocessing.spawn(one_rank, (ranks, tokens, port, found), nprocs=ranks)
                each = [found.get() for _ in range(ranks)]
                seconds, gib, loss = max(e[0] for e in each), max(e[1] for e in each), each[0][2]
                rows.append(
                    {"tokens": tokens, "turn": turn, "ranks": ranks, "seconds": seconds, "gib": gib, "loss": loss}
                )
                print(rows[-1], flush=True)
    args.folder.mkdir(parents=True, exist_ok=True)
    (args.folder / "shared_rows.json").write_text(
        json.dumps({"torch": torch.__version__, "rows": rows}, indent=1) + "\n"
    )
    (args.folder / "README.md").write_text(table(rows))


def table(rows: list[dict]) -> str:
    """Medians over the turns, in Markdown."""
    lines = ["| tokens | ranks | s | GiB of a rank, beyond what it had before | loss |", "|---|---|---|---|---|"]
    for tokens in dict.fromkeys(row["tokens"] for row in rows):
        for ranks in (1, 2):
            mine = [row for row in rows if row["tokens"] == tokens and row["ranks"] == ranks]
            seconds, gib = (statistics.median(row[key] for row in mine) for key in ("seconds", "gib"))
            lines.append(f"| {tokens:,} | {ranks} | {seconds:.1f} | {gib:.2f} | {mine[0]['loss']:.5f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run_command(main)
