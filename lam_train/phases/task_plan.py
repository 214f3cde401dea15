"""Phase 1, task-plan pretraining: cross-entropy on the plan; the model learns what steps a task takes (LAM1)."""

from lam_train.phases.imitation import train
from lam_train.recipe import Recipe
from lam_train.train.distributed import World
from lam_train.train.run_directory import RunDirectory

TITLE = "LAM1: task-plan pretraining"


def run(recipe: Recipe, run_dir: RunDirectory, world: World) -> None:
    """Trains on task-plan pairs."""
    train(recipe, run_dir, world, TITLE)
