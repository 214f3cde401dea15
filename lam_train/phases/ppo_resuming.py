"""Going on with offline PPO: what an iteration learns from was made before it, and belongs to its checkpoints."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from lam_train.disk import write_flushed
from lam_train.errors import UserError
from lam_train.train.checkpoint import Checkpoint, newest_checkpoint
from lam_train.train.metrics import MetricsFile
from lam_train.train.run_directory import RunDirectory

CHECKPOINTS = "checkpoints"
EXPERIENCE = "experience"  # of a run directory: answers-NNN.jsonl and iteration-NNN.npz
_OF_ITERATION = re.compile(r"-(\d{3,})\.(?:jsonl|npz)$")


def iteration_of(checkpoint: Checkpoint) -> int:
    """The iteration in which, or at whose end, a checkpoint was made."""
    return checkpoint.state["steering"]["iteration"]


def bring_experience(checkpoint: Checkpoint, run_dir: RunDirectory) -> None:
    """Copies the experience that a checkpoint of another run goes on with into a run directory. For rank 0 alone.

    What lies there has no checkpoint beside it: another beginning's, which was killed.
    """
    folder, here = checkpoint.folder.resolve().parent, run_dir / EXPERIENCE
    if folder == (run_dir / CHECKPOINTS).resolve():
        return
    for file, _ in _files(here):
        file.unlink()
    here.mkdir(exist_ok=True)
    of_a_run = folder.name == CHECKPOINTS  # else a checkpoint that lies alone
    for file, iteration in _files(folder.parent / EXPERIENCE) if of_a_run else ():
        if iteration <= iteration_of(checkpoint):
            partial = here / f"{file.name}.incomplete"
            shutil.copyfile(file, partial)
            os.replace(partial, here / file.name)


def give_up_later_experience(checkpoint: Checkpoint, run_dir: RunDirectory, metrics: MetricsFile, steps: int) -> None:
    """Removes the experience of iterations behind a checkpoint, where another policy met it. For rank 0 alone.

    The checkpoint's own policy met it where the checkpoint is the run's newest and ends an iteration of `steps` steps.
    To be called when nothing can refuse to go on any more: the checkpoint is the newest from then on.
    """
    folder, newest = run_dir / CHECKPOINTS, newest_checkpoint(run_dir / CHECKPOINTS)
    is_newest = newest is not None and newest.folder.resolve() == checkpoint.folder.resolve()
    later = [file for file, iteration in _files(run_dir / EXPERIENCE) if iteration > iteration_of(checkpoint)]
    if not later or (is_newest and checkpoint.state["loader"]["next_step"] == steps):
        return
    if checkpoint.folder.resolve().parent == folder.resolve():
        write_flushed(
            folder / "latest", checkpoint.folder.resolve().name + "\n"
        )  # killed from here on, it goes on here
    for file in later:
        file.unlink()
    metrics.keep(lambda row: row["kind"] != "experience" or row["iteration"] <= iteration_of(checkpoint))


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    for file in sorted(folder.glob("*")):
        if found := _OF_ITERATION.search(file.name):
            yield file, int(found[1])


def check_iterations(checkpoint: Checkpoint, steps: int) -> None:
    """Raises UserError where iterations of `steps` optimizer steps do not lead to the checkpoint.

    In the first one their number may change.
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
