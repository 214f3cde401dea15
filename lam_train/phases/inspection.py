"""`inspect=true`: what would be trained, before anything is: two samples, a tree, counts, memory."""

import math

import numpy as np
import torch
from rich.console import Console
from rich.text import Text

from lam_train.batching.layout import lay_out
from lam_train.batching.loader import Loader, StepBatch
from lam_train.batching.tree import Run
from lam_train.language.conversation import Language
from lam_train.language.sample import Samples
from lam_train.model.load import load_config, load_tokenizer
from lam_train.model.rope import check_positions
from lam_train.model.sequence_parallel import check_shareable
from lam_train.phases.cluster_plan import judging_gib, print_plan, told_checkpointing
from lam_train.phases.imitation import prepare
from lam_train.phases.run import wanted_ranks
from lam_train.phases.training import Prepared, make_loader, total_steps
from lam_train.recipe import Recipe
from lam_train.train.cluster import Cluster
from lam_train.train.distributed import World
from lam_train.train.memory import IN_MAIN_MEMORY, estimate_memory, room_of_a_rank

SHOWN_STEPS = 200  # steps looked at for the averages; all of them where there are fewer


def inspect_training(recipe: Recipe) -> None:
    """Prints to the standard output; loads the tokenizer and the model's configuration, never its weights."""
    console = Console(highlight=False, soft_wrap=True)
    language = Language(load_tokenizer(recipe.model))
    prepared = _prepared(recipe, language)
    ranks = wanted_ranks(recipe)
    if recipe.engine.sequence_parallel > 1:
        check_shareable(load_config(recipe.model), recipe.engine.sequence_parallel)
    steps = total_steps(recipe, len(prepared.train))
    loader = make_loader(recipe, prepared.train, World(0, ranks, 0, ranks, recipe.engine.sequence_parallel), steps)
    for index in loader.plan.step_samples(0)[:2]:
        _print_sample(console, prepared.train, int(index), language)
    _print_tree(console, recipe, loader, language)
    _print_numbers(console, recipe, loader, prepared.counts, ranks)
    if recipe.engine.plan_for is not None:
        print_plan(console, recipe, loader, Cluster.parse(recipe.engine.plan_for))


def _prepared(recipe: Recipe, language: Language) -> Prepared:
    if recipe.run == "reward_model":
        from lam_train.phases.reward_model import prepare as prepare_judged

        return prepare_judged(recipe, language)[0]
    if recipe.run == "offline_ppo":  # the logged actions; sampled answers are there only once the model has answered
        from lam_train.phases.ppo_actions import failed_states

        states = failed_states(recipe, language)
        repeated = {"iterations, each of the optimizer steps below": recipe.ppo.iterations}
        return Prepared(states.samples, None, states.counts | repeated)
    return prepare(recipe, language)


