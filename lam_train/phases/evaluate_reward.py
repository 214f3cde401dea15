"""Reward models on held-out trajectories, the test split's too: one table, with paired differences."""

import json
import logging
from pathlib import Path
from random import Random

import numpy as np

from lam_train.agent.trained_format import trained_format
from lam_train.collect.trajectories.store import read_trajectories
from lam_train.errors import UserError
from lam_train.evaluate.acting import check_identities, model_identity
from lam_train.evaluate.reward_scores import EvaluateRewardSettings, RewardReport, differences
from lam_train.language.conversation import Language
from lam_train.language.judged_steps import JudgedSteps, scored_at_the_end
from lam_train.language.sample import Samples
from lam_train.model.load import ModelSettings, load_tokenizer
from lam_train.model.reward import RewardModel
from lam_train.objectives.credit import Judged, labels_of
from lam_train.phases.reward_model import report_on
from lam_train.phases.training import fitting, validation_loader
from lam_train.recipe import Recipe
from lam_train.records import Trajectory
from lam_train.report.reward import SCORES, write_comparison, write_reward_report
from lam_train.train.distributed import World
from lam_train.train.engine import DTYPES
from lam_train.train.passes import outputs_by_sample
from lam_train.train.run_directory import RunDirectory

log = logging.getLogger(__name__)
ALONE = World(0, 1, 0, 1)


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Writes `evaluation/`: README.md for all models, and the report of each in a folder of its name.

    Steps that a model has scored there before are not scored again.
    """
    settings = recipe.evaluate_reward
    if not settings.models or not settings.data:
        raise UserError("evaluate_reward: give models.NAME=FOLDER (+ in front) and data=[FOLDER of trajectories]")
    chosen = _chosen(settings)
    folder = run_dir / "evaluation"
    how = f"{recipe.engine.dtype}, {recipe.batching.overlong} beyond {recipe.batching.max_tokens} tokens"
    reports: dict[str, RewardReport] = {}
    scores: dict[str, dict[str, float]] = {}
    for name, model in settings.models.items():
        identity = {name: f"{model_identity(model)}, {how}"}
        before = folder / name / SCORES
        if before.exists():
            check_identities(folder, identity)
        scores[name], judged = _scores(recipe, name, model, chosen, before)
        check_identities(folder, identity)  # noted only now: a folder that is no reward model has scored nothing
        reports[name] = report_on(judged, scores[name])
        write_reward_report(reports[name], scores[name], labels_of(judged, "outcome"), folder / name)
        log.info("%s: AUC of trajectories %s", name, reports[name].trajectories.auc)
    shared = set.intersection(*(set(found) for found in scores.values()))
    paired = {name: {id: found[id] for id in shared} for name, found in scores.items()}
    tasks = {t.trajectory_id: t.task.task_id for t in chosen}
    outcomes = {t.trajectory_id: 1.0 if t.outcome == "success" else -1.0 for t in chosen}
    write_comparison(reports, differences(paired, outcomes, tasks), folder)
    print(folder / "README.md")


def _chosen(settings: EvaluateRewardSettings) -> list[Trajectory]:
    """The trajectories of the splits that ended in a success or a failure, of at most `limit` tasks."""
    read = [t for place in settings.data for t in read_trajectories(Path(place).expanduser())]
    found = [t for t in read if t.task.split in settings.splits and t.outcome in ("success", "fail")]
    tasks = sorted({t.task.task_id for t in found})
    if settings.limit is not None and settings.limit < len(tasks):
        tasks = Random(settings.seed).sample(tasks, settings.limit)
    kept = set(tasks)
    if not kept:
        raise UserError(f"evaluate_reward.data={settings.data}: no success or failure of splits {settings.splits}")
    return [t for t in found if t.task.task_id in kept]


def _scores(
    recipe: Recipe, name: str, folder: str, chosen: list[Trajectory], before: Path
) -> tuple[dict[str, float], Judged]:
    """(score by step id, the trajectories with their samples), in the format that the model has learned.

    `before`: the scores that a run before this one has left.
    """
    language = Language(load_tokenizer(ModelSettings(path=folder)))
    limit = recipe.batching.max_tokens if recipe.batching.overlong == "shorten" else None
    format = trained_format(folder) or recipe.format
    reader = JudgedSteps(language, format, recipe.evaluate_reward.splits, limit, evaluates=True)
    read = reader.samples(chosen, f"evaluate_reward.data, for {name}")
    judged = [(trajectory, [scored_at_the_end(sample) for sample in made]) for trajectory, made in read]
    samples = [sample for _, made in judged for sample in made]
    known = {id: row["score"] for id, row in json.loads(before.read_text()).items()} if before.exists() else {}
    scores = {sample.id: known[sample.id] for sample in samples if sample.id in known}
    counts = dict(reader.counts) | {"steps scored before": len(scores)}
    fit = fitting(Samples(samples), recipe, "steps", counts)  # all: what is left of them may be what does not fit
    left = fit.without(np.flatnonzero([id in scores for id in fit.ids]))
    counts["steps"] = len(left)
    log.info("%s: %s", name, ", ".join(f"{number} {what}" for what, number in counts.items() if number))
    if not len(left):
        return scores, judged
    model = RewardModel.load(folder, DTYPES[recipe.engine.dtype])
    loader = validation_loader(recipe, left, ALONE)
    outputs = outputs_by_sample(model.to(ALONE.device), loader, ALONE.device, name)
    return scores | {id: float(found[-1]) for id, found in outputs.items()}, judged
