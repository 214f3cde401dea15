"""What the phases that train share: samples in, a loop on the engine, a model folder out."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lam_train.agent.trained_format import format_beside
from lam_train.batching.loader import Loader
from lam_train.errors import UserError
from lam_train.language.sample import Samples
from lam_train.model.layers import checkpoint_layers, compile_layers
from lam_train.model.load import load_config, load_model, resolve_folder
from lam_train.model.rope import check_positions
from lam_train.model.trainable import add_lora
from lam_train.phases.resuming import find_resume
from lam_train.recipe import Recipe
from lam_train.train.checkpoint import Checkpoint, Checkpoints
from lam_train.train.distributed import World, all_agree, from_leader, leader_does
from lam_train.train.engine import DTYPES, effective_stage, parted_while_loaded, share_rows
from lam_train.train.export import BlankModel, base_name, export, export_dtype, live_weights, model_card
from lam_train.train.metrics import MetricsFile
from lam_train.train.run_directory import RunDirectory
from lam_train.train.trackers import NoTracker, open_tracker
from lam_train.train.trainer import Objective, Steering, Trainer

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """The samples of a training, and what was left out of them."""

    train: Samples
    validation: Samples | None
    counts: dict[str, int]


@dataclass(frozen=True)
class Learner:
    """What a phase trains: its title, the module around the causal model, and what the module's outputs minimise."""

    title: str
    wrap: Callable[[torch.nn.Module], torch.nn.Module]
    objective: Objective
    steering: Steering | None = None


def fitting(samples: Samples, recipe: Recipe, what: str, counts: dict[str, int]) -> Samples:
    """The samples that fit into a row; raises UserError with ids and counts, or drops and counts the others."""
    limit = recipe.batching.max_tokens
    answers = samples.supervised()
    if len(answers) and not answers.min():
        raise UserError(f"{what}: {samples.ids[int(answers.argmin())]} has no target token: nothing would be learned")
    long = np.flatnonzero(samples.lengths > limit)
    named = ", ".join(f"{samples.ids[i]} ({samples.lengths[i]} tokens)" for i in long[:5])
    if len(long) and recipe.batching.overlong != "drop":
        more = f" and {len(long) - 5} more" if len(long) > 5 else ""
        longer = "cannot be shortened to that" if recipe.batching.overlong == "shorten" else "are longer"
        raise UserError(
            f"batching.max_tokens={limit}: {len(long)} of {len(samples)} {what} {longer}: {named}{more}. The longest "
            f"answer has {int(answers.max())} tokens, the longest sample {int(samples.lengths.max())}; raise "
            "batching.max_tokens, or leave them out with batching.overlong=drop"
        )
    if len(long):
        log.warning(
            "%d of %d %s are longer than %d tokens and dropped: %s", len(long), len(samples), what, limit, named
        )
        samples = samples.without(long)
    counts[what] = len(samples)
    counts[f"{what} dropped as overlong"] = len(long)
    if not len(samples):
        raise UserError(f"batching.max_tokens={limit}: no {what} fit")
    return samples


