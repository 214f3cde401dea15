"""Make tasks for Writer: requests about the template documents, each with its executable check."""

from lam_train.apps.writer.tasks.card import write_tasks
from lam_train.recipe import Recipe
from lam_train.train.run_directory import RunDirectory


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Writes into `tasks.output`; the run directory holds recipe, versions and log."""
    write_tasks(recipe.tasks)
