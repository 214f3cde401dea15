"""From a validated recipe to the phase it names, in as many processes as it takes."""

import importlib
import logging
from pathlib import Path

import torch

from lam_train.errors import Fault, UserError
from lam_train.recipe import Recipe
from lam_train.train import distributed
from lam_train.train.checkpoint import find_checkpoint
from lam_train.train.cluster import Cluster
from lam_train.train.engine import release_engines
from lam_train.train.launched import launched_processes, launched_rank
from lam_train.train.preemption import Preempted
from lam_train.train.run_directory import RunDirectory, default_run_directory

log = logging.getLogger(__name__)

# What trains runs in every process; the rest in one.
TRAINS = {
    "task_plan": "lam_train.phases.task_plan",
    "expert_imitation": "lam_train.phases.expert_imitation",
    "self_boosting": "lam_train.phases.self_boosting",
    "reward_model": "lam_train.phases.reward_model",
    "offline_ppo": "lam_train.phases.offline_ppo",
}
ALONE = {
    "act": "lam_train.phases.act",
    "collect_application_plans": "lam_train.phases.collect_application_plans",
    "evolve_application_plans": "lam_train.phases.evolve_application_plans",
    "collect_plans": "lam_train.phases.collect_plans",
    "collect": "lam_train.phases.collect",
    "evolve_tasks": "lam_train.phases.evolve_tasks",
    "evolve_plans": "lam_train.phases.evolve_plans",
    "evaluate_plans": "lam_train.phases.evaluate_plans",
    "evaluate_offline": "lam_train.phases.evaluate_offline",
    "evaluate_online": "lam_train.phases.evaluate_online",
    "evaluate_reward": "lam_train.phases.evaluate_reward",
    "explore": "lam_train.phases.explore",
    "replay_failures": "lam_train.phases.replay_failures",
    "export": "lam_train.phases.export",
    "make_tasks": "lam_train.phases.make_tasks",
    "rounds": "lam_train.phases.rounds",
    "stages": "lam_train.phases.stages",
    "ladder": "lam_train.phases.ladder",
}
STARTS_OTHERS = ("rounds", "stages")  # of those, what runs trainings


def run(recipe: Recipe, arguments: list[str]) -> int:
    """Runs the recipe and returns the exit status; re-launches itself where it wants several processes."""
    if recipe.inspect and recipe.run not in TRAINS:
        raise UserError(f"inspect=true: {recipe.name or recipe.run} is no single training; inspect phase1, for one")
    check_sizes(recipe)
    if recipe.run in STARTS_OTHERS and launched_processes() > 1:
        error = UserError(
            f"{recipe.name or recipe.run} starts the processes of its trainings itself: run it with plain python on "
            "one node (under Slurm in the batch script or as one task, with the node's GPUs), not in "
            f"{launched_processes()} processes of a launcher"
        )
        error.told = launched_rank() != 0
        raise error
    if recipe.run in ALONE or recipe.inspect:
        return run_alone(recipe) if launched_rank() == 0 else 0
    if distributed.must_relaunch(recipe.launch):
        return distributed.relaunch(recipe.launch, arguments)
    world = distributed.join_world(recipe.launch, recipe.engine.sequence_parallel)
    ended_well = False
    try:
        if world.size > 1:
            distributed.must_be_one_run(recipe.model_dump(mode="json"))
        opened = distributed.leader_does(lambda: open_run_directory(recipe))
        path = distributed.from_leader(opened.path if opened else None)
        with opened or RunDirectory(path) as run_dir:
            importlib.import_module(TRAINS[recipe.run]).run(recipe, run_dir, world)
        ended_well = True
    except Fault as error:
        if error.everywhere and world.size > 1:
            _tell_together(error, world)
        ended_well = isinstance(error, Preempted)
        raise
    finally:
        # Where one rank of several fails, the others wait for it in a collective, and a group of GPUs that one leaves
        # waits for them: the process ends as it is, its message first, and the launcher ends the others.
        if ended_well or world.size == 1:
            release_engines()
            distributed.leave_world()
    return 0


def _tell_together(error: Fault, world: distributed.World) -> None:
    """Rank 0 tells what every rank has raised; the others wait, since a launcher ends all once one has ended badly."""
    if world.leads and not error.told:
        log.error("%s", error)
    error.told = True
    torch.distributed.barrier()


def run_alone(recipe: Recipe) -> int:
    """A recipe that needs one process, or the inspection of one that trains."""
    if recipe.inspect:
        from lam_train.phases.inspection import inspect_training

        inspect_training(recipe)
        return 0
    phase = importlib.import_module(ALONE[recipe.run])
    if recipe.run == "act":
        phase.check(recipe)  # a run directory beside the document would be written into
    with open_run_directory(recipe) as run_dir:
        run_dir.record(recipe.yaml())
        phase.run(recipe, run_dir)
    return 0


def open_run_directory(recipe: Recipe) -> RunDirectory:
    """The run directory, opened: the one asked for, the one that is resumed, or a new one."""
    if recipe.run_dir is not None:
        path = Path(recipe.run_dir).expanduser()
    elif recipe.resume not in ("auto", "never"):
        folder = find_checkpoint(Path(recipe.resume).expanduser()).folder.absolute()
        path = folder.parent.parent if folder.parent.name == "checkpoints" else folder.parent
    else:
        path = default_run_directory(recipe.name or recipe.run)
    run_dir = RunDirectory(path.absolute())
    run_dir.open()
    return run_dir


def wanted_ranks(recipe: Recipe) -> int:
    """How many processes train: those of this run, or of the cluster that an inspection plans for."""
    if recipe.inspect and recipe.engine.plan_for is not None:
        return Cluster.parse(recipe.engine.plan_for).count
    return distributed.wanted_processes(recipe.launch)


def check_sizes(recipe: Recipe) -> None:
    """Refuses what cannot be laid out, before anything is loaded."""
    if recipe.run not in TRAINS:
        return
    if recipe.engine.plan_for is not None and not recipe.inspect:
        raise UserError("engine.plan_for: it is for inspect=true, which prints the plan and trains nothing")
    ranks = wanted_ranks(recipe)
    batch, rows = recipe.trainer.batch_size, recipe.batching.micro_batch_size or 1
    shared = recipe.engine.sequence_parallel
    if ranks % shared:
        raise UserError(
            f"engine.sequence_parallel={shared}: so many processes share each row, and {ranks} cannot be dealt into "
            "such groups; start a multiple of it (launch.processes, nodes), or take engine.sequence_parallel=1"
        )
    if shared > 1 and recipe.model.attention == "dense":
        raise UserError(f"engine.sequence_parallel={shared}: needs model.attention=auto or flex, which exchange heads")
    ranks //= shared
    if batch % (ranks * rows):
        micro = f" x batching.micro_batch_size={rows}" if recipe.batching.micro_batch_size else ""
        dealt = "processes" if shared == 1 else f"groups of {shared} processes"
        raise UserError(f"trainer.batch_size={batch}: not divisible by {ranks} {dealt}{micro}")
    if recipe.resume not in ("auto", "never") and not Path(recipe.resume).expanduser().exists():
        raise UserError(f"resume={recipe.resume}: no such path; give a checkpoint, a run directory, auto or never")
