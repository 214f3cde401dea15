"""Writes the files of an online evaluation of acting."""

from pathlib import Path

from lam_train.evaluate.acting_results import ActingReport
from lam_train.evaluate.online import EvaluateOnlineSettings, shown_tasks
from lam_train.evaluate.online_scores import cause_of, rows_of, seconds_of
from lam_train.records import Task, Trajectory, write_jsonl
from lam_train.report.acting_plot import plot_scores
from lam_train.report.acting_tables import report_page
from lam_train.report.changes import changes_of_episode, document_changes
from lam_train.report.recording import Recording, read_recording
from lam_train.report.viewer import Page


def write_online_report(
    report: ActingReport,
    tasks: list[Task],
    episodes: dict[str, list[Trajectory]],
    settings: EvaluateOnlineSettings,
    output: Path,
) -> None:
    """Writes evaluation.json, tasks.jsonl, evaluation.md, evaluation.png and episodes.html into `output`."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "evaluation.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    write_jsonl(output / "tasks.jsonl", rows_of(tasks, episodes))
    (output / "evaluation.md").write_text(report_page(report), encoding="utf-8")
    plot_scores(report, output / "evaluation.png")
    if settings.page_tasks:
        online_page(report, tasks, episodes, settings, output).write(output / "episodes.html")


def online_page(
    report: ActingReport,
    tasks: list[Task],
    episodes: dict[str, list[Trajectory]],
    settings: EvaluateOnlineSettings,
    output: Path,
) -> Page:
    """The page of episodes, with what `RecordedApplication` kept in recordings/NAME."""
    shown = {task.task_id for task in shown_tasks(tasks, settings)}
    page = Page(report)
    for place, task in enumerate(tasks):
        if task.task_id in shown:
            for name, found in episodes.items():
                add_episode(page, name, found[place], output / "recordings" / name)
    return page


def add_episode(page: Page, name: str, trajectory: Trajectory, recordings: Path) -> None:
    """Adds an episode to the page; where nothing was recorded, without pictures, last screen and document."""
    recording, pictures = read_recording(recordings, trajectory.task.task_id)
    last = recording.last if recording else None
    seen = [step.observation for step in trajectory.steps]
    changes = changes_of_episode([*seen, last]) if last else [*changes_of_episode(seen), None][: len(seen)]
    steps, acted = [], 0
    for step, changed in zip(trajectory.steps, changes, strict=True):
        steps.append(
            page.step(
                step.observation,
                None if step.problem else step.action,
                changes=changed,
                answer=step.answer,
                problem=step.problem,
                result=step.result,
                error=step.error,
                acceptable=step.acceptable,
                seconds=step.seconds,
                decision_seconds=step.decision_seconds,
                picture=pictures.get(acted),
            )
        )
        acted += not step.problem  # an answer that is no action does not reach the application: no new picture
    page.add(
        name,
        trajectory.task,
        trajectory.outcome,
        steps,
        reason="" if trajectory.outcome == "success" else cause_of(trajectory),
        verdict=_verdicts(trajectory),
        seconds=round(seconds_of(trajectory), 3),
        last=last,
        last_picture=pictures.get(acted),
        document=_document(recording),
    )


def _verdicts(trajectory: Trajectory) -> str:
    found = [f"{verdict.by}: {verdict.complete}. {verdict.reason}" for verdict in trajectory.verdicts]
    if trajectory.outcome == "error":
        found.append(trajectory.reason)
    return "\n".join(found)


def _document(recording: Recording | None):
    if recording is None or not recording.before or not recording.after:
        return None
    return document_changes(recording.before, recording.after)
