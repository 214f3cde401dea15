"""From a validated recipe to the phase it names, in as many processes as it takes."""

import importlib
import logging
import os
from pathlib import Path

from lam_train.errors import UserError
from lam_train.recipe import Recipe
from lam_train.train import distributed
from lam_train.train.checkpoint import find_checkpoint
from lam_train.train.run_directory import RunDirectory, default_run_directory

log = logging.getLogger(__name__)

# What trains runs in every process; the rest in one.
TRAINS = {"task_plan": "lam_train.phases.task_plan"}
ALONE = {
    "collect_plans": "lam_train.phases.collect_plans",
    "evaluate_plans": "lam_train.phases.evaluate_plans",
    "export": "lam_train.phases.export",
    "quickstart": "lam_train.phases.quickstart",
}


def run(recipe: Recipe, arguments: list[str]) -> int:
    """Runs the recipe and returns the exit status; re-launches itself where it wants several processes."""
    check_sizes(recipe)
    if recipe.run in TRAINS and not recipe.inspect and distributed.must_relaunch(recipe.launch):
        return distributed.relaunch(recipe.launch, arguments)
    if recipe.run in ALONE or recipe.inspect:
        return run_alone(recipe)
    world = distributed.join_world(recipe.launch)
    run_dir = None
    try:
        run_dir = distributed.from_leader(open_run_directory(recipe) if world.leads else None)
        run_dir.open(recipe.yaml(), world.leads)
        importlib.import_module(TRAINS[recipe.run]).run(recipe, run_dir, world)
    finally:
        if run_dir is not None:
            run_dir.close()
        distributed.leave_world()
    return 0


def run_alone(recipe: Recipe) -> int:
    """A recipe that needs one process, or the inspection of one that trains."""
    if recipe.inspect and recipe.run in TRAINS:
        from lam_train.phases.inspection import inspect_training

        inspect_training(recipe)
        return 0
    run_dir = open_run_directory(recipe)
    run_dir.open(recipe.yaml())
    try:
        importlib.import_module(ALONE[recipe.run]).run(recipe, run_dir)
    finally:
        run_dir.close()
    return 0


def open_run_directory(recipe: Recipe) -> RunDirectory:
    """The run directory: the one asked for, the one that is resumed, or a new one."""
    if recipe.run_dir is not None:
        return RunDirectory(Path(recipe.run_dir).expanduser().absolute())
    if recipe.resume not in ("auto", "never"):
        folder = find_checkpoint(Path(recipe.resume).expanduser()).folder.absolute()
        return RunDirectory(folder.parent.parent if folder.parent.name == "checkpoints" else folder.parent)
    return RunDirectory(default_run_directory(recipe.name or recipe.run).absolute())


def check_sizes(recipe: Recipe) -> None:
    """Refuses what cannot be laid out, before anything is loaded."""
    if recipe.run not in TRAINS:
        return
    ranks = distributed.wanted_processes(recipe.launch)
    batch, rows = recipe.trainer.batch_size, recipe.batching.micro_batch_size or 1
    if batch % (ranks * rows):
        micro = f" x batching.micro_batch_size={rows}" if recipe.batching.micro_batch_size else ""
        raise UserError(f"trainer.batch_size={batch}: not divisible by {ranks} processes{micro}")
    if recipe.resume not in ("auto", "never") and not Path(recipe.resume).expanduser().exists():
        raise UserError(f"resume={recipe.resume}: no such path; give a checkpoint, a run directory, auto or never")
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
