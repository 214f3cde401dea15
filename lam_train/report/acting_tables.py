"""The tables of the evaluations of acting, as Markdown."""

from collections.abc import Iterable

from lam_train.evaluate.acting_results import ActingReport, Score
from lam_train.evaluate.statistics import Estimate
from lam_train.records import FAILURES
from lam_train.report.markdown import cell, number, percent, table

OFFLINE_TITLES = {
    "object": "object",
    "operation": "operation",
    "status": "status",
    "step": "step success",
    "task": "task success",
    "arguments": "arguments",
    "strict_step": "step with arguments",
    "strict_task": "task with arguments",
    "format": "readable",
}
ONLINE_TITLES = {
    "success": "task success %",
    "seconds": "completion time s",
    "steps": "completion steps",
    "latency": "step latency s",
    "decision": "of it deciding s",
    "refused": "refused actions %",
    "unreadable": "unreadable answers %",
}
SHARES = ("success", "refused", "unreadable")
FAMILY_METRICS = {"offline": ("step", "task"), "online": ("success",)}


def offline_table(report: ActingReport) -> str:
    """The paper's Table 3 with intervals, in percent: a row a model."""
    head = ["model", *OFFLINE_TITLES.values()]
    body = [
        [cell(score.name), *(percent(score.estimates.get(metric)) for metric in OFFLINE_TITLES)]
        for score in report.scores
    ]
    return "\n".join(table(head, body)).strip()


def online_table(report: ActingReport) -> str:
    """The paper's Table 4 with intervals: a row a policy."""
    body = [
        [cell(score.name), *(_online_value(score.estimates.get(metric), metric) for metric in ONLINE_TITLES)]
        for score in report.scores
    ]
    return "\n".join(table(["policy", *ONLINE_TITLES.values()], body)).strip()


def _online_value(estimate, metric: str, sign: str = "") -> str:
    return percent(estimate, sign) if metric in SHARES else number(estimate, 2, sign)


def report_page(report: ActingReport) -> str:
    """All tables of a report, with what they rest on."""
    offline = report.kind == "offline"
    lines = [
        f"# Acting, {report.kind}",
        "",
        _what(report),
        "",
        "![scores](evaluation.png)",
        "",
        offline_table(report) if offline else online_table(report),
        "",
    ]
    if report.differences:
        lines += ["Differences on the same tasks, shares in percentage points:", "", *_differences(report)]
    if not offline:
        lines += _failures(report.scores)
    lines += ["By family, in %:", "", *_families(report)]
    if offline:
        lines += ["Step success by place of the step, in %:", "", *_steps(report.scores), *_mistakes(report.scores)]
    lines += [f"- {note}" for note in [*report.notes, *_notes(report)]]
    return "\n".join(lines) + "\n"


def _what(report: ActingReport) -> str:
    drawn = "tasks" if report.cluster == "task" else "templates, each with all its tasks"
    size = f"{report.tasks} tasks on {report.templates} documents"
    if report.kind == "offline":
        size += f", {report.steps} steps of the expert; every step is decided on the expert's history, in %"
    else:
        size += f", at most {report.step_limit} steps each; applications at once: {report.environments}"
    return (
        f"{size}. In brackets {report.level:.0%} bootstrap intervals ({report.resamples} resamples of the {drawn}, "
        f"seed {report.seed}). docs/evaluation_actions.md defines every number."
    )


def _differences(report: ActingReport) -> list[str]:
    titles = OFFLINE_TITLES if report.kind == "offline" else dict(list(ONLINE_TITLES.items())[:3])
    body = []
    for one in report.differences:
        found = [(one.estimates.get(metric), metric) for metric in titles]
        shown = [
            percent(estimate, "+") if report.kind == "offline" else _online_value(estimate, metric, "+")
            for estimate, metric in found
        ]
        body.append([f"{cell(one.name)} - {cell(one.baseline)}", *shown])
    return table(["difference", *titles.values()], body)


