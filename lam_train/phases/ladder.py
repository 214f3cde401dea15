"""The table of a whole curriculum, from its stages' own files: who does how well, what it cost, what was found."""

import json
import logging
from pathlib import Path

from lam_train.errors import UserError
from lam_train.phases.lineage import Lineage
from lam_train.recipe import Recipe
from lam_train.report.ladder import write_ladder
from lam_train.train.metrics import MetricsFile
from lam_train.train.run_directory import RunDirectory

log = logging.getLogger(__name__)

# name in ladder.json -> where a stage leaves it; the stage's name is the first part
FOUND = {
    "offline": "offline/evaluation/evaluation.json",
    "online": "online/evaluation/evaluation.json",
    "trajectories": "trajectories/data/counts.json",
    "exploration": "exploration/data/counts.json",
    "reward_model": "phase4a/evaluation/evaluation.json",
    "ppo": "phase4b/health/health.json",
}


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Writes ladder.json, README.md and plots into `ladder.output`."""
    settings = recipe.ladder
    output = Path(settings.output).expanduser() if settings.output else run_dir / "ladder"
    if settings.data is not None:
        file = Path(settings.data).expanduser()
        if not file.is_file():
            raise UserError(f"ladder.data={settings.data}: no such file; a curriculum leaves one in ladder/")
        found = json.loads(file.read_text(encoding="utf-8"))
    elif settings.run is not None:
        shared = Path(settings.shared).expanduser() if settings.shared else None
        found = gather(Path(settings.run).expanduser(), settings.run, shared)
    else:
        raise UserError("ladder.run: give a curriculum's run directory, or ladder.data a ladder.json")
    write_ladder(found, output)
    log.info("%s", output / "README.md")


def gather(folder: Path, named: str, shared: Path | None = None) -> dict:
    """All numbers of a curriculum's stages; raises UserError where no evaluation has ended.

    With `shared`, those of the other run that its stages were made from, too.
    """
    stages = {path.parent: Lineage.of(path.parent) for path in folder.glob("*/stage.json")}
    if not stages:
        raise UserError(f"ladder.run={named}: no finished stage there")
    if shared is not None:
        stages |= _made_from(stages, folder, shared)
    places = {place.name: place for place in sorted(stages, key=lambda place: stages[place].ended)}
    found: dict = {"stages": {name: _cost(place, stages[place]) for name, place in places.items()}}
    for name, inner in FOUND.items():
        stage, _, file = inner.partition("/")
        if stage in places and (places[stage] / file).is_file():
            found[name] = json.loads((places[stage] / file).read_text(encoding="utf-8"))
    if "offline" not in found and "online" not in found:
        raise UserError(f"ladder.run={named}: neither {FOUND['offline']} nor {FOUND['online']} is there")
    return found


def _made_from(stages: dict[Path, Lineage], folder: Path, shared: Path) -> dict[Path, Lineage]:
    """The stages of the shared run that these were made from, and what those were made from."""
    found: dict[Path, Lineage] = {}
    left = list(stages.values())
    while left:
        for name in {path.partition("/")[0] for path in left.pop().inputs}:
            place = shared / name
            if folder / name not in stages and place not in found and (ended := Lineage.of(place)) is not None:
                found[place] = ended
                left.append(ended)
    return found


def _cost(folder: Path, lineage: Lineage) -> dict:
    """What a stage took: seconds, and of a training its steps and tokens; with what it was made from."""
    rows = [row for row in MetricsFile(folder / "metrics.jsonl").read() if row["kind"] == "train"]
    cost: dict = {"seconds": lineage.seconds, "inputs": lineage.inputs}
    if rows:
        cost |= {
            "optimizer_steps": rows[-1]["step"],
            "samples": sum(len(row["samples"]) for row in rows),
            **{name: sum(row[name] for row in rows) for name in
               ("tokens_logical", "tokens_physical", "tokens_supervised")},
            "seconds_in_steps": round(sum(row["seconds"] for row in rows), 1),
        }  # fmt: skip
    return cost
