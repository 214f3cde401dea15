"""Replay failures step by step, and let the expert try to complete the task from each state."""

from pathlib import Path

from lam_train.collect.exploration.completable import replay_failures
from lam_train.collect.trajectories.store import read_trajectories
from lam_train.errors import UserError
from lam_train.phases.collect import environments_of
from lam_train.recipe import Recipe
from lam_train.train.run_directory import RunDirectory


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Writes `completable.output`; the run directory holds recipe, versions and log."""
    settings = recipe.completable
    read = read_trajectories(Path(settings.episodes).expanduser())
    failures = [trajectory for trajectory in read if trajectory.outcome == "fail" and trajectory.steps]
    if any(trajectory.task.split == "test" for trajectory in failures):
        raise UserError(f"completable.episodes={settings.episodes}: episodes of the test split; give others")
    if not failures:
        raise UserError(f"completable.episodes={settings.episodes}: no failures there")
    replay_failures(settings, failures, lambda: environments_of(recipe))
