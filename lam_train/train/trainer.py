"""THE trainer: one loop on a DeepSpeed engine, at any world size, on a CPU or on GPUs."""

import gc
import logging
import math
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from lam_train.batching.loader import Loader, StepBatch
from lam_train.batching.pack import Pack
from lam_train.errors import Fault, UserError
from lam_train.processes import ENDING
from lam_train.report.training import plot_training
from lam_train.settings import Settings
from lam_train.train.allocator import give_freed_blocks_back, keep_freed_blocks
from lam_train.train.checkpoint import Checkpoint, Checkpoints
from lam_train.train.collector import collected_when_asked
from lam_train.train.distributed import World, from_all, leader_does, sum_over_rows
from lam_train.train.engine import EngineSettings, build_engine
from lam_train.train.flops import ModelShape, utilisation
from lam_train.train.gradients import GradientGuard, GradientNorm
from lam_train.train.metrics import MetricsFile, memory_gib
from lam_train.train.preemption import Preempted, Preemption, requeue
from lam_train.train.progress import Progress
from lam_train.train.schedule import learning_rate
from lam_train.train.trackers import Tracker

log = logging.getLogger(__name__)

COLLECT_EVERY = 100  # optimizer steps between garbage collections
NAMED = 20  # samples that a message names at most

# (what the model gave for the N targets, [N] or [numbers, N]; the pack) -> summed loss
Objective = Callable[[torch.Tensor, Pack], torch.Tensor]


class StopTraining(Exception):
    """Raised by `Steering.before_update`: the step's update is not made, and the training ends as it stands."""


class Steering:
    """What an objective follows while it is trained with; this one follows nothing."""

    def before_update(self, world: World) -> dict[str, float]:
        """Called between a step's backward passes and its update, on every rank: numbers for the step's row.

        May raise StopTraining, on all ranks alike.
        """
        return {}

    def state(self) -> dict:
        """What a checkpoint keeps of it, as JSON."""
        return {}

    def load_state(self, state: dict) -> None:
        """Goes on where `state` was taken."""


class TrainerSettings(Settings):
    """What is learned from the samples, and how fast. The defaults are the paper's (section 5.1)."""

    batch_size: PositiveInt = 16
    """samples in an optimizer step, over all ranks, however they are laid out"""
    epochs: PositiveInt = 3
    """passes over the data"""
    max_steps: PositiveInt | None = None
    """stop after so many optimizer steps (phase 4b: of each iteration); null: when the epochs are done"""
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2e-5
    """peak learning rate"""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """after the warm-up"""
    warmup_steps: NonNegativeInt = 2
    """optimizer steps of linear warm-up"""
    weight_decay: NonNegativeFloat = 0.0
    """AdamW's, on every trained parameter"""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """AdamW's"""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """AdamW's"""
    eps: PositiveFloat = 1e-8
    """AdamW's"""
    gradient_clipping: NonNegativeFloat = 1.0
    """largest L2 norm of the gradient; 0: no clipping"""
    seed: NonNegativeInt = 0
    """of the order of the samples, adapters' initial weights and dropout"""
    validate_every_steps: PositiveInt | None = None
    """optimizer steps between validations; null: at every checkpoint, so that each can be the best"""