def _failures(scores: list[Score]) -> list[str]:
    """Failed episodes by cause, and where failed episodes first differ from the expert's success."""
    causes = _in_order(FAILURES, (cause for score in scores for cause in score.failures))
    body = [[cell(s.name), *(str(s.failures.get(cause, 0)) for cause in causes), str(s.retries)] for s in scores]
    lines = ["Episodes without success, by cause:", ""]
    lines += table(["policy", *map(cell, causes), "restarts of the application"], body)
    compared = [score for score in scores if score.divergences]
    if compared:
        kinds = _in_order((), (kind for score in compared for kind in score.divergences))
        body = [[cell(s.name), *(str(s.divergences.get(kind, 0)) for kind in kinds)] for s in compared]
        lines += ["Failed where the expert succeeds: the first thing done otherwise:", ""]
        lines += table(["policy", *map(cell, kinds)], body)
    return lines


def _families(report: ActingReport) -> list[str]:
    metrics = FAMILY_METRICS[report.kind]
    titles = {"step": "steps", "task": "tasks", "success": "success"}
    names = _in_order((), (group for score in report.scores for group in score.groups))
    head = ["family", "tasks"]
    head += [f"{cell(s.name)}, {titles[metric]}" for s in report.scores for metric in metrics]
    body = []
    for name in names:
        groups = [score.groups[name] for score in report.scores]
        shown = percent if name in ("single operations", "compositions") else _mean
        shares = [shown(group.estimates.get(metric)) for group in groups for metric in metrics]
        body.append([cell(name), str(groups[0].tasks), *shares])
    return table(head, body)


def _mean(estimate: Estimate | None) -> str:
    """The mean alone: a family's few tasks give intervals too wide to read."""
    return "-" if estimate is None else f"{100 * estimate.mean:.1f}"


def _steps(scores: list[Score]) -> list[str]:
    places = sorted({place for score in scores for place in score.by_step}, key=int)
    body = [
        [f"{place} ({scores[0].by_step[place].steps})"]
        + [percent(score.by_step[place].estimates["step"]) for score in scores]
        for place in places
    ]
    return table(["step (how many)", *(cell(score.name) for score in scores)], body)


def _mistakes(scores: list[Score]) -> list[str]:
    lines = []
    for score in scores:
        if not score.mistakes:
            continue
        lines += [f"The most frequent mistakes of {cell(score.name)}:", ""]
        lines += table(
            ["times", "the expert", "the model"],
            [[str(m.count), cell(m.expected), cell(m.answered)] for m in score.mistakes[:10]],
        )
    return lines


def _notes(report: ActingReport) -> list[str]:
    notes = []
    if report.cluster == "task" and report.templates < report.tasks:
        notes.append(
            f"The tasks share {report.templates} documents: the intervals say how much other tasks on such documents "
            "would differ, not other documents (cluster=template draws documents)."
        )
    if report.cluster == "template" and report.templates < 20:
        notes.append(f"{report.templates} documents are few: a percentile interval over them is too narrow.")
    if any(e.low == e.high for score in report.scores for e in score.estimates.values()):
        notes.append(
            "An interval without width means that all tasks had one value, not that the value is certain: for a share "
            f"of 0 or 100 % of {report.tasks} tasks the truth may still be {min(100, 300 / report.tasks):.1f} points "
            "away (rule of three)."
        )
    if report.kind == "online" and report.environments > 1:
        notes.append(
            "Times were taken while several applications worked at once and shared the machine and the batches of "
            "decisions; with a single one they are a user's."
        )
    return notes


def _in_order(first: Iterable[str], names: Iterable[str]) -> list[str]:
    """Each name once: those of `first` that occur, in its order, then the others as they come."""
    names = list(dict.fromkeys(names))
    return [name for name in first if name in names] + [name for name in names if name not in first]
