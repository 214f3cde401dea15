"""Online evaluations made apart, of the same tasks, in one table with paired differences.

    python benchmarks/ablations_result.py RESULT_FOLDER NAME=EVALUATION[:ROW] [NAME=EVALUATION[:ROW] …]

EVALUATION is the `evaluation` folder of a run of evaluate_online, ROW the model's name there (the only one, if left
out), NAME what the table calls it. Only tasks that all of them did are counted, and it says how many those are.
Writes ablations.json (every outcome, so that the table can be made again from it), README.md and ablations.png:

    python benchmarks/ablations_result.py RESULT_FOLDER ablations.json
"""

import argparse
import json
import time
from pathlib import Path

from training_facts import hardware

from lam_train.evaluate.acting import ActingSettings
from lam_train.evaluate.acting_results import ActingReport
from lam_train.evaluate.online_scores import online_report
from lam_train.records import Task, Trajectory, read_jsonl
from lam_train.report.acting_plot import plot_scores
from lam_train.report.acting_tables import report_page


def episodes_of(place: str) -> dict[str, Trajectory]:
    """By task id, of one row of an evaluation."""
    folder, _, row = place.partition(":")
    files = sorted((Path(folder) / "episodes").glob("*-00000.jsonl"))
    rows = {file.name.removesuffix("-00000.jsonl"): file for file in files}
    if row and row not in rows:
        raise SystemExit(f"{place}: no such row; there are {', '.join(rows)}")
    if not row and len(rows) != 1:
        raise SystemExit(f"{folder}: say which row, {folder}:ROW, of {', '.join(rows) or 'none'}")
    return {t.task.task_id: t for t in read_jsonl(rows[row or next(iter(rows))], Trajectory)}


def gathered(places: dict[str, str]) -> ActingReport:
    found = {name: episodes_of(place) for name, place in places.items()}
    shared = set.intersection(*(set(episodes) for episodes in found.values()))
    first = next(iter(found.values()))
    tasks: list[Task] = [first[id].task for id in first if id in shared]
    for name, episodes in found.items():
        if any(episodes[task.task_id].task != task for task in tasks):
            raise SystemExit(f"{name}: its tasks have the ids of the others, and are others")
        if len(episodes) > len(tasks):
            print(f"{name}: {len(episodes) - len(tasks)} of its {len(episodes)} tasks are left out: others lack them")
    in_order = {name: [episodes[task.task_id] for task in tasks] for name, episodes in found.items()}
    folder = Path(next(iter(places.values())).partition(":")[0])
    as_made = ActingReport.model_validate_json((folder / "evaluation.json").read_text())
    settings = ActingSettings(split=as_made.split)
    return online_report(tasks, in_order, settings, as_made.data, as_made.environments, as_made.step_limit, [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("evaluations", nargs="+", help="NAME=EVALUATION[:ROW], or the JSON of an earlier table")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    if len(args.evaluations) == 1 and args.evaluations[0].endswith(".json"):
        told = json.loads(Path(args.evaluations[0]).read_text())
    else:
        places = dict(one.split("=", 1) for one in args.evaluations)
        report = gathered(places).model_dump(mode="json")
        told = {"date": time.strftime("%Y-%m-%d"), "hardware": hardware(), "report": report}
    report = ActingReport.model_validate(told["report"])
    (args.output / "ablations.json").write_text(json.dumps(told, indent=1) + "\n")
    body = report_page(report).replace("# Acting, online", "# Ablations, online", 1)
    body = body.replace("(evaluation.png)", "(ablations.png)")
    (args.output / "README.md").write_text(f"{body.rstrip()}\n\n- {told['date']}, {told['hardware']}\n")
    plot_scores(report, args.output / "ablations.png")
    print((args.output / "README.md").read_text())


if __name__ == "__main__":
    main()
