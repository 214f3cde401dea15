"""The plot of an evaluation of acting."""

from pathlib import Path

from lam_train.evaluate.acting_results import ActingReport
from lam_train.report.acting_tables import OFFLINE_TITLES


def plot_scores(report: ActingReport, path: Path) -> None:
    """Bars with intervals, in percent: offline by metric; online task success, of all tasks and by kind of task."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    bars = _offline_bars(report) if report.kind == "offline" else _online_bars(report)
    columns = list(next(iter(bars.values())))
    width = 0.8 / len(bars)
    across = max(1.3, 0.35 * len(bars)) * len(columns)  # inches, with room for each bar's number
    figure, axes = pyplot.subplots(figsize=(across + 2.5, 4), layout="constrained")
    for place, (name, values) in enumerate(bars.items()):
        at = [column + (place - (len(bars) - 1) / 2) * width for column in range(len(columns))]
        means = [values[column][0] for column in columns]
        below = [max(values[column][0] - values[column][1], 0) for column in columns]
        above = [max(values[column][2] - values[column][0], 0) for column in columns]
        axes.bar(at, means, width, yerr=[below, above], capsize=2, color=f"C{place}", label=name)
        for x, mean, up in zip(at, means, above, strict=True):
            axes.annotate(f"{mean:.0f}", (x, mean + up + 1), ha="center", va="bottom", fontsize=7)
    axes.set_xticks(range(len(columns)), columns, fontsize=8)
    axes.set_ylabel("%")
    axes.set_ylim(0, 112)
    axes.set_yticks(range(0, 101, 20))
    axes.set_title(f"Acting, {report.kind}: {report.tasks} tasks, {report.level:.0%} intervals", fontsize=10)
    axes.legend(fontsize=8, ncols=min(len(bars), 4), loc="upper center", bbox_to_anchor=(0.5, -0.1))
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def _offline_bars(report: ActingReport) -> dict[str, dict[str, tuple[float, float, float]]]:
    """name -> metric's title -> (mean, low, high) in percent."""
    return {
        score.name: {
            title.replace(" ", "\n"): _percent(score.estimates[metric]) for metric, title in OFFLINE_TITLES.items()
        }
        for score in report.scores
    }


def _online_bars(report: ActingReport) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Success of all tasks, of single operations and of compositions."""
    bars = {}
    for score in report.scores:
        bars[score.name] = {"all tasks": _percent(score.estimates["success"])}
        for group in ("single operations", "compositions"):
            if group in score.groups:
                found = score.groups[group].estimates["success"]
                bars[score.name][group.replace(" ", "\n")] = _percent(found)
    return bars


def _percent(estimate) -> tuple[float, float, float]:
    return 100 * estimate.mean, 100 * estimate.low, 100 * estimate.high
