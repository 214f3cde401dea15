"""Collect task-plan pairs from the application itself: each is executed before it counts."""

from lam_train.apps.writer.walk.collection import collect_application_plans
from lam_train.recipe import Recipe
from lam_train.train.run_directory import RunDirectory


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Collects into `walk.output`; the run directory holds recipe, versions and log."""
    collect_application_plans(recipe.walk, recipe.app)