def _print_sample(console: Console, samples: Samples, index: int, language: Language) -> None:
    console.rule(f"sample {samples.ids[index]}: {samples.lengths[index]} tokens")
    tokens, learned = samples.tokens(index), samples.weights(index) != 0
    text = Text()
    for part in np.split(np.arange(len(tokens)), np.flatnonzero(np.diff(learned)) + 1):
        piece = language.tokenizer.decode(
            tokens[part].tolist(), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        if learned[part[0]]:
            text.append("⟦", style="bold green").append(piece, style="green").append("⟧", style="bold green")
        else:
            text.append(piece, style="dim")
    console.print(text)
    console.print(Text(f"⟦target⟧: {int(learned.sum())} tokens, the last is end-of-turn", style="green"))


def _print_tree(console: Console, recipe: Recipe, loader: Loader, language: Language) -> None:
    """The trees of the first row: each branch with its tokens, indented by its depth in the tree."""
    samples, chosen = loader.plan.samples, loader.plan.step_samples(0)
    layout = lay_out([samples.tokens(i) for i in chosen], recipe.batching, loader.dataset.ranks)
    row: list[Run] = layout.rows[0][0]
    console.rule(
        f"first row: {sum(run.size for run in row)} of {recipe.batching.max_tokens} tokens, {len(row)} tree(s)"
    )
    for run in row:
        open_branches: list[int] = []  # depths at which the branches above the current sample begin
        for place in range(run.first, run.last):
            index = chosen[layout.order[place]]
            tokens = samples.tokens(index)
            start = int(layout.shared[place]) if place > run.first else 0
            while open_branches and open_branches[-1] >= max(start, 1):
                open_branches.pop()
            stops = sorted({int(layout.shared[p]) for p in range(place + 1, run.last)} | {len(tokens)})
            reach = [int(layout.shared[place + 1 : p + 1].min()) for p in range(place + 1, run.last)]
            cuts = [s for s in stops if s > start and (s in reach or s == len(tokens))]
            for begin, end in zip([start, *cuts[:-1]], cuts, strict=True):
                words = language.tokenizer.decode(tokens[begin:end].tolist())
                short = " ".join(words.split())
                short = short if len(short) <= 70 else f"{short[:45]} … {short[-20:]}"
                label = f"  {samples.ids[index]}" if end == len(tokens) else ""
                console.print(
                    Text("  " * len(open_branches) + "└ ", style="dim")
                    + Text(f"{end - begin} tokens ", style="cyan")
                    + Text(short)
                    + Text(label, style="yellow")
                )
                open_branches.append(begin)
            open_branches.pop()


def _print_numbers(console: Console, recipe: Recipe, loader: Loader, counts: dict[str, int], ranks: int) -> None:
    looked = range(min(loader.steps, SHOWN_STEPS))
    batches: list[StepBatch] = [loader.dataset[step] for step in looked]
    physical = sum(b.physical_tokens for b in batches)
    logical = sum(b.logical_tokens for b in batches)
    supervised = sum(b.supervised_tokens for b in batches)
    rows = sum(len(b.packs) for b in batches) * loader.dataset.ranks
    scale = loader.steps / len(batches)
    longest = max(len(pack.tokens) for b in batches for pack in b.packs)
    config = load_config(recipe.model)
    check_positions(config, int(loader.plan.samples.lengths.max()))
    memory = estimate_memory(config, recipe.model, recipe.engine, ranks, longest)
    console.rule("the training")
    for name, number in counts.items():
        console.print(f"{name}: {number:,}")
    console.print(f"optimizer steps: {loader.steps:,} of {recipe.trainer.batch_size} samples on {ranks} rank(s)")
    console.print(f"steps an epoch: {loader.plan.steps_per_epoch:,}")
    for what, number in (("logical", logical), ("physical", physical), ("supervised", supervised)):
        console.print(f"tokens, {what}: {math.ceil(number * scale):,}")
    console.print(f"tree ratio (logical / physical): {logical / physical:.2f}")
    repeated = sum(b.repeated_tokens for b in batches)
    console.print(f"repeated because trees were split: {repeated / physical:.1%} of the physical tokens")
    console.print(f"fill of the rows (best-fit decreasing): {physical / (rows * recipe.batching.max_tokens):.0%}")
    console.print(f"longest sample: {loader.plan.samples.lengths.max():,} tokens; longest row: {longest:,}")
    for name, gib in memory.items():
        console.print(f"memory of a rank, {name}: {gib:.2f} GiB")
    if judging := judging_gib(recipe, config, memory, recipe.engine):
        console.print(f"memory of a rank, while the reward model or the starting model scores: {judging:.2f} GiB")
    if recipe.engine.plan_for is None:  # which says it of the GPUs that it plans for
        room = room_of_a_rank(ranks)
        if not torch.cuda.is_available():
            room = max(0, room - memory.get(IN_MAIN_MEMORY, 0))
        console.print(f"a rank can have {room:.0f} GiB here: {told_checkpointing(recipe, ranks, longest, room)}")
