"""Writes the files of an offline evaluation of acting."""

from pathlib import Path

from lam_train.evaluate.acting_results import ActingReport, OfflineRow
from lam_train.evaluate.offline import EvaluateOfflineSettings
from lam_train.records import Trajectory, write_jsonl
from lam_train.report.acting_plot import plot_scores
from lam_train.report.acting_tables import report_page


def write_offline_report(
    report: ActingReport,
    rows: list[OfflineRow],
    trajectories: list[Trajectory],
    settings: EvaluateOfflineSettings,
    output: Path,
) -> None:
    """Writes evaluation.json, tasks.jsonl, evaluation.md, evaluation.png into `output`."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "evaluation.json").write_text(report.model_dump_json(indent=2) + "\n", encoding="utf-8")
    write_jsonl(output / "tasks.jsonl", rows)
    (output / "evaluation.md").write_text(report_page(report), encoding="utf-8")
    plot_scores(report, output / "evaluation.png")
