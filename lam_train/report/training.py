"""Plots of a training run, from its `metrics.jsonl`."""

from pathlib import Path


def plot_training(rows: list[dict], folder: Path) -> list[Path]:
    """Writes loss.png and throughput.png into `folder` and returns them; nothing where no step was made."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    steps = [row for row in rows if row["kind"] == "train"]
    if not steps:
        return []
    x = [row["step"] for row in steps]
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 6), sharex=True, height_ratios=(2, 1), layout="constrained")
    top.plot(x, [row["loss"] for row in steps], color="tab:blue", linewidth=0.8, alpha=0.5, label="training, each step")
    top.plot(x, _smooth([row["loss"] for row in steps]), color="tab:blue", linewidth=1.8, label="training, smoothed")
    held_out = [row for row in rows if row["kind"] == "validation"]
    if held_out:
        points = [row["step"] for row in held_out], [row["loss"] for row in held_out]
        top.plot(*points, "o-", color="tab:orange", label="validation")
    top.set_ylabel("loss")
    top.legend()
    top.grid(alpha=0.3)
    bottom.plot(x, [row["lr"] for row in steps], color="tab:green")
    bottom.set_ylabel("learning rate")
    bottom.set_xlabel("optimizer step")
    bottom.grid(alpha=0.3)
    written = [_save(figure, folder / "loss.png")]

    figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
    for kind, colour in (("logical", "tab:purple"), ("physical", "tab:blue"), ("supervised", "tab:orange")):
        values = [row[f"tokens_per_second_{kind}"] for row in steps]
        axis.plot(x, _smooth(values), color=colour, label=kind)
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


def _smooth(values: list[float], share: float = 0.05) -> list[float]:
    """A running mean over a twentieth of the run, centred."""
    half = max(1, int(len(values) * share / 2))
    return [sum(w) / len(w) for w in (values[max(0, i - half) : i + half + 1] for i in range(len(values)))]
