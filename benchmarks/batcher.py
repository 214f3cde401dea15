"""How long the batcher takes, what it holds, how full its rows are: batcher.py OUTPUT_FOLDER [--samples 10000 100000]

The samples are made up: trajectories of `--steps` steps, each step's prompt begins as its trajectory's others do, and
half of all trajectories share a task's beginning, too. Token numbers are random, so that nothing else is shared. Times
are of one process: reading the samples into flat arrays, the order of an epoch, and laying all its steps out into rows
(sorted, cut, packed). Memory is what the process held more afterwards. Writes batcher.json, README.md, batcher.png.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from training_facts import hardware

from lam_train.batching.layout import BatchingSettings, lay_out
from lam_train.batching.loader import EpochPlan
from lam_train.language.sample import Sample, Samples, Segment
from lam_train.report.markdown import table


def made_up(count: int, steps: int) -> Iterator[Sample]:
    """`count` samples of 100 to 300 tokens, 24 of them targets."""
    rng = np.random.default_rng(0)
    task = np.zeros(0, np.int32)
    for number in range(count):
        trajectory, step = divmod(number, steps)
        if step == 0:
            if trajectory % 2 == 0:
                task = rng.integers(3, 49_000, 60, dtype=np.int32)
            beginning = np.concatenate([task, rng.integers(3, 49_000, 40, dtype=np.int32)])
        prompt = np.concatenate([beginning, rng.integers(3, 49_000, int(rng.integers(20, 180)), dtype=np.int32)])
        answer = rng.integers(3, 49_000, 24, dtype=np.int32)
        yield Sample(f"{trajectory}/{step}", (Segment(prompt), Segment(answer, 1.0)), trajectory=str(trajectory))


def resident_gib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**30


def measure(count: int, args) -> dict:
    before, begun = resident_gib(), time.perf_counter()
    samples = Samples(made_up(count, args.steps))
    read = time.perf_counter() - begun
    found: dict = {"samples": count, "tokens": int(samples.lengths.sum()), "read_s": read,
                   "memory_gib": resident_gib() - before}  # fmt: skip
    for group_by in args.group_by:
        settings = BatchingSettings(max_tokens=args.max_tokens, group_by=group_by)
        plan = EpochPlan(samples, args.batch, 0, group_by)
        begun = time.perf_counter()
        plan.order(0)
        ordered = time.perf_counter() - begun
        physical = logical = rows = 0
        begun = time.perf_counter()
        for step in range(plan.steps_per_epoch):
            chosen = plan.step_samples(step)
            layout = lay_out([samples.tokens(index) for index in chosen.tolist()], settings, args.ranks)
            sizes = [sum(run.size for run in row) for rank in layout.rows for row in rank]
            physical, rows = physical + sum(sizes), rows + len(sizes)
            logical += int(samples.lengths[chosen].sum())
        laying = time.perf_counter() - begun
        found[group_by] = {
            "order_s": ordered, "layout_s": laying, "samples_per_s": count / (ordered + laying),
            "fill": physical / (rows * args.max_tokens), "tree_ratio": logical / physical,
        }  # fmt: skip
    return found


def page(report: dict) -> str:
    body = []
    for found in report["counts"]:
        for group_by in report["group_by"]:
            told = found[group_by]
            body.append(
                [
                    f"{found['samples']:,}", f"{found['tokens'] / 1e6:.1f}", group_by, f"{found['read_s']:.1f}",
                    f"{found['memory_gib']:.2f}", f"{told['order_s']:.2f}", f"{told['layout_s']:.1f}",
                    f"{told['samples_per_s']:,.0f}", f"{told['fill']:.1%}", f"{told['tree_ratio']:.2f}",
                ]
            )  # fmt: skip
    head = ["samples", "million tokens", "group_by", "read, s", "GiB", "order, s", "rows, s", "samples/s",
            "fill", "tree ratio"]  # fmt: skip
    facts = [
        f"- {report['date']}, {report['hardware']}; one process",
        f"- {report['batch']} samples a step, rows of {report['max_tokens']} tokens, {report['ranks']} ranks; the "
        "rows of an epoch",
    ]
    return "\n".join(["# The batcher", "", *facts, "", *table(head, body), "", "![growth](batcher.png)"]) + "\n"


def plot(report: dict, file: Path) -> None:
    """Seconds and memory against the number of samples."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (time_axis, memory_axis) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
    counts = [found["samples"] for found in report["counts"]]
    for group_by in report["group_by"]:
        taken = [found[group_by]["order_s"] + found[group_by]["layout_s"] for found in report["counts"]]
        time_axis.plot(counts, taken, "o-", label=f"group_by={group_by}")
    time_axis.set_ylabel("seconds to plan an epoch")
    time_axis.legend()
    memory_axis.plot(counts, [found["memory_gib"] for found in report["counts"]], "o-")
    memory_axis.set_ylabel("GiB of the samples")
    for axis in (time_axis, memory_axis):
        axis.set_xlabel("samples")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--samples", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--steps", type=int, default=4, help="of a trajectory")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--max-tokens", type=int, default=8192)
    parser.add_argument("--ranks", type=int, default=8)
    parser.add_argument("--group-by", nargs="+", default=["none", "trajectory", "prefix"])
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    counts = []
    for count in args.samples:
        counts.append(measure(count, args))
        print(counts[-1], flush=True)
    report = {"date": time.strftime("%Y-%m-%d"), "hardware": hardware(), "batch": args.batch, "ranks": args.ranks,
              "max_tokens": args.max_tokens, "group_by": args.group_by,
              "counts": counts}  # fmt: skip
    (args.output / "batcher.json").write_text(json.dumps(report, indent=1) + "\n")
    (args.output / "README.md").write_text(page(report))
    plot(report, args.output / "batcher.png")


if __name__ == "__main__":
    main()
