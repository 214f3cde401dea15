"""What an evaluation of plans finds: the records of evaluation.json and tasks.jsonl."""

from typing import Literal

from lam_train.evaluate.judge import PlanVerdict
from lam_train.evaluate.statistics import Estimate
from lam_train.records import Record

Metric = Literal[
    "precision", "recall", "success", "covered", "judged_success", "judged_precision", "judged_recall"
]  # each a share from 0 to 1 per task, averaged over tasks; docs/evaluation.md defines them
MATCHED: tuple[Metric, ...] = ("precision", "recall", "success", "covered")
JUDGED: tuple[Metric, ...] = ("judged_success", "judged_precision", "judged_recall")


class ScoredAnswer(Record):
    """One planner's answer to one task."""

    text: str
    cut: bool
    tokens: int
    steps: list[str]
    """The plan in the text; empty when it has none that can be read."""
    matched: list[int | None]
    """For each step, the reference step it matches (from 0), or null."""
    precision: float
    recall: float
    success: bool
    covered: bool
    verdict: PlanVerdict | None = None

    def value(self, metric: Metric) -> float:
        """The metric for this task; NaN where the judge gave no usable verdict."""
        if metric in MATCHED:
            return float(getattr(self, metric))
        value = getattr(self.verdict, metric.removeprefix("judged_"), None)
        return float("nan") if value is None else float(value)


class TaskRow(Record):
    """A task, its reference plan and every planner's answer: a line of tasks.jsonl."""

    task_id: str
    task: str
    app: str
    page: str
    reference: list[str]
    answers: dict[str, ScoredAnswer]


class Score(Record):
    """How one planner did."""

    name: str
    estimates: dict[Metric, Estimate]
    pooled_precision: float
    """Matched steps / predicted steps over all tasks together, which weighs a task by its length."""
    pooled_recall: float
    readable: float
    """The share of answers with a plan that can be read."""
    cut: float
    """The share of answers that ended at the limit of new tokens."""
    mean_steps: float
    seconds: float
    """Wall time of all answers."""
    tokens_per_s: float | None
    """Generated tokens / wall time; null when the planner does not count tokens."""
    unreadable_verdicts: int = 0
    failed_verdicts: int = 0


class Difference(Record):
    """How much better one planner did than another, on the same tasks (paired)."""

    name: str
    baseline: str
    estimates: dict[Metric, Estimate]


class PlanReport(Record):
    """The whole of evaluation.json."""

    tasks: int
    pages: int
    reference_mean_steps: float
    scorer: str
    threshold: float
    level: float
    resamples: int
    seed: int
    judge: str | None
    scores: list[Score]
    differences: list[Difference]
    notes: list[str]
