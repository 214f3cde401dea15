"""Compare models with an expert's decisions, step by step on its own history (the paper's Table 3)."""

import logging

from lam_train.evaluate.acting import check_identities
from lam_train.evaluate.acting_results import ActingReport
from lam_train.evaluate.offline import EvaluateOfflineSettings, evaluate_offline, expert_successes
from lam_train.phases.acting import policies_of
from lam_train.recipe import Recipe
from lam_train.report.acting_tables import report_page
from lam_train.report.offline_report import write_offline_report
from lam_train.train.run_directory import RunDirectory

log = logging.getLogger(__name__)


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Evaluates `evaluate_offline.models` and writes the report into `evaluation/` of the run directory."""
    report = compare(recipe, recipe.evaluate_offline, run_dir)
    log.info("%s\n\n%s", report_page(report), run_dir / "evaluation" / "episodes.html")


def compare(
    recipe: Recipe, settings: EvaluateOfflineSettings, run_dir: RunDirectory, folder: str = "evaluation"
) -> ActingReport:
    """The report on all models of the settings; goes on with answers that are in the folder already."""
    output = run_dir / folder
    trajectories = expert_successes(settings)
    policies, identities = policies_of(recipe, settings, expert=False, episodes=False)
    check_identities(output, identities)
    report, rows = evaluate_offline(policies, trajectories, settings, output)
    write_offline_report(report, rows, trajectories, settings, output)
    return report
