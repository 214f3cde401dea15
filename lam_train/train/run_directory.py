"""One run directory a run: chosen by rank 0, used by all, kept over resumes."""

import fcntl
import importlib.metadata
import json
import logging
import os
import platform
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import lam_train
from lam_train.errors import UserError

PACKAGES = ("torch", "deepspeed", "transformers", "tokenizers", "safetensors", "peft", "hydra-core", "numpy")


def default_run_directory(recipe_name: str) -> Path:
    """`runs/RECIPE/TIME`; under Slurm `runs/RECIPE/slurm-JOB`, which a requeued job finds again."""
    job = os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ.get("SLURM_JOB_ID")
    if job:
        task = os.environ.get("SLURM_ARRAY_TASK_ID")
        return Path("runs") / recipe_name / (f"slurm-{job}" + (f"-{task}" if task else ""))
    return Path("runs") / recipe_name / datetime.now().strftime("%Y-%m-%d-%H%M%S")


class RunDirectory:
    """Where a run writes: recipe.yaml, versions.json, metrics.jsonl, log, plots, checkpoints/, model/."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = None

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    def open(self, recipe_yaml: str, leads: bool = True) -> None:
        """Makes it, locks it against a second run (rank 0), writes recipe and versions, starts the log."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"run_dir={self.path}: {error.strerror}") from None
        if not leads:
            return
        self._lock = (self.path / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"run_dir={self.path}: another run is writing there; wait for it or take another") from None
        (self.path / "recipe.yaml").write_text(recipe_yaml, encoding="utf-8")
        (self.path / "versions.json").write_text(json.dumps(versions(), indent=1) + "\n", encoding="utf-8")
        self._start_log()

    def _start_log(self) -> None:
        handler = logging.FileHandler(self.path / "log", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(handler)

    def close(self) -> None:
        """Ends the log and the lock, so that another run may follow in this process."""
        root = logging.getLogger()
        for handler in list(root.handlers):
            if isinstance(handler, logging.FileHandler) and Path(handler.baseFilename).parent == self.path.resolve():
                root.removeHandler(handler)
                handler.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def versions() -> dict:
    """Of Python, lam_train and the packages that decide results; the git commit where there is one."""
    found = {"python": platform.python_version(), "lam_train": lam_train.__version__, "command": sys.argv}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    found["git_commit"] = _git("rev-parse", "HEAD")
    found["git_changes"] = bool(_git("status", "--porcelain")) if found["git_commit"] else None
    found["time"] = datetime.now().astimezone().isoformat(timespec="seconds")
    return found


def _git(*arguments: str) -> str | None:
    """What git says of the checkout that this package lies in, or None for an installed package."""
    root = Path(lam_train.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