class Trainer:
    """Runs the steps of a loader through an engine, and loses nothing of them."""

    def __init__(
        self,
        model: torch.nn.Module,
        objective: Objective,
        loader: Loader,
        validation: Loader | None,
        *,
        settings: TrainerSettings,
        engine_settings: EngineSettings,
        checkpoints: Checkpoints,
        metrics: MetricsFile,
        tracker: Tracker,
        world: World,
        recipe: dict | None = None,
        steering: Steering | None = None,
        total_steps: int | None = None,
    ) -> None:
        self.objective, self.loader, self.validation = objective, loader, validation
        self.steering = steering or Steering()
        self.total_steps = total_steps or loader.steps  # of the whole training; a loader may give a part of them
        self.stopped = ""
        self.settings, self.checkpoints, self.metrics = settings, checkpoints, metrics
        self.tracker, self.world, self.recipe = tracker, world, recipe
        if world.device.type == "cpu":
            keep_freed_blocks()
        model = model.to(world.device)
        self.guard = GradientGuard(model, world.device)
        self.engine = build_engine(
            model,
            engine_settings,
            lr=settings.lr,
            betas=(settings.beta1, settings.beta2),
            eps=settings.eps,
            weight_decay=settings.weight_decay,
            clipping=settings.gradient_clipping,
        )
        self.norm = GradientNorm(self.engine, engine_settings, settings.gradient_clipping)
        self.model_shape = ModelShape.of(model.causal)
        self.step = 0
        self.saved_step: int | None = None
        self.preemption = Preemption()
        self.asked_to_end = 0  # the signal that some rank has heard

    def resume(self, checkpoint: Checkpoint) -> None:
        """Goes on from a checkpoint: weights, optimizer, random states, cursor. Raises UserError if it does not fit."""
        self.loader.load_state(checkpoint.state["loader"])
        self._check_horizon(checkpoint)
        self.steering.load_state(checkpoint.state.get("steering", {}))
        self.checkpoints.load(self.engine, checkpoint)
        self.step = self.saved_step = checkpoint.step

    def _check_horizon(self, checkpoint: Checkpoint) -> None:
        total, before = self.total_steps, checkpoint.state["total_steps"]
        if checkpoint.step > total:
            raise UserError(
                f"trainer.max_steps, trainer.epochs: {total} optimizer steps, but {checkpoint.folder} has made "
                f"{checkpoint.step} already; ask for more, or start in another run_dir"
            )
        if total != before and self.settings.schedule != "constant" and self.world.leads:
            log.warning("the schedule now ends at step %d instead of %d: other learning rates from here", total, before)

    def fit(self) -> None:
        """Takes the loader's steps that are left, with a progress bar, checkpoints and validations on the way.

        Where `steering` stops the training, `stopped` says why; the weights are those of the last update. Raises
        Preempted, with a checkpoint written, where a signal asks any rank to end.
        """
        self.engine.train()
        if self.world.leads:
            self.metrics.rewind(self.step)  # what a killed run wrote behind its last checkpoint is written again
        try:
            with (
                collected_when_asked(),  # between steps
                Progress(self.total_steps, done=self.step, shown=self.world.leads) as progress,
            ):
                begun = time.perf_counter()
                for batch in self.loader:
                    try:
                        row = self._train_step(batch, begun)
                    except torch.OutOfMemoryError as error:
                        raise Fault(self._too_large(batch, error)) from error
                    self.record(row)
                    progress.advance(row["loss"], row["tokens_per_second_logical"])
                    self._after_step()
                    if self.asked_to_end and self.step < self.total_steps:
                        self._end_early()
                    begun = time.perf_counter()  # the next step's time includes waiting for its batch
        except StopTraining as reason:
            self._stop(str(reason))

    def _stop(self, reason: str) -> None:
        """Ends the training before the update that was not to be made; the checkpoint goes on, and stops, there."""
        self.stopped = reason
        self.loader.next_step = self.step - self.loader.first_step
        if self.world.leads:
            log.warning("step %d was not made, the training ends: %s", self.step + 1, reason)
        if self.step and self.saved_step != self.step:
            self.save(None)

    def _end_early(self) -> None:
        """Raises Preempted, behind a checkpoint of this step; collective."""
        if self.saved_step != self.step:
            self.save(None)
        name = signal.Signals(self.asked_to_end).name
        leader_does(lambda: requeue(self.asked_to_end))  # no rank ends before it: Slurm would end the others
        raise _by_all(
            Preempted(f"{name}: ended at step {self.step}, where the same command, with the same run_dir, goes on")
        )

    def _train_step(self, batch: StepBatch, begun: float) -> dict:
        """One optimizer step; returns its metrics. Raises Fault before the update if anything is not finite.

        `begun` is when it began, on `time.perf_counter`'s clock.
        """
        lr = self._set_learning_rate(batch.step)
        loss_sum = torch.zeros((), dtype=torch.float32, device=self.world.device)
        weight, attended, kept = 0.0, 0, []
        for pack in batch.packs:
            weight += float(pack.weights.sum(dtype=torch.float64))
            attended += int(pack.positions.sum()) + len(pack.positions)
            pack = pack.to(self.world.device)
            outputs = self.engine(pack)
            loss = self.objective(outputs, pack)
            # DeepSpeed averages over the ranks: times the world size, divided once by the step's whole weight. Ranks
            # that share a row reckon the same loss, and each gives a part of its gradient.
            self.engine.backward(loss * (self.world.size / batch.weight), scale_wrt_gas=False)
            loss_sum += loss.detach()
            kept.append((pack, outputs.detach()))
        mine = torch.stack([loss_sum, self.guard.take()]).tolist()  # the step's one wait for the device
        heard = [float(self.preemption.asked == number) for number in ENDING]
        total, gradients, total_weight, attended, *heard = sum_over_rows([*mine, weight, attended, *heard], self.world)
        self.asked_to_end = next((number for number, ranks in zip(ENDING, heard, strict=True) if ranks), 0)
        if not math.isclose(total_weight, batch.weight, rel_tol=1e-6):
            held = f"ranks hold target weight {total_weight}, the plan says {batch.weight}"
            raise _by_all(Fault(f"step {batch.step + 1}: {held}"))
        self._stop_if_not_finite(batch, total, gradients, kept)
        followed = self.steering.before_update(self.world)
        self.engine.step()
        norm = self.norm.last()
        if not math.isfinite(norm):  # summed over the ranks it overflowed: known only after the update
            what = f"the gradient norm over all ranks is {norm}"
            raise _by_all(Fault(f"step {batch.step + 1}: {what}. {self._what_is_kept()}"))
        self.step = batch.step + 1
        row = self._row(batch, total / batch.weight, lr, norm, int(attended), time.perf_counter() - begun)
        return row | followed

    def _set_learning_rate(self, step: int) -> float:
        s = self.settings
        lr = learning_rate(step, peak=s.lr, total=self.total_steps, warmup=s.warmup_steps, kind=s.schedule)
        for group in self.engine.optimizer.param_groups:
            group["lr"] = lr
        return lr

    def _stop_if_not_finite(self, batch: StepBatch, loss: float, gradients: float, kept) -> None:
        if math.isfinite(loss) and math.isfinite(gradients):
            return
        by_rank = from_all(_samples_not_finite(kept))  # every rank is here: the sums are one
        named = list(dict.fromkeys(name for found in by_rank for name in found)) or list(batch.samples)
        more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
        what = "loss" if not math.isfinite(loss) else "gradient"
        where = f"step {batch.step + 1}: the {what} is not finite; samples: {', '.join(named[:NAMED])}{more}"
        raise _by_all(Fault(f"{where}. No weight was updated. {self._what_is_kept()}"))

    def _what_is_kept(self) -> str:
        return f"Nothing was saved. {self._kept_checkpoint()}; lower trainer.lr or look at the step's samples."

    def _kept_checkpoint(self) -> str:
        return f"The checkpoint of step {self.saved_step} is kept" if self.saved_step else "No checkpoint was made yet"

    def _too_large(self, batch: StepBatch, error: torch.OutOfMemoryError) -> str:
        longest = max(len(pack.tokens) for pack in batch.packs)
        return (
            f"step {batch.step + 1}: the GPU's memory is full; this rank's longest row has {longest:,} tokens. "
            f"{self._kept_checkpoint()}. What needs less: model.gradient_checkpointing=N (inspect=true proposes a "
            "number of layers), a smaller batching.max_tokens, a higher engine.zero_stage with more ranks, "
            "engine.offload=cpu. Where PyTorch says below that much is reserved but unallocated, the environment's "
            f"PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True may be enough. {error}"
        )

    def _row(self, batch: StepBatch, loss: float, lr: float, norm: float, attended: int, seconds: float) -> dict:
        physical, logical, supervised = batch.physical_tokens, batch.logical_tokens, batch.supervised_tokens
        flops = self.model_shape.flops(physical, supervised, attended)
        row = {
            "kind": "train",
            "step": self.step,
            "loss": loss,
            "lr": lr,
            "grad_norm": norm,
            "samples": list(batch.samples),
            "tokens_physical": physical,
            "tokens_logical": logical,
            "tokens_supervised": supervised,
            "tokens_repeated": batch.repeated_tokens,
            "seconds": seconds,
            "tokens_per_second_physical": physical / seconds,
            "tokens_per_second_logical": logical / seconds,
            "tokens_per_second_supervised": supervised / seconds,
            "tree_ratio": logical / physical,
            "epoch": batch.epoch,
            "micro_batches": len(batch.packs),
            "memory_gib": memory_gib(),
            "model_flops": flops,
        }
        mfu = utilisation(flops, seconds, self.world.size)
        return row if mfu is None else row | {"mfu": mfu}

    def record(self, row: dict) -> None:
        """Writes a row, which has its `kind` and `step`, to the metrics and the tracker."""
        if not self.world.leads:
            return
        self.metrics.write(row)
        numbers = {k: v for k, v in row.items() if isinstance(v, int | float) and k != "step"}
        self.tracker.log({f"{row['kind']}/{k}": v for k, v in numbers.items()}, row["step"])

    def _after_step(self) -> None:
        last = self.step == self.loader.last_step
        every = self.checkpoints.settings.every_steps
        save = last or (every is not None and self.step % every == 0)
        validate_every = self.settings.validate_every_steps
        validate = save if validate_every is None else last or self.step % validate_every == 0
        loss = self.validate() if validate and self.validation is not None else None
        if save:
            self.save(loss)
        if save or self.step % COLLECT_EVERY == 0:
            gc.collect()

    @torch.no_grad()
    def validate(self) -> float:
        """The mean loss over the validation samples; recorded as a row."""
        self.engine.eval()
        begun, tokens = time.perf_counter(), 0
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.world.device)
        self.validation.next_step = 0
        weight = 0.0
        for batch in self.validation:
            for pack in batch.packs:
                pack = pack.to(self.world.device)
                loss_sum += self.objective(self.engine(pack), pack)
            weight += batch.weight
            tokens += batch.supervised_tokens
        self.engine.train()
        loss = sum_over_rows([loss_sum.item()], self.world)[0] / weight
        seconds = time.perf_counter() - begun
        row = {"kind": "validation", "step": self.step, "loss": loss, "tokens_supervised": tokens, "seconds": seconds}
        self.record(row)
        if self.world.leads:
            log.info("step %d: validation loss %.4f", self.step, loss)
        return loss

    def save(self, validation_loss: float | None) -> None:
        """Writes a checkpoint, and the plots so far."""
        extra = {
            "loader": self.loader.state(),
            "total_steps": self.total_steps,
            "validation_loss": validation_loss,
            "steering": self.steering.state(),
            "recipe": self.recipe,
        }
        give_freed_blocks_back()
        folder = self.checkpoints.save(self.engine, self.step, extra)
        self.saved_step = self.step
        if self.world.leads:
            log.info("step %d: checkpoint %s", self.step, folder)
            plot_training(self.metrics.numbers(), Path(self.metrics.path).parent)


def _by_all(error: Fault) -> Fault:
    """The error, which every rank raises at the same place."""
    error.everywhere = True
    return error


def _samples_not_finite(kept: list[tuple[Pack, torch.Tensor]]) -> list[str]:
    """The ids of the samples whose own log-probabilities or scores are not finite, on this rank."""
    named = []
    for pack, outputs in kept:
        finite = torch.isfinite(outputs * pack.weights).reshape(-1, len(pack.weights)).all(0)
        owners = pack.owners[~finite].unique().tolist()
        named += [pack.samples[owner] for owner in owners]
    return named