def total_steps(recipe: Recipe, samples: int) -> int:
    """Optimizer steps of the whole training."""
    steps = -(-samples // recipe.trainer.batch_size) * recipe.trainer.epochs
    return min(steps, recipe.trainer.max_steps or steps)


def make_loader(recipe: Recipe, samples: Samples, world: World, steps: int, first_step: int = 0) -> Loader:
    """The training loader of this rank."""
    return Loader(
        samples,
        recipe.batching,
        batch_size=recipe.trainer.batch_size,
        steps=steps,
        seed=recipe.trainer.seed,
        rank=world.data_rank,
        ranks=world.data_ranks,
        first_step=first_step,
    )


def train(
    recipe: Recipe, run_dir: RunDirectory, world: World, prepared: Prepared, learner: Learner
) -> tuple[Trainer, Path | None]:
    """Trains to the end; returns the trainer and the exported model's folder (None where export.at_end is false)."""
    checkpoint = from_leader(leader_does(lambda: find_resume(recipe, run_dir)))
    steps = total_steps(recipe, len(prepared.train))
    say(run_dir, world, learner.title, prepared.counts, steps, checkpoint)
    loader = make_loader(recipe, prepared.train, world, steps)
    validation = validation_loader(recipe, prepared.validation, world)
    with opened(recipe, run_dir, world, learner, loader, validation, checkpoint) as trainer:
        trainer.fit()
    return trainer, export_trained(recipe, run_dir, trainer, prepared.counts, learner)


def say(run_dir: RunDirectory, world: World, title: str, counts: dict, steps: int, resumed: Checkpoint | None) -> None:
    """Tells what begins, or goes on."""
    if not world.leads:
        return
    log.info("run directory %s", run_dir.path)
    log.info("%s: %s, %d optimizer steps, %d rank(s)", title, _counted(counts), steps, world.size)
    if resumed is not None:
        log.info("going on from %s", resumed.folder)


def load_learner(recipe: Recipe) -> torch.nn.Module:
    """The causal model that is trained, with its adapters where the recipe has some. Collective at stage 3."""
    if recipe.model.attention == "flex" and not torch.cuda.is_available():
        raise UserError("model.attention=flex needs a GPU: PyTorch's FlexAttention has no backward pass on a CPU")
    if recipe.model.compile:
        _check_compilable(recipe)
    parted = effective_stage(recipe.engine) == 3 and resolve_folder(recipe.model) is not None
    if parted:  # without the bar that loading has elsewhere
        log.info("loading %s, each rank its part", base_name(recipe.model))
    with parted_while_loaded(recipe.engine) if parted else nullcontext():
        causal = load_model(recipe.model, DTYPES[recipe.engine.dtype], recipe.trainer.seed)
    checkpoint_layers(causal, recipe.model.gradient_checkpointing)
    if recipe.model.lora is not None:
        add_lora(causal, recipe.model.lora)
    if recipe.model.compile:
        compile_layers(causal)
    return causal


def _check_compilable(recipe: Recipe) -> None:
    """Raises UserError for what a compiled layer cannot be trained with."""
    if effective_stage(recipe.engine) == 3:
        raise UserError(
            "model.compile=true is not for engine.zero_stage=3: DeepSpeed gathers weights in hooks, which cut "
            "the compiled graph; take stage 2 or 1"
        )
    if recipe.model.attention == "auto" and not torch.cuda.is_available():
        raise UserError(
            "model.compile=true on a CPU needs model.attention=dense: path by path, each row is another computation"
        )


@contextmanager
def opened(
    recipe: Recipe,
    run_dir: RunDirectory,
    world: World,
    learner: Learner,
    loader: Loader,
    validation: Loader | None,
    checkpoint: Checkpoint | None,
    total_steps: int | None = None,
) -> Iterator[Trainer]:
    """A trainer with its model, at `checkpoint` where there is one; closes tracker and loader behind it. Collective."""
    if world.size > 1:
        for key, its in (("train", loader), ("validation", validation)):
            found = its.plan.samples.fingerprint() if its else "none"
            all_agree(found, f"data.{key} gives other samples on some ranks: share one copy of it")
    check_positions(load_config(recipe.model), int(loader.plan.samples.lengths.max()))
    with closing(loader):
        loader.start()
        torch.manual_seed(recipe.trainer.seed)
        causal = load_learner(recipe)
        told = recipe.model_dump(mode="json")
        tracker = leader_does(lambda: open_tracker(recipe.tracker, run_dir.path, told)) or NoTracker()
        try:
            trainer = Trainer(
                share_rows(learner.wrap(causal), world),
                learner.objective,
                loader,
                validation,
                settings=recipe.trainer,
                engine_settings=recipe.engine,
                checkpoints=Checkpoints(run_dir / "checkpoints", recipe.checkpoint, world),
                metrics=MetricsFile(run_dir / "metrics.jsonl"),
                tracker=tracker,
                world=world,
                recipe=told,
                steering=learner.steering,
                total_steps=total_steps,
            )
            if checkpoint is not None:
                trainer.resume(checkpoint)
            else:
                torch.manual_seed(recipe.trainer.seed * 1_000_003 + world.rank)  # dropout differs between ranks
            if world.leads:
                run_dir.record(recipe.yaml())
            with trainer.preemption:
                yield trainer
        finally:
            tracker.close()


def validation_loader(recipe: Recipe, samples: Samples | None, world: World) -> Loader | None:
    """One pass over the validation samples."""
    if samples is None:
        return None
    return make_loader(recipe, samples, world, -(-len(samples) // recipe.trainer.batch_size))


def export_trained(
    recipe: Recipe, run_dir: RunDirectory, trainer: Trainer, counts: dict, learner: Learner
) -> Path | None:
    """Writes `model/` from the live engine, checked against it tensor by tensor, unless export.at_end is false.

    Collective.
    """
    if not recipe.export.at_end:
        return None
    target = run_dir / "model"
    dtype = export_dtype(recipe.export, recipe.engine.dtype)
    blank = leader_does(lambda: BlankModel(recipe.model, recipe.trainer.seed, dtype, learner.wrap))
    for name, tensor in live_weights(trainer.engine):  # every rank gives its part
        if blank is not None:
            blank.put(name, tensor)
    counts = counts | {"optimizer steps": trainer.step}
    card = model_card(learner.title, base_name(recipe.model), counts, recipe.yaml())
    leader_does(lambda: export(blank.merged(), recipe.model, target, dtype, card, beside(recipe) | blank.beside()))
    return target


def beside(recipe: Recipe) -> dict[str, str]:
    """What an exported model says about itself: the format of its steps, where it has learned steps."""
    return format_beside(recipe.format) if recipe.run != "task_plan" else {}


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number)
