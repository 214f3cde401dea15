"""Phase 3, self-boosting: cross-entropy on the expert's successes and the model's own, from LAM2's weights (LAM3)."""

from lam_train.phases.imitation import train
from lam_train.recipe import Recipe
from lam_train.train.distributed import World
from lam_train.train.run_directory import RunDirectory

TITLE = "LAM3: self-boosting exploration"


def run(recipe: Recipe, run_dir: RunDirectory, world: World) -> None:
    """Trains on the steps of all successes that `data.train` names, weighted by `data.weights`."""
    train(recipe, run_dir, world, TITLE)
