"""The report of a reward model: JSON, tables, a plot of scores and calibration."""

import json
from pathlib import Path

from lam_train.evaluate.reward_scores import Difference, RewardReport, RewardScores
from lam_train.report.markdown import table

SCORES = "scores.json"


def write_reward_report(report: RewardReport, scores: dict[str, float], labels: dict[str, float], folder: Path) -> None:
    """Writes evaluation.json, scores.json (held-out step -> score, label), evaluation.md and evaluation.png."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evaluation.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    kept = {id: {"score": round(value, 6), "label": labels[id]} for id, value in sorted(scores.items())}
    (folder / SCORES).write_text(json.dumps(kept, indent=0) + "\n", encoding="utf-8")
    (folder / "evaluation.md").write_text(page(report), encoding="utf-8")
    plot(report, scores, labels, folder / "evaluation.png")


def page(report: RewardReport) -> str:
    """The tables, as Markdown."""
    head = ["", "number", "of successes", "AUC", "accuracy", "MSE"]
    groups = {
        "steps": report.steps,
        "last steps": report.last_steps,
        "trajectories (mean over the steps)": report.trajectories,
    }
    lines = [
        "# Reward model on held-out tasks",
        "",
        "A step or trajectory is positive where the episode succeeded. AUC: the probability that a positive scores "
        "above a negative; in brackets its 95 % bootstrap interval over tasks. Accuracy: the score's sign. Good early "
        "steps of failures count as negative here, so steps have a ceiling below 1.",
        "",
        *table(head, [_row(name, scores) for name, scores in groups.items()]),
        _within(report),
        "",
        "## Families (steps)",
        "",
        *table(head, [_row(name, scores) for name, scores in report.families.items()]),
        "## Calibration",
        "",
        "Of steps by (score + 1) / 2: the share that is of successes.",
        "",
        *table(
            ["predicted", "steps", "mean prediction", "observed"],
            [
                [f"{b.low:.1f} to {b.high:.1f}", str(b.number), f"{b.predicted:.3f}", f"{b.observed:.3f}"]
                for b in report.calibration
            ],
        ),
        "![scores and calibration](evaluation.png)",
    ]
    if report.completable:
        found = report.completable
        lines += [
            "",
            "## Steps of failures after which the task could still be completed",
            "",
            f"{found.completable} of {found.number} held-out steps of failures (`+recipe=replay_failures`). Share of "
            f"all {found.number} that is judged as it was: by the outcome's label -1 {found.by_outcome:.3f}, by the "
            f"label that was trained {found.by_label:.3f}, by the score's sign {found.by_score:.3f}. AUC of the score: "
            f"{'-' if found.auc is None else format(found.auc, '.3f')}.",
        ]
    return "\n".join(lines) + "\n"


def write_comparison(reports: dict[str, RewardReport], differences: list[Difference], folder: Path) -> None:
    """Writes README.md, with a row a reward model, and evaluation.json."""
    head = ["", "AUC of steps", "of last steps", "of trajectories", "pairs of one task", "MSE of steps"]
    rows = []
    for name, report in reports.items():
        pairs = report.within_tasks
        aucs = (_auc(group) for group in (report.steps, report.last_steps, report.trajectories))
        told = "-" if pairs is None else f"{pairs.accuracy:.3f} of {pairs.pairs}"
        rows.append([name, *aucs, told, f"{report.steps.mse:.3f}"])
    steps = next(iter(reports.values())).steps
    lost = steps.number - steps.positive
    each = next(iter(reports.values())).trajectories
    lines = [
        "# Reward models on held-out trajectories",
        "",
        f"{each.number} trajectories, {each.number - each.positive} of them failures; {steps.number} steps, {lost} of "
        "failures. In brackets 95 % bootstrap intervals over tasks. Pairs of one task: of a success and a failure of "
        "the same task, how often the success scores higher.",
        "",
        *table(head, rows),
    ]
    if differences:
        body = [
            [f"{one.later} - {one.earlier}", *(_signed(found) for found in (one.steps, one.trajectories))]
            for one in differences
        ]
        lines += ["", *table(["difference of AUC, paired", "steps", "trajectories"], body)]
    lines += ["", *(f"- [{name}]({name}/evaluation.md)" for name in reports)]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    told = {"reports": {name: report.model_dump(mode="json") for name, report in reports.items()}}
    told["differences"] = [one.model_dump(mode="json") for one in differences]
    (folder / "evaluation.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _signed(found: tuple[float, float, float] | None) -> str:
    return "-" if found is None else "{:+.3f} [{:+.3f}, {:+.3f}]".format(*found)


def _within(report: RewardReport) -> str:
    found = report.within_tasks
    if found is None:
        return "No held-out task has both a success and a failure."
    return (
        f"Of {found.pairs} pairs of a success and a failure of the same task ({found.tasks} tasks), the success scores "
        f"higher in {found.accuracy:.1%}: what is left of the ranking where no task is harder than the other."
    )


def _row(name: str, scores: RewardScores) -> list[str]:
    return [name, str(scores.number), str(scores.positive), _auc(scores), f"{scores.accuracy:.3f}", f"{scores.mse:.3f}"]


def _auc(scores: RewardScores) -> str:
    found = "" if scores.auc is None else f"{scores.auc:.3f}"
    return found if scores.auc_interval is None else found + " [{:.3f}, {:.3f}]".format(*scores.auc_interval)


def plot(report: RewardReport, scores: dict[str, float], labels: dict[str, float], path: Path) -> None:
    """Left: the scores of both labels as histograms. Right: observed against predicted share of successes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 4), layout="constrained")
    for label, colour in ((1.0, "tab:blue"), (-1.0, "tab:orange")):
        values = [value for id, value in scores.items() if labels[id] == label]
        left.hist(values, bins=30, range=(-1.5, 1.5), alpha=0.6, color=colour, label=f"labelled {label:+.0f}")
    left.set_xlabel("score")
    left.set_ylabel("held-out steps")
    left.legend()
    right.plot([0, 1], [0, 1], color="grey", linewidth=0.8)
    right.plot([b.predicted for b in report.calibration], [b.observed for b in report.calibration], "o-")
    for b in report.calibration:
        right.annotate(str(b.number), (b.predicted, b.observed), textcoords="offset points", xytext=(4, 4), fontsize=7)
    right.set_xlabel("(score + 1) / 2, mean of a bin")
    right.set_ylabel("share of successes")
    right.set_xlim(0, 1)
    right.set_ylim(0, 1)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
