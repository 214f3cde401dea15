"""Compare planners on held-out tasks: the recipe's model as it comes, and trained ones."""

import logging
from pathlib import Path

import torch

from lam_train.errors import UserError
from lam_train.evaluate.generate import model_planner
from lam_train.evaluate.planner import Planner, retrieval_planner
from lam_train.evaluate.plans import EvaluateSettings, PlanReport, evaluate_plans
from lam_train.evaluate.tasks import choose_tasks, held_out_tasks, tasks_in_training
from lam_train.language.conversation import Language
from lam_train.language.data import resolve_data
from lam_train.model.load import ModelSettings, load_model, load_tokenizer
from lam_train.phases.acting import folder_of
from lam_train.recipe import Recipe
from lam_train.report.evaluation import report_page
from lam_train.train.engine import DTYPES
from lam_train.train.run_directory import RunDirectory

log = logging.getLogger(__name__)

RETRIEVAL = "retrieval"  # the plan of the most similar training task


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Evaluates `evaluate.models` and writes the report into `evaluation/` of the run directory."""
    if recipe.evaluate is None:
        raise UserError("evaluate.data is not set: give the held-out tasks")
    report = compare(recipe, recipe.evaluate, run_dir)
    log.info("%s\n\n%s", report_page(report), run_dir / "evaluation")


def compare(recipe: Recipe, settings: EvaluateSettings, run_dir: RunDirectory) -> PlanReport:
    """The report on all models of the settings, and on a retrieval baseline where training data is given."""
    training_data = resolve_data(settings.training_data) if settings.training_data else None
    data = resolve_data(settings.data)
    for key, file in (("data", data), ("training_data", training_data)):
        if file and not Path(file).expanduser().exists():
            raise UserError(f"evaluate.{key}={file}: no such file; +recipe=collect_plans makes one")
    test, training = held_out_tasks(data, training_data)
    if RETRIEVAL in settings.models:
        raise UserError(f"evaluate.models.{RETRIEVAL}: the name is taken by the baseline; choose another")
    planners: dict[str, Planner] = {RETRIEVAL: retrieval_planner(training)} if training else {}
    for name, path in settings.models.items():
        model = recipe.model if path is None else ModelSettings(path=path)
        folder_of(f"evaluate.models.{name}", model)  # a missing folder ends the run before anything is generated
        planners[name] = _planner(name, model, recipe, settings)
    notes = []
    if training:
        chosen = choose_tasks(test, settings.limit, settings.seed)
        notes.append(f"{tasks_in_training(chosen, training)} of {len(chosen)} tasks are worded like a training task.")
    return evaluate_plans(planners, test, settings, run_dir / "evaluation", notes)


def _planner(name: str, model: ModelSettings, recipe: Recipe, settings: EvaluateSettings) -> Planner:
    """A planner that loads its model when it is asked and drops it afterwards."""

    def plan(tasks):
        language = Language(load_tokenizer(model))
        causal = load_model(model, DTYPES[recipe.engine.dtype])
        causal.to("cuda" if torch.cuda.is_available() else "cpu")
        ends = sorted({language.end_of_turn_id, language.tokenizer.eos_token_id} - {None})

        def decode(ids: list[int]) -> str:
            return language.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

        ask = model_planner(
            causal, language.prompt_tokens, decode, ends, settings.max_new_tokens, settings.batch_size, name
        )
        return ask(tasks)

    return plan
