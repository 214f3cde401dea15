"""Several recipes one after the other, each with a run directory of its own; what is done already is not done again."""

import json
import logging
import shlex
import time
from pathlib import Path

from lam_train.errors import Fault, UserError
from lam_train.recipe import Recipe, StageSettings, compose_recipe
from lam_train.train.run_directory import RunDirectory

log = logging.getLogger(__name__)

DONE = "stage.json"


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Runs the stages in their order. Stopped anywhere, the same command goes on; each is a command of its own, too."""
    if not recipe.stages:
        raise UserError("stages is empty: name recipes and their overrides, as recipes/quickstart.yaml does")
    commands = {name: _command(stage, run_dir / name) for name, stage in recipe.stages.items()}
    for command in commands.values():
        compose_recipe(command)  # a mistake in the last stage is said before the first one runs
    for number, (name, command) in enumerate(commands.items(), start=1):
        folder = run_dir / name
        told = f"stage {number} of {len(commands)}, {name}"
        if _done(folder, command):
            log.info("%s: done before", told)
            continue
        log.info("%s: %s\n  python -m lam_train %s", told, recipe.stages[name].does, shlex.join(command))
        begun = time.perf_counter()
        _run(command)
        seconds = round(time.perf_counter() - begun, 1)
        (folder / DONE).write_text(json.dumps({"command": command, "seconds": seconds}) + "\n", encoding="utf-8")
        log.info("%s: done in %.0f s", told, seconds)
    for name, what in recipe.results.items():
        log.info("%s  %s", run_dir / name, what)


def _command(stage: StageSettings, folder: Path) -> list[str]:
    return [f"+recipe={stage.recipe}", f"run_dir={folder}", *stage.overrides]


def _done(folder: Path, command: list[str]) -> bool:
    """Whether the stage ended with this very command; with another one it is done again, or goes on."""
    file = folder / DONE
    return file.exists() and json.loads(file.read_text(encoding="utf-8"))["command"] == command


def _run(command: list[str]) -> None:
    from lam_train.phases.run import run as run_recipe

    status = run_recipe(compose_recipe(command), command)
    if status:
        raise Fault(f"python -m lam_train {shlex.join(command)} ended with {status}; the same command goes on there")
