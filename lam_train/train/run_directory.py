"""One run directory a run: chosen by rank 0, used by all, kept over resumes."""

import fcntl
import importlib.metadata
import json
import logging
import os
import platform
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import lam_train
from lam_train.errors import Fault, UserError

log = logging.getLogger(__name__)

PACKAGES = ("torch", "deepspeed", "transformers", "tokenizers", "safetensors", "peft", "hydra-core", "numpy")


def default_run_directory(recipe_name: str) -> Path:
    """`runs/RECIPE/TIME`; under Slurm `runs/RECIPE/slurm-JOB`, which a requeued job finds again."""
    job = os.environ.get("SLURM_ARRAY_JOB_ID") or os.environ.get("SLURM_JOB_ID")
    if job:
        task = os.environ.get("SLURM_ARRAY_TASK_ID")
        return Path("runs") / recipe_name / (f"slurm-{job}" + (f"-{task}" if task else ""))
    return Path("runs") / recipe_name / datetime.now().strftime("%Y-%m-%d-%H%M%S")


class RunDirectory:
    """Where a run writes: recipe.yaml, versions.json, metrics.jsonl, log, plots, checkpoints/, model/.

    Left (`with`), it is closed, and the log of one that was opened says why the run ended where it ended badly.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = None
        self._handler: logging.Handler | None = None

    def __enter__(self) -> "RunDirectory":
        return self

    def __exit__(self, _kind, error: BaseException | None, _trace) -> None:
        if self._handler is not None and isinstance(error, (Exception, KeyboardInterrupt)):
            self._handler.handle(last_words(error))  # to the file alone: whoever catches it tells it on the terminal
        self.close()

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    LOCK_WAIT_S = 5.0  # a worker of a run that was killed may hold the lock a moment longer

    def open(self) -> None:
        """Makes it, locks it against a second run and starts the log. For rank 0 alone."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / ".lock").open("w")
        except OSError as error:
            raise UserError(f"run_dir={self.path}: {error.strerror}; choose a folder that can be written") from None
        self._take_lock()
        self._handler = logging.FileHandler(self.path / "log", encoding="utf-8")
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logging.getLogger().addHandler(self._handler)

    def _take_lock(self) -> None:
        until = time.monotonic() + self.LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > until:
                    raise UserError(
                        f"run_dir={self.path}: another run is writing there; wait for it or take another"
                    ) from None
                time.sleep(0.1)
            except OSError as error:  # a file system without locks
                log.warning("run_dir=%s cannot be locked (%s): let only one run write there", self.path, error)
                return

    def record(self, recipe_yaml: str) -> None:
        """Writes recipe.yaml and versions.json: once it is clear that the run goes ahead."""
        (self.path / "recipe.yaml").write_text(recipe_yaml, encoding="utf-8")
        (self.path / "versions.json").write_text(json.dumps(versions(), indent=1) + "\n", encoding="utf-8")

    def close(self) -> None:
        """Ends the log and the lock, so that another run may follow in this process."""
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
            self._handler.close()
            self._handler = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def last_words(error: BaseException) -> logging.LogRecord:
    """Why a run ended: the message of what is meant for its user, the traceback of anything else."""
    trace = None
    if isinstance(error, (UserError, Fault)):
        message = str(error)
    elif isinstance(error, KeyboardInterrupt):
        message = "interrupted; the same command, with the same run_dir, goes on"
    else:
        message, trace = "a fault", (type(error), error, error.__traceback__)
    return logging.LogRecord("lam_train", logging.ERROR, __file__, 0, message, None, trace)


def versions() -> dict:
    """Of Python, lam_train and the packages that decide results; the git commit where there is one."""
    found = {
        "python": platform.python_version(),
        "lam_train": lam_train.__version__,
        "command": ["lam_train", *sys.argv[1:]],
    }
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
