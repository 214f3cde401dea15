"""Evolve the application's task-plan pairs without a language model: compositions, other values, other words."""

from lam_train.apps.writer.walk.evolution import evolve_application_plans
from lam_train.recipe import Recipe
from lam_train.train.run_directory import RunDirectory


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Evolves into `evolve_walk.output`; the run directory holds recipe, versions and log."""
    evolve_application_plans(recipe.evolve_walk, recipe.app)
