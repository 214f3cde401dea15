"""Checkpoints that are complete or do not exist, and load on any number of ranks at any ZeRO stage.

    checkpoints/
      latest                         the newest complete checkpoint's name; written last
      best                           the one with the lowest validation loss
      step-00000040/
        state-00000-of-00002-0000.safetensors    NAME.weight, NAME.exp_avg, NAME.exp_avg_sq: fp32, full shapes;
                                     the first file of rank 0 of two, …
        rng-00000.pt                 random states of rank 0, …
        state.json                   steps, the loader's cursor, which file holds which tensor, versions

A checkpoint is written under a name that ends in `.incomplete`, flushed to the disk, and renamed: a process killed at
any moment leaves the last complete one as it was.
"""

import json
import math
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pydantic import PositiveInt
from safetensors import safe_open

from lam_train.disk import flush, write_flushed
from lam_train.errors import Fault, UserError
from lam_train.settings import Settings
from lam_train.train.distributed import World, all_succeeded
from lam_train.train.engine_state import PARTS, adam_steps, full_shape, read_state, trained_parameters, write_state
from lam_train.train.state_files import deal_out, write_tensors

FORMAT = 1
INCOMPLETE = ".incomplete"


class CheckpointSettings(Settings):
    """When training state is written, and how much of it is kept."""

    every_steps: PositiveInt | None = 200
    """optimizer steps between checkpoints; null: only at the end"""
    keep_last: PositiveInt = 2
    """how many of the newest are kept"""
    keep_best: bool = True
    """also keep the one with the lowest validation loss"""


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint on disk."""

    folder: Path
    state: dict

    @property
    def step(self) -> int:
        return self.state["step"]

    def read_tensor(self, name: str, part: str) -> torch.Tensor:
        """The full fp32 tensor of a parameter's `part`."""
        key = f"{name}.{part}"
        with safe_open(self.folder / self.state["files"][key], framework="pt") as file:
            return file.get_tensor(key)

    def damage(self) -> Exception | None:
        """Why the tensors cannot be read by this process, or None: every file is opened and its index read."""
        try:
            held: set[str] = set()
            for name in sorted(set(self.state["files"].values())):
                with safe_open(self.folder / name, framework="pt") as file:
                    held |= set(file.keys())
            missing = self.state["files"].keys() - held
            return KeyError(f"{min(missing)} is missing") if missing else None
        except Exception as error:  # safetensors raises kinds of its own
            return error


STATE_KEYS = {"step", "adam_steps", "files", "shapes", "loader", "total_steps", "validation_loss", "recipe"}


def open_checkpoint(folder: Path) -> Checkpoint:
    """The checkpoint in `folder`; raises UserError where it is not a complete one."""
    try:
        state = json.loads((folder / "state.json").read_text())
    except (OSError, ValueError):
        raise UserError(f"{folder}: not a complete checkpoint (no readable state.json)") from None
    if not isinstance(state, dict) or not state.keys() >= STATE_KEYS:
        raise UserError(f"{folder}: state.json is not that of a checkpoint of this version")
    missing = sorted({file for file in state["files"].values() if not (folder / file).exists()})
    if missing:
        raise UserError(f"{folder}: not a complete checkpoint: {missing[0]} is missing")
    return Checkpoint(folder, state)


