"""Going on with offline PPO: what an iteration learns from was made before it, and belongs to its checkpoints."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from lam_train.errors import UserError
from lam_train.train.checkpoint import Checkpoint, newest_checkpoint
from lam_train.train.run_directory import RunDirectory

EXPERIENCE = "experience"  # of a run directory: answers-NNN.jsonl and iteration-NNN.npz
_OF_ITERATION = re.compile(r"-(\d{3,})\.(?:jsonl|npz)$")


def iteration_of(checkpoint: Checkpoint) -> int:
    """The iteration in which, or at whose end, a checkpoint was made."""
    return checkpoint.state["steering"]["iteration"]


def bring_experience(checkpoint: Checkpoint, run_dir: RunDirectory) -> None:
    """Makes the experience of a run directory that of `checkpoint`. For rank 0 alone.

    A checkpoint of another run brings its own along. At one behind which this run has gone on before, later iterations'
    is removed: a policy met it that is given up now.
    """
    here, there = run_dir / EXPERIENCE, checkpoint.folder.parent.parent / EXPERIENCE
    elsewhere = here.resolve() != there.resolve()
    if elsewhere:
        here.mkdir(exist_ok=True)
        for file, iteration in _files(there):
            if iteration <= iteration_of(checkpoint):
                partial = here / f"{file.name}.incomplete"
                shutil.copyfile(file, partial)
                os.replace(partial, here / file.name)
    newest = newest_checkpoint(run_dir / "checkpoints")
    if elsewhere or newest is None or newest.step != checkpoint.step:
        for file, iteration in _files(here):
            if iteration > iteration_of(checkpoint):
                file.unlink()


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    for file in sorted(folder.glob("*")):
        if found := _OF_ITERATION.search(file.name):
            yield file, int(found[1])


def check_iterations(checkpoint: Checkpoint, steps: int) -> None:
    """Raises UserError where iterations of `steps` optimizer steps do not lead to the checkpoint.

    In the first one their number may change: nothing was begun behind it.
    """
    iteration, done = iteration_of(checkpoint), checkpoint.state["loader"]["next_step"]
    before = checkpoint.state["total_steps"] // checkpoint.state["recipe"]["ppo"]["iterations"]
    if (steps != before) if iteration else (steps < done):
        raise UserError(
            f"trainer.max_steps, trainer.epochs: iterations of {steps} optimizer steps, but {checkpoint.folder} was "
            f"made in iteration {iteration}, of {before} steps, after {done} of them; keep them as they were, or start "
            "in another run_dir"
        )


def missing_experience(file: Path, iteration: int) -> UserError:
    """The error where a run goes on inside an iteration whose experience is not there."""
    return UserError(
        f"{file} is missing: what iteration {iteration} learns from was made before its first step, by a policy that "
        "is no longer there; resume from a run directory that holds it, or start in another run_dir"
    )
