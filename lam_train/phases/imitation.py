"""What phases 1 to 3 share: which samples are read; cross-entropy on their targets."""

import logging
from pathlib import Path

from lam_train.language.conversation import Language
from lam_train.language.data import read_samples, validation_data
from lam_train.language.sample import Samples
from lam_train.language.trajectories import StepReader
from lam_train.model.load import load_tokenizer
from lam_train.model.trainable import TrainableModel
from lam_train.objectives.imitation import imitation
from lam_train.phases.training import Learner, Prepared, fitting
from lam_train.phases.training import train as train_learner
from lam_train.recipe import Recipe
from lam_train.train.distributed import World
from lam_train.train.run_directory import RunDirectory

log = logging.getLogger(__name__)


def prepare(recipe: Recipe, language: Language) -> Prepared:
    """Reads and tokenizes the data of a recipe; raises UserError for bad lines, no samples or overlong ones."""
    data, limit = recipe.data, recipe.batching.max_tokens if recipe.batching.overlong == "shorten" else None
    log.info("reading and tokenizing %s", data.train)
    steps = StepReader(language, recipe.format, data.splits, limit)
    train, bad = read_samples(data.train, language, data.on_bad_record, "data.train", steps, data.weights)
    counts = {"training samples read": len(train), "bad lines skipped": bad.count, **steps.counts}
    for reason in bad.reasons:
        log.warning("skipped: %s", reason)
    where = validation_data(data)
    held_out = None
    if where is not None:
        steps = StepReader(language, recipe.format, ["validation"], limit)
        validation, bad = read_samples(where, language, data.on_bad_record, "data.validation", steps)
        counts |= {f"validation: {name}": number for name, number in steps.counts.items()}
        held_out = fitting(Samples(validation), recipe, "validation samples", counts)
    return Prepared(fitting(Samples(train), recipe, "training samples", counts), held_out, counts)


def train(recipe: Recipe, run_dir: RunDirectory, world: World, title: str) -> Path | None:
    """Trains on the recipe's data and returns the exported model's folder (None where export.at_end is false)."""
    prepared = prepare(recipe, Language(load_tokenizer(recipe.model)))
    return train_learner(recipe, run_dir, world, prepared, Learner(title, TrainableModel, imitation))[1]
