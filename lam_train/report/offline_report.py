"""Writes the files of an offline evaluation of acting."""

from pathlib import Path

from lam_train.evaluate.acting import families_in_turn
from lam_train.evaluate.acting_results import ActingReport, OfflineAnswer, OfflineRow
from lam_train.evaluate.action_metrics import is_scored, no_answer, score_action
from lam_train.evaluate.offline import EvaluateOfflineSettings, answer_store
from lam_train.records import Trajectory, write_jsonl
from lam_train.report.acting_plot import plot_scores
from lam_train.report.acting_tables import report_page
from lam_train.report.changes import changes_of_episode
from lam_train.report.viewer import Page

MARKS = ("object", "operation", "status", "arguments")


def write_offline_report(
    report: ActingReport,
    rows: list[OfflineRow],
    trajectories: list[Trajectory],
    settings: EvaluateOfflineSettings,
    output: Path,
) -> None:
    """Writes evaluation.json, tasks.jsonl, evaluation.md, evaluation.png and episodes.html into `output`."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "evaluation.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    write_jsonl(output / "tasks.jsonl", rows)
    (output / "evaluation.md").write_text(report_page(report), encoding="utf-8")
    plot_scores(report, output / "evaluation.png")
    if settings.page_tasks:
        offline_page(report, trajectories, settings, output).write(output / "episodes.html")


def offline_page(
    report: ActingReport, trajectories: list[Trajectory], settings: EvaluateOfflineSettings, output: Path
) -> Page:
    """The page of answers: an episode a model and trajectory; its outcome is task success without the arguments."""
    shown = {
        task.task_id for task in families_in_turn([t.task for t in trajectories], settings.seed)[: settings.page_tasks]
    }
    page = Page(report)
    names = [score.name for score in report.scores]
    answers = {name: {(a.trajectory_id, a.step): a for a in answer_store(output / "answers", name)} for name in names}
    for trajectory in trajectories:
        if trajectory.task.task_id in shown:
            for name in names:
                _add(page, name, trajectory, answers[name])
    return page


def _add(page: Page, name: str, trajectory: Trajectory, answers: dict[tuple[str, int], OfflineAnswer]) -> None:
    steps, right, whole = [], True, True
    # After the last action nothing was observed.
    changes = [*changes_of_episode([step.observation for step in trajectory.steps]), None]
    for place, (step, changed) in enumerate(zip(trajectory.steps, changes, strict=True)):
        if not is_scored(step):
            continue
        given = answers[trajectory.trajectory_id, place]
        score = None if no_answer(given.problem) else score_action(given.action, step)
        whole = whole and score is not None
        right = right and score is not None and score.step
        steps.append(
            page.step(
                step.observation,
                given.action,
                changes=changed,
                answer=given.answer,
                problem=given.problem if given.action is None else "",
                result=step.result,
                error=step.error,
                acceptable=step.acceptable,
                expected=step.action,
                marks=None if score is None else {mark: getattr(score, mark) for mark in MARKS},
                decision_seconds=given.seconds,
            )
        )
    page.add(
        name,
        trajectory.task,
        "success" if right else "fail" if whole else "error",
        steps,
        reason="" if whole else "no answer",
    )
