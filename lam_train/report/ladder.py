"""The ladder: one page of all models of a curriculum, from one JSON."""

import json
from pathlib import Path

from lam_train.evaluate.acting_results import ActingReport, Score
from lam_train.report.markdown import number, percent, table

MAIN_DIFFERENCES = (("LAM2", "LAM1"), ("LAM3", "LAM2"), ("LAM4", "LAM3"), ("LAM4", "LAM2"), ("LAM4", "expert"))


def write_ladder(found: dict, folder: Path) -> None:
    """Writes ladder.json, README.md and ladder.png; the last two are made of the first alone."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ladder.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(page(found), encoding="utf-8")
    plot_ladder(found, folder / "ladder.png")


def page(found: dict) -> str:
    """The whole report as Markdown."""
    offline, online = (_report(found, kind) for kind in ("offline", "online"))
    lines = ["# The ladder", ""]
    told = [f"{report.kind}: {report.tasks} held-out tasks" for report in (offline, online) if report]
    lines += [f"{'; '.join(told)}. In brackets {(offline or online).level:.0%} bootstrap intervals.", ""]
    lines += ["![ladder](ladder.png)", "", *_scores(offline, online)]
    lines += ["## Paired differences", "", *_differences(offline, online)]
    lines += [*_failures(online), *_yields(found), *_costs(found["stages"])]
    warnings = hacking(found, online)
    lines += ["## Warnings", "", *[f"- {warning}" for warning in warnings], ""] if warnings else []
    return "\n".join(lines).rstrip() + "\n"


def _report(found: dict, kind: str) -> ActingReport | None:
    return ActingReport.model_validate(found[kind]) if kind in found else None


def _names(*reports: ActingReport | None) -> list[str]:
    """Untrained, LAM1 … LAM4 as they come, the expert last."""
    names = list(dict.fromkeys(score.name for report in reports if report for score in report.scores))
    return sorted(names, key=lambda name: name == "expert")


def _score(report: ActingReport | None, name: str) -> Score | None:
    return next((score for score in report.scores if score.name == name), None) if report else None


def _scores(offline: ActingReport | None, online: ActingReport | None) -> list[str]:
    head = ["", "step success %", "task success %", "online success %", "single operations %", "completion time s"]
    body = []
    for name in _names(offline, online):
        off, on = _score(offline, name), _score(online, name)
        single = on.groups.get("single operations") if on else None
        body.append(
            [
                name,
                percent(off.estimates.get("step") if off else None),
                percent(off.estimates.get("task") if off else None),
                percent(on.estimates.get("success") if on else None),
                percent(single.estimates.get("success") if single else None),
                number(on.estimates.get("seconds") if on else None, 1),
            ]
        )
    return ["Step and task success are offline, on the expert's history; the rest acting in Writer.", "",
            *table(head, body)]  # fmt: skip


def _differences(offline: ActingReport | None, online: ActingReport | None) -> list[str]:
    body = []
    for better, baseline in MAIN_DIFFERENCES:
        cells = [_difference(offline, better, baseline, "step"), _difference(online, better, baseline, "success")]
        if any(cell != "-" for cell in cells):
            body.append([f"{better} - {baseline}", *cells])
    head = ["on the same tasks, points", "step success", "online success"]
    return table(head, body) if body else ["There are not two models to compare.", ""]


def _difference(report: ActingReport | None, better: str, baseline: str, metric: str) -> str:
    for difference in report.differences if report else ():
        estimate = difference.estimates.get(metric)
        if estimate is None:
            continue
        if (difference.name, difference.baseline) == (better, baseline):
            return percent(estimate, "+")
        if (difference.name, difference.baseline) == (baseline, better):
            turned = estimate.model_copy(update={"mean": -estimate.mean, "low": -estimate.high, "high": -estimate.low})
            return percent(turned, "+")
    return "-"


def _failures(online: ActingReport | None) -> list[str]:
    if online is None:
        return []
    causes = list(dict.fromkeys(cause for score in online.scores for cause in score.failures))
    body = [[score.name, *(str(score.failures.get(cause, 0)) for cause in causes)] for score in online.scores]
    return ["## Failed episodes in Writer, by cause", "", *table(["", *causes], body)]


def _yields(found: dict) -> list[str]:
    lines = ["## What the stages found", ""]
    if "trajectories" in found:
        counts = found["trajectories"]["all"]
        lines.append(
            f"- the expert's collection: {counts['success']} successes of {counts['tasks']} tasks "
            f"({found['trajectories']['success_rate']:.1%})"
        )
    if "exploration" in found:
        counts, share = found["exploration"]["all"], found["exploration"]["task_yield"]
        lines.append(
            f"- exploration: {counts['won']} of {counts['tried']} tasks that the expert failed were won ({share:.1%}), "
            f"{counts['successes']} of {counts['rollouts']} rollouts, {counts['kept']} successes kept"
        )
    if "reward_model" in found:
        steps, ends = found["reward_model"]["steps"], found["reward_model"]["trajectories"]
        lines.append(
            f"- reward model on held-out tasks: AUC {_maybe(steps['auc'])} of {steps['number']} steps, "
            f"{_maybe(ends['auc'])} of {ends['number']} trajectories; accuracy {steps['accuracy']:.3f} of steps"
        )
    if found.get("ppo", {}).get("sampled"):
        reward, valid = found["ppo"]["sampled"]["reward"], found["ppo"]["sampled"]["format_valid_rate"]
        lines.append(
            f"- PPO: mean reward of sampled answers {reward[0]:.3f} before, {reward[1]:.3f} after; readable "
            f"{valid[0]:.1%}, {valid[1]:.1%}"
            + (f"; stopped: {found['ppo']['stopped']}" if found["ppo"]["stopped"] else "")
        )
    return [*lines, ""] if len(lines) > 2 else []


def _maybe(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _costs(stages: dict) -> list[str]:
    head = ["stage", "minutes", "optimizer steps", "tokens, logical", "physical", "supervised"]
    names = ("optimizer_steps", "tokens_logical", "tokens_physical", "tokens_supervised")
    body = [
        [stage, f"{cost['seconds'] / 60:.1f}", *(f"{cost[name]:,}" if name in cost else "" for name in names)]
        for stage, cost in stages.items()
    ]
    total = sum(cost["seconds"] for cost in stages.values()) / 60
    return ["## Cost", "", *table(head, [*body, ["together", f"{total:.1f}", "", "", "", ""]])]


def hacking(found: dict, online: ActingReport | None) -> list[str]:
    """PPO's own warnings, and reward hacking: the reward rose while success in the application fell."""
    warnings = list(found.get("ppo", {}).get("warnings", []))
    sampled = found.get("ppo", {}).get("sampled", {})
    before, after = _score(online, "LAM3"), _score(online, "LAM4")
    if sampled and before and after:
        (low, high), (was, now) = sampled["reward"], (s.estimates["success"].mean for s in (before, after))
        if high > low and now < was:
            warnings.append(
                f"reward hacking: the reward model's reward rose from {low:.3f} to {high:.3f} while success in Writer "
                f"fell from {was:.1%} to {now:.1%}"
            )
    return warnings


