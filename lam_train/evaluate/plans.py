"""Evaluates planners on held-out tasks: settings, scores with intervals, and the files of a report."""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, StringConstraints

from lam_train.errors import UserError
from lam_train.evaluate.judge import JudgeSettings, judge_plans
from lam_train.evaluate.plan_matching import SCORER, THRESHOLD, match_plans
from lam_train.evaluate.planner import Answer, Planner, RecordedAnswer
from lam_train.evaluate.results import JUDGED, MATCHED, Difference, Metric, PlanReport, Score, ScoredAnswer, TaskRow
from lam_train.evaluate.statistics import LEVEL, Estimate, estimates
from lam_train.evaluate.tasks import choose_tasks, page_of
from lam_train.language.plans import parse_plan
from lam_train.records import TaskPlan, write_jsonl
from lam_train.report.evaluation import write_report
from lam_train.settings import Settings

Name = Annotated[str, StringConstraints(pattern=r"^\w[\w .+-]*$")]


class EvaluateSettings(Settings):
    """The evaluation of planners on held-out tasks."""

    models: dict[Name, str | None] = Field(default_factory=lambda: {"untrained": None}, min_length=1)
    """name in the report -> the model's folder; null stands for the recipe's model as it comes"""
    data: str
    """the held-out tasks: a JSONL file of task-plan records"""
    training_data: str | None = None
    """the training tasks. With them, pages are checked to be held out, and a `retrieval` baseline is scored:
    the plan of the most similar training task."""
    limit: int | None = Field(None, gt=0)
    """at most so many tasks, in a seeded choice page by page; null takes all"""
    max_new_tokens: int = Field(256, gt=0)
    """the most tokens of an answer"""
    batch_size: int = Field(16, gt=0)
    """answers generated at once"""
    threshold: float = Field(THRESHOLD, gt=0, le=100)
    """the similarity, 0 to 100, from which two steps match"""
    resamples: int = Field(10_000, ge=100)
    """bootstrap resamples of the pages"""
    examples: int = Field(20, ge=0)
    """tasks shown side by side, in a seeded choice, one a page as long as pages last"""
    seed: int = 0
    """chooses the tasks, the examples and the resamples"""
    judge: JudgeSettings | None = None
    """a large model that judges the plans too, as in the paper; null for none"""


def evaluate_plans(
    planners: dict[str, Planner],
    records: list[TaskPlan],
    settings: EvaluateSettings,
    output: Path,
    notes: list[str] | None = None,
) -> PlanReport:
    """Lets every planner answer the tasks, scores the answers and writes the report into `output`.

    Planners answer one after the other, so one may load its model when called and drop it after. Written are
    answers/NAME.jsonl (as soon as a planner is done), tasks.jsonl (a row a task), evaluation.json (the returned
    report), evaluation.md, examples.md and evaluation.png. Each planner is compared with each before it.
    `notes` are added to the report's. Raises UserError for no tasks, no planners or a planner that leaves out answers.
    """
    if not records or not planners:
        raise UserError("nothing to evaluate: there are no tasks or no models")
    tasks = choose_tasks(records, settings.limit, settings.seed)
    answers, seconds = {}, {}
    for name, planner in planners.items():
        answers[name], seconds[name] = _ask(name, planner, tasks, output)
    scored = {name: _score_answers(tasks, answers[name], settings) for name in planners}
    rows = [
        TaskRow(
            task_id=task.task_id,
            task=task.task,
            app=task.app,
            page=page_of(task),
            reference=task.plan,
            answers={name: scored[name][index] for name in planners},
        )
        for index, task in enumerate(tasks)
    ]
    report = _report(rows, seconds, settings, notes or [])
    write_report(report, rows, settings.examples, output)
    return report


def _ask(name: str, planner: Planner, tasks: list[TaskPlan], output: Path) -> tuple[list[Answer], float]:
    """(answers, seconds) of one planner; the answers are written down at once."""
    started = time.perf_counter()
    given = planner(tasks)
    seconds = time.perf_counter() - started
    if len(given) != len(tasks):
        raise UserError(f"{name} gave {len(given)} answers to {len(tasks)} tasks")
    answers = [Answer(text=answer) if isinstance(answer, str) else answer for answer in given]
    lines = (RecordedAnswer(task_id=task.task_id, answer=answer) for task, answer in zip(tasks, answers, strict=True))
    write_jsonl(output / "answers" / f"{name}.jsonl", lines)
    return answers, seconds


