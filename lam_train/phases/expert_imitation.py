"""Phase 2, expert imitation: cross-entropy on the expert's actions, from LAM1's weights (LAM2)."""

from lam_train.phases.imitation import train
from lam_train.recipe import Recipe
from lam_train.train.distributed import World
from lam_train.train.run_directory import RunDirectory

TITLE = "LAM2: expert imitation"


def run(recipe: Recipe, run_dir: RunDirectory, world: World) -> None:
    """Trains on the steps of the expert's successes."""
    train(recipe, run_dir, world, TITLE)
