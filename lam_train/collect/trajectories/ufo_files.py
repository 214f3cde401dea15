"""UFO's files and folders: results in and out, and task files in (microsoft/UFO, `dataflow/`)."""

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from lam_train.collect.trajectories.collection import Collection
from lam_train.collect.trajectories.evidence import documents, evidence_folder
from lam_train.collect.trajectories.ufo import from_ufo, to_ufo
from lam_train.collect.trajectories.ufo_schema import UfoPart, UfoResult, UfoTask
from lam_train.errors import UserError
from lam_train.records import Split, TaskPlan, reason_of

EXECUTION = {"success": "execution_pass", "fail": "execution_fail", "error": "execution_fail"}
PLACES = {
    "instantiation/instantiation_pass",
    "instantiation/instantiation_fail",
    "dataflow/execution_pass",
    "dataflow/execution_fail",
    "dataflow/execution_unsure",
}


def write_ufo_folders(collection: Collection, folder: Path) -> Counter:
    """Writes every episode as UFO does, and returns how many files each folder got.

    `instantiation/instantiation_{pass,fail}`, `dataflow/execution_{pass,fail,unsure}`, and `saved_document/` where the
    collection kept its documents.
    """
    plans = {plan.task.task_id: plan for plan in collection.plans}
    judgements = {judgement.task_id: judgement for judgement in collection.judgements}
    written: Counter = Counter()
    for trajectory in collection.last():
        task_id = trajectory.task.task_id
        name = evidence_folder(Path(), task_id).name  # an id may hold any characters
        _, after = documents(evidence_folder(collection.folder / "evidence", task_id))
        saved = None
        if after is not None:
            saved = folder / "saved_document" / f"{name}{after.suffix}"
            saved.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(after, saved)
        where = str(saved.relative_to(folder)) if saved else None
        result = to_ufo(trajectory, plans.get(task_id), judgements.get(task_id), where)
        acted = any(step.action.function for step in trajectory.steps)
        places = ["instantiation/instantiation_pass" if acted else "instantiation/instantiation_fail"]
        if acted:
            places.append(f"dataflow/{EXECUTION.get(trajectory.outcome, 'execution_unsure')}")
        for place in places:
            _write(folder / place / f"{name}.json", result, with_execution=place.startswith("dataflow"))
            written[place] += 1
        for place in PLACES.difference(places):
            (folder / place / f"{name}.json").unlink(missing_ok=True)  # of an episode that was broken and made again
    return written


def _write(path: Path, result: UfoResult, with_execution: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    value = result.model_dump()
    if not with_execution:  # UFO's instantiation schema is the same without what execution adds
        del value["execution_result"], value["time_cost"]["execute"], value["time_cost"]["execute_eval"]
    path.write_text(json.dumps(value, indent=4, ensure_ascii=False) + "\n", encoding="utf-8")


def read_ufo_results(path: str | Path) -> Iterator[UfoResult]:
    """The results in a file or, at any depth, in a folder; raises UserError for a file that is none.

    An instantiation result of the same task as a dataflow result is passed over.
    """
    seen: set[str] = set()
    files = sorted(_json_files(path), key=lambda file: "instantiation" in str(file.parent.name))
    for file in files:
        result = _read(file, UfoResult)
        if result.unique_id not in seen:
            seen.add(result.unique_id)
            yield result


def read_ufo_tasks(path: str | Path) -> list[TaskPlan]:
    """UFO's task files, a file or a folder of them, as task-plans."""
    tasks = [_read(file, UfoTask) for file in sorted(_json_files(path))]
    return [
        TaskPlan(task_id=f"ufo/{task.unique_id}", task=task.task, plan=task.refined_steps, source="ufo", app=task.app)
        for task in tasks
    ]


def import_ufo(collection: Collection, path: str | Path, split: Split) -> int:
    """Adds the results that the collection lacks; returns how many."""
    done, added = {episode.task.task_id for episode in collection.episodes}, 0  # broken ones too: UFO's are final
    planned = {plan.task.task_id for plan in collection.plans}
    judged = {judgement.task_id for judgement in collection.judgements}
    for result in read_ufo_results(path):
        if result.unique_id in done:
            continue
        episode = from_ufo(result, split)
        if episode.judgement is not None and result.unique_id not in judged:
            collection.judgements.append(episode.judgement)
        if result.unique_id not in planned:
            collection.plans.append(episode.instantiation)
        collection.episodes.append(episode.trajectory)
        added += 1
    return added


def _json_files(path: str | Path) -> list[Path]:
    path = Path(path).expanduser()
    files = list(path.rglob("*.json")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path}: no .json file there")
    return files


def _read(file: Path, kind: type[UfoPart]):
    try:
        return kind.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{file}: {error.strerror}; is the path right?") from None
    except ValidationError as error:
        raise UserError(f"{file}: not a UFO file: {reason_of(error)}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8: {error.reason}") from None
