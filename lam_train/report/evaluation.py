"""The report of an evaluation of plans: tables, side-by-side examples and a plot."""

import random
from pathlib import Path

from lam_train.evaluate.results import JUDGED, MATCHED, Metric, PlanReport, Score, ScoredAnswer, TaskRow
from lam_train.records import write_jsonl
from lam_train.report.markdown import cell, percent, table

TITLES: dict[Metric, str] = {
    "precision": "step precision",
    "recall": "step recall",
    "success": "task success",
    "covered": "reference covered",
    "judged_success": "judged success",
    "judged_precision": "judged precision",
    "judged_recall": "judged recall",
}
ANSWERS_HEAD = [
    "model",
    "readable plans",
    "cut at the limit",
    "steps a plan",
    "pooled precision",
    "pooled recall",
    "seconds",
    "new tokens/s",
]


def write_report(report: PlanReport, rows: list[TaskRow], examples: int, output: Path) -> None:
    """Writes evaluation.json, tasks.jsonl, evaluation.md, examples.md and evaluation.png into `output`."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "evaluation.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    write_jsonl(output / "tasks.jsonl", rows)
    (output / "evaluation.md").write_text(report_page(report), encoding="utf-8")
    shown = choose_examples(rows, examples, report.seed)
    (output / "examples.md").write_text(examples_page(shown), encoding="utf-8")
    plot_scores(report, output / "evaluation.png")


def report_page(report: PlanReport) -> str:
    """The tables, as Markdown; shares are in percent, differences in percentage points."""
    lines = [
        "# Plans of held-out tasks",
        "",
        f"{report.tasks} tasks from {report.pages} pages; the reference plans have {report.reference_mean_steps:.1f} "
        f"steps on average. In %, in brackets {report.level:.0%} bootstrap intervals ({report.resamples} resamples of "
        f"the pages, seed {report.seed}). Two steps match from a similarity of {report.threshold:g} ({report.scorer}). "
        "docs/evaluation.md defines every number.",
        "",
        "![scores](evaluation.png)",
        "",
    ]
    lines += table(
        ["model", *(TITLES[metric] for metric in MATCHED)],
        [[score.name, *(percent(score.estimates.get(metric)) for metric in MATCHED)] for score in report.scores],
    )
    if report.judge:
        lines += [f"Judged by {report.judge}:", ""]
        lines += table(
            ["model", *(TITLES[metric] for metric in JUDGED), "unreadable verdicts", "failed requests"],
            [_judged_line(score) for score in report.scores],
        )
    if report.differences:
        metrics = [*MATCHED, *(JUDGED if report.judge else ())]
        lines += ["Differences, on the same tasks, in percentage points:", ""]
        lines += table(
            ["difference", *(TITLES[metric] for metric in metrics)],
            [
                [f"{one.name} - {one.baseline}", *(percent(one.estimates.get(metric), "+") for metric in metrics)]
                for one in report.differences
            ],
        )
    lines += ["The answers themselves:", ""]
    lines += table(ANSWERS_HEAD, [_answers_line(score) for score in report.scores])
    lines += [f"- {note}" for note in _notes(report)]
    return "\n".join(lines) + "\n"


def _judged_line(score: Score) -> list[str]:
    shares = [percent(score.estimates.get(metric)) for metric in JUDGED]
    return [score.name, *shares, str(score.unreadable_verdicts), str(score.failed_verdicts)]


def _answers_line(score: Score) -> list[str]:
    shares = score.readable, score.cut, score.pooled_precision, score.pooled_recall
    readable, cut, precision, recall = (f"{100 * share:.1f}" for share in shares)
    speed = "" if score.tokens_per_s is None else f"{score.tokens_per_s:.0f}"
    return [score.name, readable, cut, f"{score.mean_steps:.1f}", precision, recall, f"{score.seconds:.0f}", speed]


def _notes(report: PlanReport) -> list[str]:
    notes = [
        "These numbers are not comparable with the paper's Table 2: there GPT-4o judges whether a plan would do the "
        "task; here a plan succeeds only if it is the reference, step for step.",
        *report.notes,
    ]
    flat = any(e.low == e.high for score in report.scores for e in score.estimates.values())
    if flat:
        notes.append(
            "An interval without width means that all pages had one value, not that the value is certain: for a share "
            f"of 0 or 100 % on {report.pages} pages, the truth may still be {min(100, 300 / report.pages):.1f} points "
            "away (rule of three)."
        )
    return notes


def choose_examples(rows: list[TaskRow], count: int, seed: int) -> list[TaskRow]:
    """`count` rows in a seeded choice that looks at no score: one a page first, then whatever is left."""
    shuffled = random.Random(seed).sample(rows, len(rows))
    first_of_page = {row.page: row for row in reversed(shuffled)}
    firsts = {row.task_id for row in first_of_page.values()}
    return sorted(shuffled, key=lambda row: row.task_id not in firsts)[:count]


def examples_page(rows: list[TaskRow]) -> str:
    """Tasks with their plans side by side, as Markdown. Text of plans is escaped: it is data."""
    lines = [
        "# Plans side by side",
        "",
        f"{len(rows)} held-out tasks, chosen at random without a look at any score. A mark such as **=2** says which "
        "step of the reference a step was matched to.",
        "",
    ]
    for number, row in enumerate(rows, start=1):
        lines += [
            f"## {number}. {cell(row.task)}",
            "",
            f"{cell(row.app)}, {cell(row.task_id)} ({cell(row.page)})",
            "",
        ]
        plans = [_numbered(row.reference, [None] * len(row.reference))]
        titles = ["reference"]
        for name, answer in row.answers.items():
            plans.append(_numbered(answer.steps, answer.matched) if answer.steps else _unreadable(answer))
            titles.append(f"{name}: {_summary(answer)}")
        lines += table(titles, [plans])
    return "\n".join(lines)


def _summary(answer: ScoredAnswer) -> str:
    verdict = "success" if answer.success else f"P {answer.precision:.0%}, R {answer.recall:.0%}"
    if answer.verdict and answer.verdict.success is not None:
        verdict += f", judge: {'yes' if answer.verdict.success else 'no'}"
    return verdict + (", cut" if answer.cut else "")


def _numbered(steps: list[str], matched: list[int | None]) -> str:
    marks = ["" if reference_step is None else f" **={reference_step + 1}**" for reference_step in matched]
    return "<br>".join(
        f"{number}. {cell(step)}{mark}" for number, (step, mark) in enumerate(zip(steps, marks, strict=True), start=1)
    )


def _unreadable(answer: ScoredAnswer) -> str:
    return f"(no plan can be read) {cell(answer.text[:300])}"


def plot_scores(report: PlanReport, path: Path) -> None:
    """A bar with its interval for each planner and metric, in percent."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    metrics = [*MATCHED, *(JUDGED if report.judge else ())]
    width = 0.8 / len(report.scores)
    figure, axes = pyplot.subplots(figsize=(2.0 * len(metrics) + 1.5, 4), layout="constrained")
    tallest = 0.0
    for place, score in enumerate(report.scores):
        for column, metric in enumerate(metrics):
            estimate = score.estimates.get(metric)
            if estimate is None:
                continue
            mean, low, high = 100 * estimate.mean, 100 * estimate.low, 100 * estimate.high
            tallest = max(tallest, high)
            at = column + (place - (len(report.scores) - 1) / 2) * width
            bar = axes.bar(
                at, mean, width, yerr=[[max(mean - low, 0)], [max(high - mean, 0)]], capsize=3, color=f"C{place}"
            )
            if column == 0:
                bar.set_label(score.name)
            axes.annotate(f"{mean:.1f}", (at, high), ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(metrics)), [TITLES[metric] for metric in metrics])
    axes.set_ylabel("% of steps or tasks")
    axes.set_ylim(0, min(105, 1.3 * tallest + 1))  # room for the legend
    axes.set_title(f"{report.tasks} held-out tasks, {report.pages} pages, {report.level:.0%} intervals")
    axes.legend()
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
