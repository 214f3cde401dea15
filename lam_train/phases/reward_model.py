"""Phase 4a: a reward model on the steps of successes and failures, from LAM3's weights (the paper, section 4.4.1)."""

import hashlib
import logging
from collections.abc import Iterator
from pathlib import Path

from lam_train.collect.exploration.completable import Completable
from lam_train.collect.trajectories.store import ShardStore, read_trajectories, shards_of
from lam_train.errors import UserError
from lam_train.evaluate.acting import family_group
from lam_train.evaluate.reward_scores import RewardReport, completable_agreement, reward_report
from lam_train.language.conversation import Language
from lam_train.language.data import DataSettings, listed
from lam_train.language.judged_steps import JudgedSteps, scored_at_the_end
from lam_train.language.sample import Samples
from lam_train.model.load import load_tokenizer
from lam_train.model.reward import RewardModel
from lam_train.objectives.credit import Judged, balancing_weights, labels_of
from lam_train.objectives.reward import RewardObjective
from lam_train.phases.training import Learner, Prepared, fitting, train
from lam_train.recipe import Recipe
from lam_train.records import Trajectory
from lam_train.report.reward import write_reward_report
from lam_train.train.distributed import World
from lam_train.train.passes import outputs_by_sample
from lam_train.train.run_directory import RunDirectory

log = logging.getLogger(__name__)


def run(recipe: Recipe, run_dir: RunDirectory, world: World) -> None:
    """Trains on the trajectories of `data.train` and reports on the held-out tasks in `evaluation/`."""
    prepared, labels, judged = prepare(recipe, Language(load_tokenizer(recipe.model)))
    learner = Learner("Reward model", RewardModel, RewardObjective(labels))
    trainer, _ = train(recipe, run_dir, world, prepared, learner)
    outputs = outputs_by_sample(trainer.engine, trainer.validation, world.device, "scoring held-out steps")
    scores = {id: float(scores[-1]) for id, scores in outputs.items()}
    if world.leads:
        after = completable_steps(recipe.reward.completable)
        report = report_on(judged, scores)
        report = report.model_copy(update={"completable": completable_agreement(scores, labels, after)})
        write_reward_report(report, scores, labels, run_dir / "evaluation")
        log.info("held-out steps: AUC %s, accuracy %.3f", report.steps.auc, report.steps.accuracy)


def prepare(recipe: Recipe, language: Language) -> tuple[Prepared, dict[str, float], Judged]:
    """(samples to learn and held-out ones, labels by sample id, the held-out trajectories with their samples).

    Raises UserError for trajectories of the test split, or where a side of the split has no success or no failure.
    """
    settings = recipe.reward
    completable_steps(settings.completable)  # a mistake is said before the training
    if recipe.data.weights is not None:
        raise UserError("data.weights: a reward model weighs by label alone (reward.balance=true), not by source")
    limit = recipe.batching.max_tokens if recipe.batching.overlong == "shorten" else None
    reader = JudgedSteps(language, recipe.format, recipe.data.splits, limit)
    read = reader.samples(judged_trajectories(recipe.data), "data.train")
    judged = [(trajectory, [scored_at_the_end(sample) for sample in made]) for trajectory, made in read]
    held = [is_held_out(trajectory.task.task_id, settings.held_out, settings.seed) for trajectory, _ in judged]
    sides = {
        "training": [item for item, out in zip(judged, held, strict=True) if not out],
        "held-out": [item for item, out in zip(judged, held, strict=True) if out],
    }
    counts = dict(reader.counts)
    for name, side in sides.items():
        outcomes = {trajectory.outcome for trajectory, _ in side}
        if outcomes != {"success", "fail"}:
            alone = f"{' and '.join(sorted(outcomes)) or 'no'} outcomes alone"
            if name == "training" or not side:
                raise UserError(
                    f"data.train: the {name} trajectories have {alone}; a reward model needs successes and failures: "
                    "more data, or another reward.held_out"
                )
            log.warning("the held-out trajectories have %s: no AUC; more data, or another reward.held_out", alone)
        counts[f"{name} trajectories"] = len(side)
    labels = labels_of(judged, settings.credit)
    made = {name: [sample for _, samples in side for sample in samples] for name, side in sides.items()}
    learned = fitting(Samples(made["training"]), recipe, "training samples", counts)
    if settings.balance:  # the samples that are left
        factors = balancing_weights({id: labels[id] for id in learned.ids})
        kept = set(learned.ids)
        learned = Samples([s.weighted(factors[labels[s.id]]) for s in made["training"] if s.id in kept])
    counts["steps labelled +1"] = sum(labels[id] > 0 for id in learned.ids)
    counts["steps labelled -1"] = sum(labels[id] < 0 for id in learned.ids)
    held_out = fitting(Samples(made["held-out"]), recipe, "held-out samples", counts)
    return Prepared(learned, held_out, counts), labels, sides["held-out"]


def judged_trajectories(data: DataSettings) -> Iterator[Trajectory]:
    """The trajectories of all folders in `data.train`, in order."""
    for source in listed(data.train):
        yield from read_trajectories(Path(source).expanduser())


def is_held_out(task_id: str, share: float, seed: int) -> bool:
    """Whether a task's trajectories are held out: all of them or none, and the same whatever else the data holds."""
    digest = hashlib.sha256(f"{seed} {task_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def completable_steps(folder: str | None) -> dict[str, bool]:
    """Step id TRAJECTORY/NUMBER -> whether the task could still be completed, as +recipe=replay_failures found."""
    if folder is None:
        return {}
    path = Path(folder).expanduser()
    if not shards_of(path, "completable"):
        raise UserError(f"reward.completable={folder}: nothing of +recipe=replay_failures there")
    return {
        f"{record.trajectory_id}/{number}": could
        for record in ShardStore(path, "completable", Completable, shard_size=10_000)
        for number, could in enumerate(record.after)
        if could is not None
    }


def report_on(judged: Judged, scores: dict[str, float]) -> RewardReport:
    """The report on the held-out trajectories."""
    outcomes = {t.trajectory_id: 1.0 if t.outcome == "success" else -1.0 for t, _ in judged}
    families = {t.trajectory_id: family_group(t.task) for t, _ in judged}
    tasks = {t.trajectory_id: t.task.task_id for t, _ in judged}
    return reward_report(scores, outcomes, families, tasks)
