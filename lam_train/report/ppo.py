"""The health of an offline PPO run, from its `metrics.jsonl`: a page of plots, and what they say."""

import json
from pathlib import Path

from lam_train.report.markdown import table

# (name in the metrics, title, what lies on the axis)
PANELS = (
    ("reward", "reward", "of the actions learned from, and of sampled answers"),
    ("kl", "KL from the starting model", "nats an action"),
    ("clip_fraction", "clip fraction", "share of tokens"),
    ("entropy", "entropy", "nats a token"),
    ("explained_variance", "value: explained variance", ""),
    ("format_valid_rate", "readable answers", "share of sampled answers"),
)

ALIKE = 0.25  # of the states' deviation: answers whose rewards differ less are hardly told apart


def write_health(rows: list[dict], stopped: str, folder: Path) -> None:
    """Writes health.png, health.md and health.json into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    health = summary(rows, stopped)
    (folder / "health.json").write_text(json.dumps(health, indent=1) + "\n", encoding="utf-8")
    (folder / "health.md").write_text(page(health), encoding="utf-8")
    plot_health(rows, folder / "health.png")


def summary(rows: list[dict], stopped: str) -> dict:
    """First and last value of each number (steps: means of a tenth of them), and warnings."""
    steps, probes = _of(rows, "train"), _of(rows, "probe")
    some = max(1, len(steps) // 10)
    ends = {}
    for name, _, _ in PANELS:
        values = [row[name] for row in steps if name in row]
        if values:
            ends[name] = [sum(part) / len(part) for part in (values[:some], values[-some:])]
    sampled = {name: [probes[0][name], probes[-1][name]] for name in ("reward", "format_valid_rate")} if probes else {}
    known = next((row for row in _of(rows, "experience") if "reward_within" in row), None)
    spread = {} if known is None else {name: known[f"reward_{name}"] for name in ("within", "between")}
    warnings = warnings_of(ends, sampled, spread)
    return {"steps": ends, "sampled": sampled, "spread": spread, "stopped": stopped, "warnings": warnings}


def warnings_of(steps: dict, sampled: dict, spread: dict) -> list[str]:
    """What looks wrong, in words."""
    found = []
    if spread and spread["within"] < ALIKE * spread["between"]:
        found.append(
            f"the reward tells states apart (their means deviate by {spread['between']:.4f}) and hardly the answers to "
            f"one state (by {spread['within']:.4f}): their differences may be noise; the reward model needs more "
            "failures beside successes of the same tasks, or a longer training"
        )
    if sampled:
        (reward, reward_after), (valid, valid_after) = sampled["reward"], sampled["format_valid_rate"]
        if reward_after > reward and valid_after < valid - 0.02:
            found.append(
                f"reward hacking: the reward of sampled answers rose from {reward:.3f} to {reward_after:.3f} while "
                f"readable answers fell from {valid:.1%} to {valid_after:.1%}"
            )
        if reward_after < reward:
            found.append(f"the reward of sampled answers fell from {reward:.3f} to {reward_after:.3f}")
    if steps.get("entropy", [1, 1])[1] < 0.1 * steps.get("entropy", [1, 1])[0]:
        found.append("the entropy fell below a tenth of what it was: the policy answers one thing only")
    if steps.get("clip_fraction", [0, 0])[1] > 0.5:
        found.append("more than half of the tokens are clipped: fewer epochs, or a smaller trainer.lr")
    return found


def page(health: dict) -> str:
    """The summary as Markdown."""
    titles = {name: title for name, title, _ in PANELS}
    lines = ["# Offline PPO: health", ""]
    if health["stopped"]:
        lines += [f"Stopped before its end: {health['stopped']}.", ""]
    rows = [[titles[name], *map(_number, ends)] for name, ends in health["steps"].items()]
    rows += [[f"{titles[name]}, sampled answers", *map(_number, ends)] for name, ends in health["sampled"].items()]
    lines += table(["", "first", "last"], rows)
    if spread := health.get("spread"):
        told = "Rewards of different answers to one state deviate by {within:.4f}, the states' means by {between:.4f}."
        lines += [told.format(**spread), ""]
    lines += [f"- {warning}" for warning in health["warnings"]] or ["Nothing looks wrong in these numbers."]
    return "\n".join([*lines, "", "![health](health.png)", ""])


def plot_health(rows: list[dict], path: Path) -> None:
    """Six panels over the optimizer steps; sampled answers as dots."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    steps, probes = _of(rows, "train"), _of(rows, "probe")
    figure, axes = pyplot.subplots(2, 3, figsize=(12, 6), layout="constrained")
    for axis, (name, title, unit) in zip(axes.flat, PANELS, strict=True):
        for kept, style, label in ((steps, "-", "steps"), (probes, "o", "sampled answers")):
            points = [(row["step"], row[name]) for row in kept if name in row]
            if points:
                axis.plot(*zip(*points, strict=True), style, linewidth=0.9, markersize=5, label=label)
        axis.set_title(title, fontsize=10)
        axis.set_ylabel(unit, fontsize=8)
        axis.grid(alpha=0.3)
        if axis.has_data():
            axis.legend(fontsize=7)
    for axis in axes[1]:
        axis.set_xlabel("optimizer step")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _of(rows: list[dict], kind: str) -> list[dict]:
    return [row for row in rows if row["kind"] == kind]


def _number(value: float) -> str:
    return f"{value:.3f}"