def plot_ladder(found: dict, path: Path) -> None:
    """Steps of a ladder, offline and online, with intervals; the expert as a line."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [
        (report, metric, title)
        for report, metric, title in (
            (_report(found, "offline"), "step", "offline: step success"),
            (_report(found, "offline"), "task", "offline: task success"),
            (_report(found, "online"), "success", "online: task success in Writer"),
        )
        if report
    ]
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(4.2 * len(panels), 3.8), layout="constrained", squeeze=False
    )
    for axis, (report, metric, title) in zip(axes[0], panels, strict=True):
        shown = [(s.name, s.estimates[metric]) for s in report.scores if s.name != "expert" and metric in s.estimates]
        means = [100 * estimate.mean for _, estimate in shown]
        around = [[100 * (e.mean - e.low) for _, e in shown], [100 * (e.high - e.mean) for _, e in shown]]
        axis.errorbar(range(len(shown)), means, yerr=around, fmt="o-", capsize=3)
        for place, mean in enumerate(means):
            axis.annotate(f"{mean:.0f}", (place, mean), textcoords="offset points", xytext=(6, 4), fontsize=8)
        expert = _score(report, "expert")
        if expert and metric in expert.estimates:
            axis.axhline(100 * expert.estimates[metric].mean, color="grey", linestyle="--", linewidth=1)
            axis.annotate("expert", (0, 100 * expert.estimates[metric].mean + 1), fontsize=8, color="grey")
        axis.set_xticks(range(len(shown)), [name for name, _ in shown], fontsize=8)
        axis.set_ylim(0, 105)
        axis.set_title(title, fontsize=10)
        axis.grid(axis="y", alpha=0.3)
    axes[0][0].set_ylabel("%")
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
