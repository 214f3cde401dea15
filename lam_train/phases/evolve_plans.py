"""Evolve task-plan pairs with a language model (the paper, section 3.1.4)."""

from lam_train.collect.evolve.evolve_plans import evolve_plans
from lam_train.recipe import Recipe
from lam_train.train.run_directory import RunDirectory


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Evolves into `evolve_plans.output`; the run directory holds recipe, versions and log."""
    evolve_plans(recipe.evolve_plans)
