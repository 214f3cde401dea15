"""Plots of a training run, from its `metrics.jsonl`."""

from itertools import pairwise
from pathlib import Path

import numpy as np

DRAWN = 2000  # points of a curve: more than twice a picture's 880 pixels


def plot_training(rows: list[dict], folder: Path) -> list[Path]:
    """Writes loss.png and throughput.png into `folder` and returns them; nothing where no step was made."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    steps = [row for row in rows if row["kind"] == "train"]
    if not steps:
        return []
    x = _column(steps, "step")
    regular = np.unique(np.linspace(0, len(x) - 1, DRAWN).astype(int))  # where a smoothed curve is computed and drawn
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 6), sharex=True, height_ratios=(2, 1), layout="constrained")
    loss = _column(steps, "loss")
    top.plot(*_thin(x, loss), color="tab:blue", linewidth=0.8, alpha=0.5, label="training, each step")
    top.plot(x[regular], _smooth(loss, regular), color="tab:blue", linewidth=1.8, label="training, smoothed")
    held_out = [row for row in rows if row["kind"] == "validation"]
    if held_out:
        points = _thin(_column(held_out, "step"), _column(held_out, "loss"))
        top.plot(*points, "o-", color="tab:orange", label="validation")
    top.set_ylabel("loss")
    top.legend()
    top.grid(alpha=0.3)
    bottom.plot(*_thin(x, _column(steps, "lr")), color="tab:green")
    bottom.set_ylabel("learning rate")
    bottom.set_xlabel("optimizer step")
    bottom.grid(alpha=0.3)
    written = [_save(figure, folder / "loss.png")]

    figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
    for kind, colour in (("logical", "tab:purple"), ("physical", "tab:blue"), ("supervised", "tab:orange")):
        values = _column(steps, f"tokens_per_second_{kind}")
        axis.plot(x[regular], _smooth(values, regular), color=colour, label=kind)
    axis.set_ylabel("tokens/s, smoothed")
    axis.set_xlabel("optimizer step")
    axis.set_ylim(bottom=0)
    axis.legend()
    axis.grid(alpha=0.3)
    written.append(_save(figure, folder / "throughput.png"))
    return written


def _save(figure, path: Path) -> Path:
    import matplotlib.pyplot as plt

    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _column(rows: list[dict], name: str) -> np.ndarray:
    return np.array([row[name] for row in rows], dtype=float)


def _thin(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most DRAWN of the points: the lowest and the highest of each stretch, so no spike gets lost."""
    if len(y) <= DRAWN:
        return x, y
    edges = np.linspace(0, len(y), DRAWN // 2 + 1).astype(int)
    stretches = [(low, y[low:high]) for low, high in pairwise(edges)]
    kept = np.unique([low + place for low, part in stretches for place in (part.argmin(), part.argmax())])
    return x[kept], y[kept]


def _smooth(values: np.ndarray, at: np.ndarray, share: float = 0.05) -> np.ndarray:
    """A running mean over a twentieth of the run, centred, at the indices `at`.

    Linear in the length, as `at` is bounded. (Differences of cumulative sums would carry a NaN or the rounding of one
    huge loss to all that follows.)
    """
    half = max(1, int(len(values) * share / 2))
    return np.array([values[max(0, i - half) : i + half + 1].mean() for i in at])