def complete_folders(folder: Path) -> list[Path]:
    """The checkpoints under `folder` that have their final name, the newest last.

    The one that `latest` names is the newest. Later steps than its own were left behind by a run that went back to
    an earlier checkpoint: they count as the oldest.
    """
    found = sorted(f for f in folder.glob("step-*") if not f.name.endswith(INCOMPLETE))
    pointer = folder / "latest"
    latest = pointer.read_text(encoding="utf-8").strip() if pointer.exists() else ""
    if folder / latest not in found:
        return found
    return [f for f in found if f.name > latest] + [f for f in found if f.name <= latest]


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest complete checkpoint under `folder` (a run's `checkpoints/`), or None."""
    for candidate in reversed(complete_folders(folder)):
        try:
            return open_checkpoint(candidate)
        except UserError:
            continue
    return None


def find_checkpoint(path: Path, key: str = "resume") -> Checkpoint:
    """The checkpoint at `path`: one itself, a `checkpoints/` folder, or a run directory. Raises UserError."""
    if (path / "state.json").exists():
        return open_checkpoint(path)
    for folder in (path / "checkpoints", path):
        found = newest_checkpoint(folder)
        if found is not None:
            return found
    raise UserError(f"{key}={path}: no complete checkpoint there; give a run directory or a checkpoint in it")


class Checkpoints:
    """Writes and reads the checkpoints of one run."""

    def __init__(self, folder: Path, settings: CheckpointSettings, world: World) -> None:
        self.folder, self.settings, self.world = folder, settings, world

    def save(self, engine, step: int, extra: dict) -> Path:
        """Writes a checkpoint of `step` optimizer steps; `extra` is what else the trainer needs. Collective.

        Raises Fault on every rank where any rank cannot write; what was there before is untouched.
        """
        target = self.folder / f"step-{step:08d}"
        partial = target.with_name(target.name + INCOMPLETE)
        if self.world.leads:
            shutil.rmtree(partial, ignore_errors=True)
        torch.distributed.barrier()
        shapes = {name: full_shape(p) for name, p in trained_parameters(engine)}
        dealt = deal_out(shapes, PARTS, self.world.size)
        try:
            all_succeeded(self._write_mine(engine, partial, dealt[self.world.rank]), "writing")
            files = {key: file for mine in dealt for key, file in mine.items()}
            state = {"format": FORMAT, "step": step, "adam_steps": adam_steps(engine), "files": files}
            state["shapes"] = {name: list(shape) for name, shape in shapes.items()}
            state |= extra
            self._finish(partial, target, state)
        except OSError as error:
            if self.world.leads:
                shutil.rmtree(partial, ignore_errors=True)
            kept = newest_checkpoint(self.folder)
            raise Fault(
                f"the checkpoint of step {step} could not be written to {target.parent}: {error}. "
                f"{f'The one of step {kept.step} is complete' if kept else 'There is no earlier one'}; make room and "
                "start the same command again to go on from there."
            ) from None
        self._prune()
        return target

    def _check_room(self, engine, folder: Path) -> None:
        numbers = sum(full_shape(p).numel() for _, p in trained_parameters(engine))
        needed = 4 * len(PARTS) * numbers
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise OSError(f"no space left: {needed / 1e9:.2f} GB needed, {free / 1e9:.2f} GB free")

    def _write_mine(self, engine, folder: Path, files: dict[str, str]) -> Exception | None:
        """Writes this rank's tensors, NAME.PART to file, and its random states; returns what kept it from that."""
        failure: Exception | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._check_room(engine, folder)
            rng = folder / f"rng-{self.world.rank:05d}.pt"
            torch.save(random_states(), rng)
            flush(rng)
        except (OSError, RuntimeError) as error:  # torch's own for a full disk
            failure, files = error, {}
        tensors = ((f"{name}.{part}", tensor) for name, part, tensor in read_state(engine))  # collective
        return write_tensors(tensors, files, folder) or failure

    def _finish(self, partial: Path, target: Path, state: dict) -> None:
        """Rank 0 writes what makes it complete, renames it, and moves the pointer; an error reaches every rank."""
        failure: Exception | None = None
        if self.world.leads:
            try:
                self._check_all_there(partial, state)
                write_flushed(partial / "state.json", json.dumps(state, indent=1))
                flush(partial)
                if target.exists():  # the same step again, after resuming from an earlier one
                    shutil.rmtree(target)
                partial.rename(target)
                flush(target.parent)
                write_flushed(self.folder / "latest", target.name + "\n")
                best = self.best()
                if best is not None:
                    write_flushed(self.folder / "best", best.name + "\n")
            except OSError as error:
                failure = error
        all_succeeded(failure, "completing")

    def _check_all_there(self, partial: Path, state: dict) -> None:
        """Every rank's files, as rank 0 sees them: on disks of the nodes' own they would not make a checkpoint."""
        names = {*state["files"].values(), *(f"rng-{rank:05d}.pt" for rank in range(self.world.size))}
        absent = sorted(name for name in names if not (partial / name).is_file())
        if absent:
            raise OSError(f"{absent[0]} of another rank is not visible here: run_dir must be on a shared file system")

    def _prune(self) -> None:
        if not self.world.leads:
            return
        best = self.best() if self.settings.keep_best else None
        for folder in complete_folders(self.folder)[: -self.settings.keep_last]:
            if folder != best:
                shutil.rmtree(folder, ignore_errors=True)

    def best(self) -> Path | None:
        """The checkpoint with the lowest finite validation loss; the latest of equals, None where there is none."""
        found = []
        for age, folder in enumerate(reversed(complete_folders(self.folder))):
            try:
                loss = open_checkpoint(folder).state["validation_loss"]
            except UserError:
                continue
            if loss is not None and math.isfinite(loss):  # NaN is neither less nor more: min() would let it win
                found.append((loss, age, folder))
        return min(found)[2] if found else None

    def load(self, engine, checkpoint: Checkpoint) -> None:
        """Sets the engine and this rank's random states from a checkpoint of any world size and ZeRO stage."""
        held = {key.rpartition(".")[0] for key in checkpoint.state["files"]}
        try:
            all_succeeded(checkpoint.damage(), f"reading {checkpoint.folder}")
        except OSError as error:
            raise Fault(f"{error}. {self._earlier(checkpoint)}") from None
        names = {name for name, _ in trained_parameters(engine)}
        if held != names:
            odd = sorted(held ^ names)[0]
            where = "checkpoint" if odd in held else "model"
            raise UserError(
                f"{checkpoint.folder}: made for another model or LoRA setting: {odd} is only in the {where}"
            )
        for name, parameter in trained_parameters(engine):
            saved = checkpoint.state["shapes"][name]
            if list(full_shape(parameter)) != saved:
                raise UserError(
                    f"{checkpoint.folder}: {name} has shape {saved}, the model's has {[*full_shape(parameter)]}"
                )
        write_state(engine, checkpoint.read_tensor, checkpoint.state["adam_steps"])
        rng = checkpoint.folder / f"rng-{self.world.rank:05d}.pt"
        if rng.exists():
            restore_random_states(torch.load(rng, weights_only=False))
        else:
            random_states_of_a_new_rank(checkpoint.state, self.world.rank)

    def _earlier(self, damaged: Checkpoint) -> str:
        """What to go on from instead of a checkpoint that cannot be read."""
        others = [f for f in reversed(complete_folders(damaged.folder.parent)) if f.name < damaged.folder.name]
        if others:
            return f"The same command with resume={others[0]} goes on from the one before; or remove the folder"
        return "There is no earlier one beside it: remove the folder to begin anew"


def random_states() -> dict:
    """All random states of this process."""
    gpu = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {"python": random.getstate(), "numpy": np.random.get_state(), "torch": torch.get_rng_state(), "cuda": gpu}


def random_states_of_a_new_rank(state: dict, rank: int) -> None:
    """Seeds torch on a rank beyond those that a checkpoint was made on: each its own, others at each checkpoint."""
    seed = (state["recipe"] or {}).get("trainer", {}).get("seed", 0)
    torch.manual_seed(((seed * 1_000_003 + state["step"]) * 1_000_003 + rank) % 2**63)


def restore_random_states(states: dict) -> None:
    """The inverse of `random_states`."""
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])
