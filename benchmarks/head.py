"""The head and its loss: time and memory of a row's targets, by autograd, by ours, and with Liger's fused kernel.

    python benchmarks/head.py OUTPUT_FOLDER [--shapes mistral-7b …] [--targets 1024 8192] [--budget 1073741824]

Forward and backward of the head alone, bf16, random hidden states: `autograd` is a plain layer and cross-entropy,
`kept` is ours with every target's slopes kept, `chunked` what `model.logits_budget` makes of it, `Liger` its fused
linear cross-entropy (on a GPU, where it is installed). Each gives a log-probability a target, and its gradients are
compared with those of `autograd` in fp32. Memory is what the pass
needs over what was there before it. Writes head.json and README.md.
"""

import argparse
import gc
import inspect
import json
import multiprocessing
import statistics
import time
from pathlib import Path

import psutil
import torch
from mfu import SHAPES, synchronize
from training_facts import hardware

from lam_train.model.head import DEFAULT_BUDGET, ChunkedHead
from lam_train.report.markdown import table
from lam_train.train.allocator import keep_freed_blocks

WAYS = ("autograd", "kept", "chunked", "Liger")
EVERYTHING = 2**60  # a budget that no row's logits reach


class Case:
    """A head's weight [V, D], hidden states [N, D], targets [N], and each target's own weight in the loss."""

    def __init__(self, shape: str, targets: int, device: str, dtype: torch.dtype) -> None:
        sizes = SHAPES[shape][1]
        width, vocabulary = sizes["hidden_size"], sizes["vocab_size"]
        random = torch.Generator().manual_seed(0)
        self.head = torch.nn.Linear(width, vocabulary, bias=False, device=device, dtype=dtype)
        self.head.__class__ = ChunkedHead
        with torch.no_grad():
            # In place: what is made on the way would count as the pass's largest memory.
            self.head.weight.normal_(std=width**-0.5, generator=torch.Generator(device).manual_seed(0))
        hidden = torch.randn(targets, width, generator=random)
        self.hidden_ND = hidden.to(device, dtype).requires_grad_()
        self.targets_N = torch.randint(vocabulary, (targets,), generator=random).to(device)
        self.weights_N = torch.rand(targets, generator=random).to(device)

    def run(self, way: str, budget: int) -> None:
        """Forward and backward; the gradients are left on the head's weight and on the hidden states."""
        self.head.weight.grad = self.hidden_ND.grad = None
        if way == "Liger":
            from liger_kernel.ops.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyFunction

            give = {"reduction": "none", "accum_dtype": torch.float32}
            found = call_with_names(LigerFusedLinearCrossEntropyFunction, self.hidden_ND, self.head.weight,
                                    self.targets_N, **give)  # fmt: skip
            logprobs = -found[0]
        elif way == "autograd":
            logits_NV = torch.nn.functional.linear(self.hidden_ND, self.head.weight)
            logprobs = -torch.nn.functional.cross_entropy(logits_NV.float(), self.targets_N, reduction="none")
        else:
            self.head.logits_budget = EVERYTHING if way == "kept" else budget
            logprobs = self.head(self.hidden_ND, self.targets_N)
        (-(logprobs * self.weights_N).sum() / len(self.targets_N)).backward()

    def gradients(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.head.weight.grad.float(), self.hidden_ND.grad.float()


def call_with_names(function, *positional, **named):
    """An autograd function's `apply`, which takes no names, with those of its `forward`."""
    parameters = list(inspect.signature(function.forward).parameters.values())[1:]  # without ctx
    values = list(positional)
    for parameter in parameters[len(positional) :]:
        values.append(named.get(parameter.name, parameter.default))
    return function.apply(*values)


def measure(shape: str, targets: int, way: str, budget: int, repeats: int) -> dict:
    """Seconds (the median after a warm-up) and GiB of one way."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    Case(shape, 1, device, torch.bfloat16).run("chunked", budget)  # what any first pass loads
    case = Case(shape, targets, device, torch.bfloat16)
    gc.collect()
    before = held(device)
    if device == "cpu":
        keep_freed_blocks()  # as a training does; from here on
    seconds = []
    for _ in range(repeats + 1):
        synchronize()
        begun = time.perf_counter()
        case.run(way, budget)
        synchronize()
        seconds.append(time.perf_counter() - begun)
    return {"shape": shape, "targets": targets, "way": way, "seconds": statistics.median(seconds[1:]),
            "gib": most_held(device) - before}  # fmt: skip


def held(device: str) -> float:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**30
    return psutil.Process().memory_info().rss / 2**30


def most_held(device: str) -> float:
    """GiB: the most that was allocated on the GPU, or that the process ever had in memory.

    On a CPU it is this program's own: `getrusage` also tells the largest of the process that started it.
    """
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 2**20


def in_a_process(*arguments) -> dict:
    """On a CPU a process's largest memory never falls: each measurement has its own."""
    if torch.cuda.is_available():
        return measure(*arguments)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, arguments)


def difference(shape: str, targets: int, way: str, budget: int) -> float:
    """How far a way's gradients in bf16 are from those of autograd in fp32, as a share of their norm; the larger."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    exact, case = Case(shape, targets, device, torch.float32), Case(shape, targets, device, torch.bfloat16)
    with torch.no_grad():
        exact.head.weight.copy_(case.head.weight)
        exact.hidden_ND.copy_(case.hidden_ND)
    exact.run("autograd", budget)
    case.run(way, budget)
    pairs = zip(exact.gradients(), case.gradients(), strict=True)
    return max(float((mine - true).norm() / true.norm()) for true, mine in pairs)


def main() -> None:
    args = parsed()
    args.output.mkdir(parents=True, exist_ok=True)
    ways = [way for way in WAYS if way != "Liger" or has_liger()]
    rows = []
    for shape in args.shapes:
        for targets in args.targets:
            for way in ways:
                row = in_a_process(shape, targets, way, args.budget, args.repeats)
                row["difference"] = difference(shape, min(targets, 512), way, args.budget // 8)
                rows.append(row)
                print(row, flush=True)
    report = {"date": time.strftime("%Y-%m-%d"), "hardware": hardware(), "threads": torch.get_num_threads(),
              "torch": torch.__version__, "repeats": args.repeats, "budget": args.budget, "rows": rows}  # fmt: skip
    (args.output / "head.json").write_text(json.dumps(report, indent=1) + "\n")
    (args.output / "README.md").write_text(page(report))


def has_liger() -> bool:
    from importlib.util import find_spec

    return torch.cuda.is_available() and find_spec("liger_kernel") is not None


def page(report: dict) -> str:
    head = ["", "targets", "way", "ms", "GiB", "gradients differ by"]
    body = [
        [row["shape"], f"{row['targets']:,}", row["way"], f"{row['seconds'] * 1000:,.1f}", f"{row['gib']:.2f}",
         f"{row['difference']:.1e}"]
        for row in report["rows"]
    ]  # fmt: skip
    facts = [
        f"- {report['date']}, {report['hardware']}, torch {report['torch']}",
        f"- forward and backward in bf16, median of {report['repeats']} passes",
        f"- chunks of model.logits_budget={report['budget']}; the difference is that from fp32, of 512 targets at most",
    ]
    return "\n".join(["# The head and its loss", "", *facts, "", *table(head, body)]) + "\n"


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--targets", type=int, nargs="+", default=[1024, 8192])
    parser.add_argument("--budget", type=int, default=DEFAULT_BUDGET, help="bytes")
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
