"""Where metrics go beside `metrics.jsonl`: nowhere, Weights & Biases, or TensorBoard."""

import os
import uuid
from pathlib import Path
from typing import Literal, Protocol

from lam_train.errors import UserError
from lam_train.settings import Settings


class TrackerSettings(Settings):
    """Which tracker, and how the run is called there."""

    kind: Literal["none", "wandb", "tensorboard"] = "none"
    """the tracker"""
    project: str = "lam_train"
    """W&B: the project"""
    name: str | None = None
    """the run's name there; null: the run directory's"""
    mode: Literal["online", "offline"] | None = None
    """W&B: null takes WANDB_MODE, or offline where nobody is logged in"""


class Tracker(Protocol):
    """Takes numbers at a step."""

    def log(self, values: dict[str, float], step: int) -> None: ...

    def close(self) -> None: ...


class NoTracker:
    """Keeps nothing: `metrics.jsonl` has it all."""

    def log(self, values: dict[str, float], step: int) -> None: ...

    def close(self) -> None: ...


class WandbTracker:
    """One W&B run over all resumes: its id is kept in the run directory."""

    def __init__(self, settings: TrackerSettings, run_dir: Path, recipe: dict) -> None:
        try:
            import wandb
        except ImportError:
            raise UserError("tracker=wandb needs the package wandb: pip install wandb") from None
        id_file = run_dir / "wandb-run-id"
        run_id = id_file.read_text().strip() if id_file.exists() else uuid.uuid4().hex[:8]
        id_file.write_text(run_id + "\n")
        logged_in = bool(os.environ.get("WANDB_API_KEY")) or Path("~/.netrc").expanduser().exists()
        mode = settings.mode or os.environ.get("WANDB_MODE") or ("online" if logged_in else "offline")
        self._run = wandb.init(
            project=settings.project,
            name=settings.name or run_dir.name,
            id=run_id,
            resume="allow",
            dir=str(run_dir),
            mode=mode,
            config=recipe,
            settings=wandb.Settings(console="off", silent=True),
        )

    def log(self, values: dict[str, float], step: int) -> None:
        self._run.log(values, step=step)

    def close(self) -> None:
        self._run.finish()


class TensorBoardTracker:
    """Event files under `tensorboard/` in the run directory."""

    def __init__(self, run_dir: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError("tracker=tensorboard needs the package tensorboard: pip install tensorboard") from None
        self._writer = SummaryWriter(str(run_dir / "tensorboard"))

    def log(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


def open_tracker(settings: TrackerSettings, run_dir: Path, recipe: dict) -> Tracker:
    """The tracker of rank 0."""
    if settings.kind == "wandb":
        return WandbTracker(settings, run_dir, recipe)
    if settings.kind == "tensorboard":
        return TensorBoardTracker(run_dir)
    return NoTracker()
