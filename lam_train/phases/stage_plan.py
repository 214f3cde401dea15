"""`curriculum.plan=true`: what a curriculum would run, what it reads, and an estimate of time and memory."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from lam_train.collect.trajectories.store import shards_of
from lam_train.model.load import load_config
from lam_train.phases.cluster_plan import judging_gib
from lam_train.phases.lineage import Lineage
from lam_train.recipe import Recipe, compose_recipe
from lam_train.train.distributed import wanted_processes
from lam_train.train.memory import estimate_memory

if TYPE_CHECKING:
    from lam_train.phases.stages import Stages

WRITER_GIB = 0.24  # measured: benchmarks/results/2026-11-24-writer-rates


def print_plan(console: Console, stages: "Stages", composed: dict[str, Recipe]) -> None:
    """One block a stage, then the sums; runs nothing and loads no weights."""
    from lam_train.phases.run import TRAINS

    left, unknown = 0.0, 0
    for number, name in enumerate(stages.kept, start=1):
        stage, recipe, state = stages.settings[name], composed[name], stages.state(name)
        standing = "run again: its inputs changed" if state.stale else "to run"
        standing = f"done, in {state.folder}" if state.done else standing
        console.rule(f"{number}. {name}: {stage.does}")
        console.print(f"recipe: {stage.recipe} ({standing})")
        for path in stages.reads(name):
            console.print(f"reads: {path} ({_size(stages.path(path))})")
        minutes = _minutes(stages, name)
        console.print(f"time: {'not measured for this size' if minutes is None else f'{minutes:.0f} min'}")
        if recipe.run in TRAINS:
            console.print(f"memory of a rank: {_training_gib(stages, recipe):.1f} GiB (estimate)")
        elif recipe.run in ("collect", "explore", "evaluate_online"):
            console.print(f"memory of {recipe.app.instances} Writers: {WRITER_GIB * recipe.app.instances:.1f} GiB")
        if not state.done:
            left, unknown = left + (minutes or 0), unknown + (minutes is None)
    console.rule("together")
    for name in stages.curriculum.skip:
        console.print(f"skipped: {name}")
    more = f", and {unknown} stages whose time is not measured" if unknown else ""
    console.print(f"time left: {left:.0f} min on two cores{more}")


def _minutes(stages: "Stages", name: str) -> float | None:
    """Of this stage: what it took, where it has ended; else what was measured for the size."""
    ended = Lineage.of(stages.state(name).folder)
    return ended.seconds / 60 if ended else stages.settings[name].minutes


def _training_gib(stages: "Stages", recipe: Recipe) -> float:
    base = compose_recipe(["+recipe=phase1", f"model={stages.curriculum.model}"], stages.config_dir).model
    adapted = base.model_copy(update={"lora": recipe.model.lora})
    longest = recipe.batching.max_tokens
    config, ranks = load_config(base), wanted_processes(recipe.launch)
    parts = estimate_memory(config, adapted, recipe.engine, ranks, longest)
    return max(parts["together"], judging_gib(recipe, config, parts, recipe.engine))


def _size(path: Path) -> str:
    """What is there, in words."""
    if not path.exists():
        return "not there yet"
    if path.is_file():
        return f"{path.stat().st_size / 2**20:.1f} MiB"
    episodes = shards_of(path, "episodes")
    if episodes:
        return f"{sum(1 for file in episodes for _ in file.open('rb')):,} trajectories"
    return f"{sum(file.stat().st_size for file in path.rglob('*') if file.is_file()) / 2**20:.1f} MiB"
