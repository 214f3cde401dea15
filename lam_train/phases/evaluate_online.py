"""Let models and the expert do test tasks in the application (the paper's Table 4)."""

import logging
from contextlib import ExitStack

from lam_train.apps.open import open_applications
from lam_train.collect.trajectories.task_source import read_tasks
from lam_train.evaluate.acting import check_identities, chosen_tasks
from lam_train.evaluate.acting_results import ActingReport
from lam_train.evaluate.online import EvaluateOnlineSettings, evaluate_online
from lam_train.phases.acting import policies_of
from lam_train.recipe import Recipe
from lam_train.records import Task
from lam_train.report.acting_tables import report_page
from lam_train.report.online_report import write_online_report
from lam_train.train.run_directory import RunDirectory

log = logging.getLogger(__name__)


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Evaluates `evaluate_online.models` and writes the report into `evaluation/` of the run directory."""
    report = compare(recipe, recipe.evaluate_online, run_dir)
    log.info("%s\n\n%s", report_page(report), run_dir / "evaluation" / "episodes.html")


def compare(
    recipe: Recipe, settings: EvaluateOnlineSettings, run_dir: RunDirectory, folder: str = "evaluation"
) -> ActingReport:
    """The report on all policies of the settings; goes on with episodes that are in the folder already."""
    output = run_dir / folder
    tasks = chosen_tasks(all_tasks(recipe, settings), settings, settings.data or "Writer's tasks")
    policies, identities = policies_of(recipe, settings, expert=settings.expert, episodes=True)
    check_identities(output, identities)
    with ExitStack() as stack:
        environments = open_applications(recipe.app)
        for environment in environments:
            stack.callback(environment.close)
        report, episodes = evaluate_online(policies, tasks, environments, recipe.episode, settings, output)
    write_online_report(report, tasks, episodes, settings, output)
    return report


def all_tasks(recipe: Recipe, settings: EvaluateOnlineSettings) -> list[Task]:
    """The tasks of the settings' file or folder, or Writer's own, as `make_tasks` makes them."""
    if settings.data is not None:
        return read_tasks(settings.data, "evaluate_online.data")
    from lam_train.apps.writer.tasks.generate import generate_tasks

    return generate_tasks(recipe.tasks)
