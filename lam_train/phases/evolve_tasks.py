"""Evolve Writer's tasks, and keep what the expert can do."""

from lam_train.collect.evolve.validated import evolve_tasks
from lam_train.errors import UserError
from lam_train.phases.collect import environments_of, tasks_of
from lam_train.recipe import Recipe
from lam_train.train.run_directory import RunDirectory


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Evolves into `trajectories.output`; the run directory holds recipe, versions and log."""
    settings = recipe.trajectories
    if settings.application != "writer" or settings.task_plans or settings.ufo_results:
        raise UserError("evolve_tasks evolves Writer's generated tasks: leave application, task_plans, ufo_results out")
    tasks, _ = tasks_of(recipe)
    evolve_tasks(
        recipe.evolve_tasks,
        settings,
        recipe.expert,
        recipe.episode,
        tasks,
        recipe.tasks.seed,
        lambda: environments_of(recipe),
    )