def _score_answers(tasks: list[TaskPlan], answers: list[Answer], settings: EvaluateSettings) -> list[ScoredAnswer]:
    verdicts = [None] * len(tasks)
    if settings.judge:
        verdicts = judge_plans(tasks, [answer.text for answer in answers], settings.judge)
    scored = []
    for task, answer, verdict in zip(tasks, answers, verdicts, strict=True):
        steps = parse_plan(answer.text)
        match = match_plans(steps, task.plan, settings.threshold)
        reference_step = dict(match.pairs)
        scored.append(
            ScoredAnswer(
                text=answer.text,
                cut=answer.cut,
                tokens=answer.tokens,
                steps=steps,
                matched=[reference_step.get(place) for place in range(len(steps))],
                precision=match.precision,
                recall=match.recall,
                success=match.success,
                covered=match.covered,
                verdict=verdict,
            )
        )
    return scored


def _report(rows: list[TaskRow], seconds: dict[str, float], settings: EvaluateSettings, notes: list[str]) -> PlanReport:
    """All numbers, from the rows; a metric without a value on any task is left out."""
    names = list(rows[0].answers)
    pages = [row.page for row in rows]
    metrics: tuple[Metric, ...] = MATCHED + (JUDGED if settings.judge else ())
    compared = [(name, None) for name in names] + [
        (name, baseline) for place, name in enumerate(names) for baseline in names[:place]
    ]
    columns = [(name, baseline, metric) for name, baseline in compared for metric in metrics]
    values_TC = np.array([[_value(row, *column) for column in columns] for row in rows])
    found = dict(zip(columns, estimates(values_TC, pages, settings.resamples, settings.seed), strict=True))

    def of(name: str, baseline: str | None) -> dict[Metric, Estimate]:
        values = {metric: found[name, baseline, metric] for metric in metrics}
        return {metric: value for metric, value in values.items() if value is not None}

    return PlanReport(
        tasks=len(rows),
        pages=len(set(pages)),
        reference_mean_steps=float(np.mean([len(row.reference) for row in rows])),
        scorer=SCORER,
        threshold=settings.threshold,
        level=LEVEL,
        resamples=settings.resamples,
        seed=settings.seed,
        judge=f"{settings.judge.model} at {settings.judge.base_url}" if settings.judge else None,
        scores=[_score(name, rows, seconds[name], of(name, None)) for name in names],
        differences=[
            Difference(name=name, baseline=baseline, estimates=of(name, baseline))
            for name, baseline in compared
            if baseline is not None
        ],
        notes=notes,
    )


def _value(row: TaskRow, name: str, baseline: str | None, metric: Metric) -> float:
    """The metric of one planner for one task, less that of the baseline if there is one."""
    value = row.answers[name].value(metric)
    return value if baseline is None else value - row.answers[baseline].value(metric)


def _score(name: str, rows: list[TaskRow], seconds: float, found: dict[Metric, Estimate]) -> Score:
    answers = [row.answers[name] for row in rows]
    matched = sum(step is not None for answer in answers for step in answer.matched)
    predicted = sum(len(answer.steps) for answer in answers)
    tokens = sum(answer.tokens for answer in answers)
    problems = [answer.verdict.problem or "" for answer in answers if answer.verdict]
    return Score(
        name=name,
        estimates=found,
        pooled_precision=matched / predicted if predicted else 0.0,
        pooled_recall=matched / sum(len(row.reference) for row in rows),
        readable=sum(bool(answer.steps) for answer in answers) / len(rows),
        cut=sum(answer.cut for answer in answers) / len(rows),
        mean_steps=predicted / len(rows),
        seconds=seconds,
        tokens_per_s=tokens / seconds if tokens else None,
        unreadable_verdicts=sum(problem.startswith("unreadable") for problem in problems),
        failed_verdicts=sum(problem.startswith("failed") for problem in problems),
    )
