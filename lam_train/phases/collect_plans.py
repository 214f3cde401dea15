"""Collect task-plan pairs (the paper, section 3.1)."""

from lam_train.collect.pipeline import collect_plans
from lam_train.recipe import Recipe
from lam_train.train.run_directory import RunDirectory


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Collects into `collect.output`; the run directory holds recipe, versions and log."""
    collect_plans(recipe.collect)
