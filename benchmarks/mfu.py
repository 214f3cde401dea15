"""Model FLOPs utilisation of full fine-tuning in bf16 on one device: random weights, packed rows of random tokens.

    python benchmarks/mfu.py OUTPUT_FOLDER [--shapes mistral-7b qwen3-0.6b smollm2-135m] [--lengths 2048 4096 8192]

Each shape is a process of its own: model, DeepSpeed engine, loss and update are those of a training (the trainer's
guards and metrics are not in it). All tokens but a document's first are targets; `--document` cuts rows into documents
of that length. MFU is told twice: with every token's own path counted (causal), and as if each token attended to its
whole document (full), as most published numbers are. The peak is the vendor's dense bf16 one; on a CPU, where nobody
names one, the rate of a large bf16 product measured here. A case that does not fit says so. Writes mfu.json, README.md.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch
from training_facts import hardware

from lam_train.batching.layout import BatchingSettings
from lam_train.batching.loader import Loader
from lam_train.language.sample import Sample, Samples, Segment
from lam_train.model.head import DEFAULT_BUDGET, ChunkedHead
from lam_train.model.layers import checkpoint_layers, checkpointed_layers, compile_layers
from lam_train.model.trainable import TrainableModel
from lam_train.model.tree_attention import FLEX, NAME, register
from lam_train.objectives.imitation import imitation
from lam_train.report.markdown import table
from lam_train.train.allocator import keep_freed_blocks
from lam_train.train.distributed import join_world, leave_world
from lam_train.train.engine import EngineSettings, build_engine
from lam_train.train.flops import ModelShape, peak_flops
from lam_train.train.metrics import memory_gib

SHAPES = {
    "mistral-7b": ("mistral", {
        "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 8, "vocab_size": 32768, "sliding_window": None, "tie_word_embeddings": False}),
    "qwen3-0.6b": ("qwen3", {
        "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
        "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": True}),
    "smollm2-135m": ("llama", {
        "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True}),
}  # fmt: skip


def random_model(shape: str, layers: int | None, device: torch.device, attention: str) -> torch.nn.Module:
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, sizes = SHAPES[shape]
    if layers is not None:
        sizes = {**sizes, "num_hidden_layers": layers}
    register()
    config = AutoConfig.for_model(kind, max_position_embeddings=32768, use_cache=False, **sizes)
    with device:
        causal = AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=torch.bfloat16)
    ChunkedHead.replace(causal, DEFAULT_BUDGET)
    return causal


def one_shape(args) -> list[dict]:
    """Steps of one shape at each length, in this process."""
    world = join_world_alone()
    attention = {"auto": NAME, "dense": "sdpa", "flex": FLEX}[args.attention]
    causal = random_model(args.shapes[0], args.layers, world.device, attention)
    if args.compile:
        compile_layers(causal)
    if world.device.type == "cpu":
        keep_freed_blocks()
    settings = EngineSettings(dtype="bf16", zero_stage=args.zero_stage, offload=args.offload)
    engine = build_engine(
        TrainableModel(causal), settings, lr=1e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, clipping=1.0
    )
    engine.train()
    found = []
    cases = zip(args.lengths, args.document, args.rows, args.checkpointing, strict=True)
    for length, document, rows, checkpointing in cases:
        checkpoint_layers(causal, checkpointing)
        row = {
            "shape": args.shapes[0], "layers": causal.config.num_hidden_layers, "length": length, "rows": rows,
            "document": min(document or length, length), "checkpointing": checkpointing,
            "zero_stage": args.zero_stage, "offload": args.offload, "attention": args.attention,
            "compiled": args.compile,
        }  # fmt: skip
        try:
            found.append(row | steps_at(engine, row, args.steps, args.warmup))
        except torch.OutOfMemoryError as error:
            found.append(row | {"does_not_fit": str(error)[:300]})
        if "does_not_fit" in found[-1]:  # here, not above: the exception holds the pass's tensors
            engine.optimizer.zero_grad()
            gc.collect()
            torch.cuda.empty_cache()
    leave_world()
    return found


def steps_at(engine, row: dict, steps: int, warmup: int) -> dict:
    """What `steps` optimizer steps of the row's length and number took, after `warmup` of one row."""
    length, document, rows, device = row["length"], row["document"], row["rows"], engine.device
    rng = np.random.default_rng(0)
    made = []
    for number in range(length // document):
        tokens = rng.integers(5, 30_000, document).astype(np.int32)
        made.append(Sample(str(number), (Segment(tokens[:1]), Segment(tokens[1:], 1.0))))
    lot = BatchingSettings(max_tokens=length, share_prefixes=False, workers=0)
    (pack,) = Loader(Samples(made), lot, batch_size=len(made), steps=1, seed=0).dataset[0].packs
    targets, tokens = rows * len(pack.targets), rows * len(pack.tokens)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds, retries = [], allocation_retries()
    for step in range(-warmup, steps):
        synchronize()
        begun = time.perf_counter()
        for _ in range(rows if step >= 0 else 1):
            moved = pack.to(device)
            engine.backward(imitation(engine(moved), moved) / targets, scale_wrt_gas=False)
        engine.step()
        synchronize()
        seconds.append(time.perf_counter() - begun)
    shape, took = ModelShape.of(engine.module.causal), statistics.median(seconds[warmup:])
    causal_pairs, full_pairs = rows * int((pack.positions + 1).sum()), tokens * document
    peak = peak_flops() or measured_peak()
    return {
        "tokens": tokens, "seconds": took, "each": [round(one, 3) for one in seconds[warmup:]],
        "allocation_retries": allocation_retries() - retries, "tokens_per_s": tokens / took, "memory_gib": memory_gib(),
        "peak_tflops": peak / 1e12,
        "mfu_causal": shape.flops(tokens, targets, causal_pairs) / took / peak,
        "mfu_full": shape.flops(tokens, targets, full_pairs) / took / peak,
    }  # fmt: skip


def join_world_alone():
    from lam_train.recipe import compose_recipe

    return join_world(compose_recipe(["+recipe=phase1", "model=tiny", "launch.processes=1"]).launch)


def allocation_retries() -> int:
    """How often a GPU's memory was full and what lay unused was given back, which takes time."""
    return torch.cuda.memory_stats()["num_alloc_retries"] if torch.cuda.is_available() else 0


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measured_peak() -> float:
    """FLOP/s of a large bf16 product on this CPU, the best of ten."""
    left, right = torch.randn(2048, 2048, dtype=torch.bfloat16), torch.randn(2048, 2048, dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(10):
        begun = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - begun)
    return 2 * 2048**3 / best


def in_a_process(args, shape: str) -> list[dict]:
    passed = ["--rows", *args.rows, "--steps", args.steps, "--warmup", args.warmup, "--zero-stage", args.zero_stage,
              "--offload", args.offload, "--attention", args.attention, "--lengths", *args.lengths,
              "--document", *args.document,
              "--checkpointing", *map(json.dumps, args.checkpointing)]  # fmt: skip
    if args.layers:
        passed += ["--layers", args.layers]
    passed += ["--compile"] if args.compile else []
    command = [sys.executable, __file__, str(args.output), "--one", "--shapes", shape, *map(str, passed)]
    environment = {**os.environ, "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    if "OutOfMemoryError" in done.stderr:
        return [{"shape": shape, "length": length, "does_not_fit": done.stderr[-300:]} for length in args.lengths]
    raise SystemExit(f"{shape}:\n{done.stderr[-3000:]}")


def main() -> None:
    args = parsed()
    if args.one:
        print(json.dumps(one_shape(args)))
        return
    args.output.mkdir(parents=True, exist_ok=True)
    rows = []
    for shape in args.shapes:
        rows += in_a_process(args, shape)
        print(*rows[-len(args.lengths) :], sep="\n", flush=True)
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else hardware()
        report = {"date": time.strftime("%Y-%m-%d"), "device": device, "torch": torch.__version__,
                  "steps": args.steps, "rows": rows}  # fmt: skip
        (args.output / "mfu.json").write_text(json.dumps(report, indent=1) + "\n")
        (args.output / "README.md").write_text(page(report))


def page(report: dict) -> str:
    head = ["", "row", "rows a step", "document", "layers again", "s a step", "tokens/s", "MFU, causal", "MFU, full",
            "GiB"]  # fmt: skip
    body = [
        [row["shape"], f"{row['length']:,}", f"{row['rows']}", f"{row['document']:,}", again(row),
         f"{row['seconds']:.3f}", f"{row['tokens_per_s']:,.0f}", f"{row['mfu_causal']:.1%}", f"{row['mfu_full']:.1%}",
         f"{row['memory_gib']:.1f}"]
        if "seconds" in row else [row["shape"], f"{row['length']:,}", "does not fit", *[""] * 7]
        for row in report["rows"]
    ]  # fmt: skip
    first = next((row for row in report["rows"] if "seconds" in row), None)
    how = []
    if first is not None:
        compiled = "compiled layers" if first["compiled"] else "layers not compiled"
        how = [
            f"- ZeRO {first['zero_stage']}, offload {first['offload']}, attention {first['attention']}, {compiled}; "
            f"peak {first['peak_tflops']:,.1f} TFLOP/s",
            "- layers again: those with gradient checkpointing, of all; document: tokens that see each other",
        ]
    where = f"{report['date']}, {report['device']}, torch {report['torch']}"
    facts = [f"- {where}; median of {report['steps']} steps", *how]
    return "\n".join(["# Model FLOPs utilisation", "", *facts, "", *table(head, body)]) + "\n"


def again(row: dict) -> str:
    return f"{checkpointed_layers(row['checkpointing'], row['layers'])} of {row['layers']}"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--layers", type=int, help="of each shape, instead of all")
    parser.add_argument("--lengths", type=int, nargs="+", default=[2048, 4096, 8192])
    parser.add_argument(
        "--document",
        type=int,
        nargs="+",
        default=[0],
        help="tokens of a document: a number for each length or one for all; 0: a row is one",
    )
    parser.add_argument(
        "--rows",
        type=int,
        nargs="+",
        default=[1],
        help="rows of an optimizer step, one after the other: a number for each length or one for all",
    )
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--zero-stage", type=int, default=0)
    parser.add_argument("--offload", choices=["none", "cpu"], default="none")
    parser.add_argument("--attention", choices=["auto", "dense", "flex"], default="auto", help="as model.attention")
    parser.add_argument(
        "--checkpointing",
        type=json.loads,
        nargs="*",
        default=[False],
        help="layers that compute again, a number for each length or one for all; true: all",
    )
    parser.add_argument("--compile", action="store_true", help="each layer, with torch.compile")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.checkpointing = args.checkpointing or [True]
    for name in ("rows", "document", "checkpointing"):
        if len(given := getattr(args, name)) == 1:
            setattr(args, name, given * len(args.lengths))
        elif len(given) != len(args.lengths):
            parser.error(f"--{name}: {len(given)} given for {len(args.lengths)} lengths")
    return args


if __name__ == "__main__":
    main()
