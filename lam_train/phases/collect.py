"""Collect an expert's trajectories in the live application (the paper, section 3.2)."""

from collections.abc import Sequence

from lam_train.apps.application import Application
from lam_train.collect.trajectories.experts import load_by_name
from lam_train.collect.trajectories.pipeline import collect_trajectories
from lam_train.collect.trajectories.task_source import read_tasks
from lam_train.errors import UserError
from lam_train.recipe import Recipe
from lam_train.records import Task
from lam_train.train.run_directory import RunDirectory


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Collects into `trajectories.output`; the run directory holds recipe, versions and log."""
    collect_trajectories(
        recipe.trajectories, recipe.expert, recipe.episode, tasks_of(recipe), lambda: environments_of(recipe)
    )


def tasks_of(recipe: Recipe) -> list[Task]:
    """The tasks of the file that the recipe names, else the generated ones."""
    settings = recipe.trajectories
    if settings.tasks is not None:
        return read_tasks(settings.tasks)
    if settings.application != "writer":
        raise UserError("trajectories.tasks: give a JSONL file of tasks; only Writer's are generated")
    from lam_train.apps.writer.tasks.generate import generate_tasks

    return generate_tasks(seed=settings.seed)


def environments_of(recipe: Recipe) -> Sequence[Application]:
    """`instances` applications, not yet started."""
    settings = recipe.trajectories
    if settings.application != "writer":
        return load_by_name(settings.application, "trajectories.application")(settings.instances)
    from lam_train.apps.open import open_applications

    return open_applications(recipe.writer, settings.instances)
