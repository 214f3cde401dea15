"""Collect an expert's trajectories in the live application (the paper, section 3.2)."""

from collections.abc import Sequence

from lam_train.apps.application import Application
from lam_train.collect.trajectories.experts import load_by_name
from lam_train.collect.trajectories.pipeline import collect_trajectories, import_results
from lam_train.collect.trajectories.task_source import read_task_plans, read_tasks, tasks_of_plans
from lam_train.errors import UserError
from lam_train.recipe import Recipe
from lam_train.records import Task
from lam_train.train.run_directory import RunDirectory


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Collects into `trajectories.output`; the run directory holds recipe, versions and log."""
    settings = recipe.trajectories
    if settings.ufo_results is not None:
        import_results(settings)
        return
    tasks, references = tasks_of(recipe)
    collect_trajectories(settings, recipe.expert, recipe.episode, tasks, lambda: environments_of(recipe), references)


def tasks_of(recipe: Recipe) -> tuple[list[Task], dict[str, list[str]]]:
    """The tasks that the recipe names, and the reference steps of those made from task-plans, by task id."""
    settings = recipe.trajectories
    if settings.task_plans is not None:
        if settings.tasks is not None:
            raise UserError("trajectories: give tasks or task_plans, not both")
        if recipe.expert.kind == "manual" or recipe.expert.mode != "plan":
            raise UserError("trajectories.task_plans needs an expert that plans: expert=endpoint, or one of your own")
        plans = read_task_plans(settings.task_plans)
        templates = template_descriptions(settings.application)
        return tasks_of_plans(plans, settings.application, templates, settings.splits[0], settings.seed)
    if settings.tasks is not None:
        return read_tasks(settings.tasks, "trajectories.tasks"), {}
    if settings.application != "writer":
        raise UserError("trajectories.tasks: give a JSONL file of tasks; only Writer's are generated")
    from lam_train.apps.writer.tasks.generate import generate_tasks

    return generate_tasks(recipe.tasks), {}


def template_descriptions(application: str) -> dict[str, str]:
    """Name -> description of the documents that a task can start from."""
    if application != "writer":
        return {"": ""}  # an application of your own opens what it likes
    from lam_train.apps.writer.templates import descriptions

    return descriptions()


def environments_of(recipe: Recipe) -> Sequence[Application]:
    """The applications to act in, not yet started."""
    settings = recipe.trajectories
    if settings.application != "writer":
        return load_by_name(settings.application, "trajectories.application")(**settings.application_options)
    from lam_train.apps.open import open_applications

    return open_applications(recipe.app)
