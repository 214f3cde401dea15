"""Attention of packed trees, path by path against a dense mask: time of a row's forward and backward pass.

    python benchmarks/tree_attention.py OUTPUT_FOLDER --data DATA [--recipe phase2_small] [--rows 4] [--repeats 5]

The rows are those that the recipe's loader makes of the data. Both ways run the whole model on each row in turn, in
alternating order; the loss and the gradient's direction are compared in fp32 before anything is timed. Writes
attention.json and README.md.
"""

import argparse
import json
import statistics
import time

import torch
from command import parser_of, run_command
from mfu import synchronize
from training_facts import hardware

from lam_train.batching.loader import EpochPlan, Steps
from lam_train.batching.pack import Pack
from lam_train.language.conversation import Language
from lam_train.model.load import load_model, load_tokenizer
from lam_train.model.trainable import TrainableModel
from lam_train.phases.imitation import prepare
from lam_train.recipe import Recipe, compose_recipe
from lam_train.report.markdown import table
from lam_train.train.allocator import keep_freed_blocks
from lam_train.train.engine import DTYPES

WAYS = ("dense", "auto")  # model.attention; auto is our own products on a CPU, FlexAttention on a GPU
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def main() -> None:
    args = parsed()
    args.output.mkdir(parents=True, exist_ok=True)
    overrides = [f"+recipe={args.recipe}", f"model={args.model}", f"data.train={args.data}", "data.validation=null"]
    recipe = compose_recipe([*overrides, *args.set])
    packs = [pack.to(DEVICE) for pack in rows_of(recipe, args.rows)]
    keep_freed_blocks()
    check_equal(recipe, packs[0])
    found = []
    for dtype in args.dtypes:
        models = {way: model_of(recipe, way, dtype) for way in WAYS}
        for pack in packs:
            seconds: dict[str, list[float]] = {way: [] for way in WAYS}
            for turn in range(args.repeats + 1):  # the first warms up
                for way in WAYS if turn % 2 else WAYS[::-1]:
                    synchronize()
                    begun = time.perf_counter()
                    run(models[way], pack)
                    synchronize()
                    seconds[way].append(time.perf_counter() - begun)
            tokens = len(pack.tokens)
            row = {
                "dtype": dtype, "tokens": tokens, "samples": len(pack.samples),
                "attended_share": int((pack.positions + 1).sum()) / tokens**2,
                **{way: statistics.median(times[1:]) for way, times in seconds.items()},
            }  # fmt: skip
            row["faster"] = row["dense"] / row["auto"]
            found.append(row)
            print(row, flush=True)
        del models
    report = {"date": time.strftime("%Y-%m-%d"), "hardware": hardware(), "threads": torch.get_num_threads(),
              "torch": torch.__version__, "recipe": args.recipe, "repeats": args.repeats, "rows": found}  # fmt: skip
    (args.output / "attention.json").write_text(json.dumps(report, indent=1) + "\n")
    (args.output / "README.md").write_text(page(report))


def rows_of(recipe: Recipe, count: int) -> list[Pack]:
    """The first rows of the recipe's training."""
    samples = prepare(recipe, Language(load_tokenizer(recipe.model))).train
    plan = EpochPlan(samples, recipe.trainer.batch_size, recipe.trainer.seed, recipe.batching.group_by)
    steps, packs = Steps(plan, recipe.batching, 0, 1, 0), []
    for step in range(plan.steps_per_epoch):
        packs += steps[step].packs
        if len(packs) >= count:
            break
    return packs[:count]


def model_of(recipe: Recipe, way: str, dtype: str) -> TrainableModel:
    settings = recipe.model.model_copy(update={"attention": way})
    return TrainableModel(load_model(settings, DTYPES[dtype])).to(DEVICE)


def run(model: TrainableModel, pack: Pack) -> torch.Tensor:
    model.zero_grad()
    loss = -(model(pack) * pack.weights).sum() / pack.weights.sum()
    loss.backward()
    return loss.detach()


def check_equal(recipe: Recipe, pack: Pack) -> None:
    """Raises where the two ways differ by more than fp32 rounding."""
    results = []
    for way in WAYS:
        model = model_of(recipe, way, "fp32")
        loss = run(model, pack)
        results.append((loss, torch.cat([p.grad.flatten() for p in model.parameters()])))
    (loss, gradient), (other_loss, other_gradient) = results
    error = float((gradient - other_gradient).norm() / gradient.norm())
    if abs(float(loss - other_loss)) > 1e-5 * float(loss) or error > 1e-4:
        raise SystemExit(f"not the same: losses {loss} and {other_loss}, gradients differ by {error:.1e}")
    print(f"the same in fp32: losses {loss:.6f} and {other_loss:.6f}, gradients differ by {error:.1e} of their norm")


def page(report: dict) -> str:
    head = ["dtype", "tokens", "samples", "attended share", "dense mask, s", "by paths, s", "faster by"]
    body = [
        [row["dtype"], f"{row['tokens']:,}", f"{row['samples']}", f"{row['attended_share']:.2f}",
         f"{row['dense']:.3f}", f"{row['auto']:.3f}", f"{row['faster']:.2f}"]
        for row in report["rows"]
    ]  # fmt: skip
    facts = [
        f"- {report['date']}, {report['hardware']}, {report['threads']} threads, torch {report['torch']}",
        f"- rows of {report['recipe']}; forward and backward of the whole model, median of {report['repeats']} turns",
        "- attended share: of all pairs of tokens in a row, those where one sees the other",
    ]
    return "\n".join(["# Attention of packed trees", "", *facts, "", *table(head, body)]) + "\n"


def parsed() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--dtypes", nargs="+", choices=list(DTYPES), default=["bf16", "fp32"])
    return parser.parse_args()


if __name__ == "__main__":
    run_command(main)
