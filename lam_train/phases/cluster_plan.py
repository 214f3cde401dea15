"""`inspect=true engine.plan_for=64xH100`: what a step of this training would cost there, for each ZeRO stage."""

import statistics
from datetime import timedelta

from rich import box
from rich.console import Console
from rich.table import Table

from lam_train.batching.loader import Loader
from lam_train.model.layers import checkpointed_layers
from lam_train.model.load import load_config
from lam_train.recipe import Recipe
from lam_train.train.cluster import ASSUMED_MFU, RECOMPUTATION, Cluster, Step, cost, exchanged, traffic
from lam_train.train.engine import EngineSettings
from lam_train.train.flops import ModelShape
from lam_train.train.memory import estimate_memory, fewest_checkpointed, gib_while_judging, trained_parameters

LOOKED_AT = 20  # optimizer steps


def print_plan(console: Console, recipe: Recipe, loader: Loader, cluster: Cluster) -> None:
    """A row for each stage; the loader is that of the cluster's first rank."""
    config = load_config(recipe.model)
    shape = ModelShape.of_config(config)
    parameters, trained = trained_parameters(config, recipe.model)
    batches = [loader.dataset[step] for step in range(min(loader.steps, LOOKED_AT))]
    packs = [pack for batch in batches for pack in batch.packs]
    shared = recipe.engine.sequence_parallel
    flops = sum(shape.flops(len(pack.tokens), len(pack.targets), int((pack.positions + 1).sum())) for pack in packs) / (
        len(batches) * shared
    )
    micro_batches = statistics.mean(len(batch.packs) for batch in batches)
    layers = config.num_hidden_layers
    recomputed = checkpointed_layers(recipe.model.gradient_checkpointing, layers) / layers
    step = Step(flops, recipe.engine.dtype, recomputed)
    to_neighbours = sum(
        exchanged(recipe.engine, shape, len(pack.tokens), len(pack.targets), recomputed) for pack in packs
    ) / len(batches)
    logical = statistics.mean(batch.logical_tokens for batch in batches)
    longest = max(len(pack.tokens) for pack in packs)

    one = "GPU" if shared == 1 else f"group of {shared} GPUs"
    console.rule(f"on {recipe.engine.plan_for}: a model of costs, not a measurement (docs/scaling.md)")
    console.print(
        f"{micro_batches:.1f} rows a {one} and step, {recipe.engine.dtype}; {ASSUMED_MFU:.0%} of the peak and no "
        "overlap are assumed"
    )
    table = Table(box=box.SIMPLE)
    for name in ("ZeRO", "GiB", "fits", "GB sent", "compute", "network", "tokens/s", "in all"):
        table.add_column(name, justify="right", no_wrap=True)
    for stage in range(4):
        engine = recipe.engine.model_copy(update={"zero_stage": stage, "offload": "none"})
        parts = estimate_memory(config, recipe.model, engine, cluster.count, longest)
        gib = max(parts["together"], judging_gib(recipe, config, parts, engine))
        sent = traffic(engine, parameters, trained, micro_batches, cluster.count)
        found = cost(cluster, step, sent, to_neighbours, shared)
        asked = " *" if stage == recipe.engine.zero_stage else ""
        table.add_row(
            f"{stage}{asked}", f"{gib:.1f}", "yes" if gib < cluster.gpu.memory_gib else "no",
            f"{(sent + to_neighbours) / 1e9:.2f}",
            f"{found.compute:.2f} s", f"{found.network:.2f} s", f"{logical / found.seconds:,.0f}",
            str(timedelta(seconds=round(found.seconds * loader.steps))),
        )  # fmt: skip
    console.print(table)
    room = cluster.gpu.memory_gib
    told = told_checkpointing(recipe, cluster.count, longest, room)
    console.print(f"* as the recipe has it; a GPU has {room:.0f} GiB: {told}")
    console.print("GiB, GB sent, compute, network: of a GPU in a step; tokens/s: logical, of all; in all: h:mm:ss")


def judging_gib(recipe: Recipe, config, parts: dict[str, float], engine: EngineSettings) -> float:
    """`gib_while_judging` of offline PPO; of other trainings 0."""
    return gib_while_judging(config, engine, parts) if recipe.run == "offline_ppo" else 0.0


def told_checkpointing(recipe: Recipe, ranks: int, longest: int, room: float) -> str:
    """Which `model.gradient_checkpointing` would do for rows of `longest` tokens in `room` GiB a rank."""
    config = load_config(recipe.model)
    parts = estimate_memory(config, recipe.model, recipe.engine, ranks, longest)
    if (judging := judging_gib(recipe, config, parts, recipe.engine)) > room:
        return (
            f"too few whatever is checkpointed: {judging:.0f} GiB while the reward model or the starting model scores; "
            "a higher engine.zero_stage with more ranks, or engine.offload=cpu"
        )
    fewest = fewest_checkpointed(config, recipe.model, recipe.engine, ranks, longest, room)
    if fewest is None:
        return (
            "too few even with all layers checkpointed: engine=zero3 and more ranks, engine=zero3-offload, "
            "engine.sequence_parallel, or a lower batching.max_tokens"
        )
    if fewest == 0:
        return "model.gradient_checkpointing=false fits"
    more = fewest / config.num_hidden_layers * RECOMPUTATION
    return (
        f"model.gradient_checkpointing={fewest} of {config.num_hidden_layers} layers is the least that fits, "
        f"{more:.0%} more FLOPs"
    )
