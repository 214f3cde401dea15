"""The quickstart: collect LibreOffice Help, train a small model on it, and compare it with the untrained one."""

import logging
from pathlib import Path

from lam_train.collect.pipeline import collect_plans
from lam_train.errors import UserError
from lam_train.evaluate.plans import EvaluateSettings
from lam_train.phases import evaluate_plans, task_plan
from lam_train.recipe import Recipe
from lam_train.report.evaluation import report_page
from lam_train.train import distributed
from lam_train.train.run_directory import RunDirectory

log = logging.getLogger(__name__)


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """All of it in one process and one run directory; stopped anywhere, the same command goes on."""
    if recipe.evaluate is None:
        raise UserError("evaluate is not set: the quickstart needs its section")
    plans = run_dir / "plans"
    if not (plans / "test.jsonl").exists():
        log.info("1 of 3: collecting task-plan pairs from LibreOffice Help")
        collect_plans(recipe.collect, plans)
    log.info("2 of 3: phase 1, task-plan pretraining")
    training = recipe.model_copy(update={"data": recipe.data.model_copy(update={"train": str(plans / "train.jsonl")})})
    world = distributed.join_world(recipe.launch)
    try:
        task_plan.run(training, run_dir, world)
    finally:
        distributed.leave_world()
    log.info("3 of 3: plans for pages that were held out, by the untrained model and by LAM1")
    models = {"untrained": None, "LAM1": str(run_dir / "model")}
    files = {"data": str(plans / "test.jsonl"), "training_data": str(plans / "train.jsonl"), "models": models}
    settings: EvaluateSettings = recipe.evaluate.model_copy(update=files)
    log.info("%s", report_page(evaluate_plans.compare(recipe, settings, run_dir)))
    _say_what_there_is(run_dir)


def _say_what_there_is(run_dir: RunDirectory) -> None:
    log.info("")
    for name, what in (
        ("evaluation/evaluation.md", "untrained against LAM1, with intervals"),
        ("evaluation/examples.md", "plans side by side"),
        ("loss.png", "the training"),
        ("model", "the checkpoint: transformers.AutoModelForCausalLM.from_pretrained opens it"),
    ):
        log.info("%s  %s", Path(run_dir / name), what)
