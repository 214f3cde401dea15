"""Several recipes one after the other, each with a run directory of its own; what is done already is not done again."""

import logging
import shlex
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rich.console import Console

from lam_train.errors import UserError
from lam_train.phases.lineage import Lineage, digest, now, set_aside
from lam_train.phases.resuming import begun_otherwise
from lam_train.phases.stage_plan import print_plan
from lam_train.recipe import Recipe, compose_recipe, quoted
from lam_train.train.distributed import must_have_ended_well
from lam_train.train.run_directory import RunDirectory

log = logging.getLogger(__name__)

BASE = "base"
ATTEMPTS = "stage.seconds"  # in a stage's folder: what attempts took that did not end
SEEDS = {  # kind of run -> the settings that curriculum.seed sets
    **dict.fromkeys(("task_plan", "expert_imitation", "self_boosting", "reward_model"), ("trainer.seed",)),
    "explore": ("policy.local.seed",),
    "offline_ppo": ("trainer.seed", "policy.local.seed"),
}


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Runs the stages in their order. Stopped anywhere, the same command goes on; each is a command of its own, too."""
    stages = Stages(recipe, run_dir.path)
    own = recipe.config_dir
    composed = {name: compose_recipe(stages.command(name), own) for name in stages.kept}  # mistakes are said first
    if recipe.curriculum.plan:
        print_plan(Console(highlight=False, soft_wrap=True), stages, composed)
        return
    for number, name in enumerate(stages.kept, start=1):
        told = f"stage {number} of {len(stages.kept)}, {name}"
        state = stages.state(name)
        if state.done:
            log.info("%s: done before%s", told, f", in {state.folder}" if state.shared else "")
            continue
        if state.stale:
            log.info("%s: its inputs changed (%s); what was made of the old ones is now %s", told,
                     ", ".join(state.stale), set_aside(state.folder).name)  # fmt: skip
        log.info("%s: %s", told, stages.settings[name].does)
        seconds = run_and_mark(stages.command(name), stages.run_dir / name, stages.inputs(name), own)
        log.info("%s: done in %.0f s", told, seconds)
    for name, what in recipe.results.items():
        if stages.path(name).exists():  # its stage may be skipped
            log.info("%s  %s", stages.path(name), what)


def run_and_mark(command: list[str], folder: Path, inputs: dict[str, str], config_dir: Path | None = None) -> float:
    """Runs a command line of ours, whose run directory is `folder`, marks that as ended, and returns the seconds.

    Those of earlier attempts that were stopped count too, but not of one that was killed outright. `config_dir` holds
    recipes and groups of the user's own.
    """
    log.info("  python -m lam_train %s", shlex.join(_line(command, config_dir)))
    attempts = folder / ATTEMPTS
    before = float(attempts.read_text(encoding="utf-8")) if attempts.is_file() else 0.0
    begun = time.perf_counter()
    try:
        _run(command, config_dir)
    except BaseException:
        folder.mkdir(parents=True, exist_ok=True)
        attempts.write_text(f"{before + time.perf_counter() - begun:.1f}\n", encoding="utf-8")
        raise
    seconds = round(before + time.perf_counter() - begun, 1)
    Lineage(command=command, inputs=inputs, seconds=seconds, ended=now()).write(folder)
    attempts.unlink(missing_ok=True)
    return seconds


@dataclass(frozen=True)
class StageState:
    """How a stage stands: ended with these very settings and inputs, or ended with other inputs, or neither."""

    folder: Path
    done: bool
    shared: bool = False
    stale: tuple[str, ...] = ()  # the inputs that differ, are no longer read, or are new


class Stages:
    """The stages of a recipe that are not skipped, their commands and what each reads."""

    def __init__(self, recipe: Recipe, run_dir: Path) -> None:
        self.settings, self.curriculum, self.run_dir = recipe.stages, recipe.curriculum, run_dir
        self.config_dir = recipe.config_dir
        if not recipe.stages:
            raise UserError("stages is empty: name recipes and their overrides, as recipes/curriculum.yaml does")
        unknown = [name for name in self.curriculum.skip if name not in recipe.stages]
        if unknown:
            raise UserError(f"curriculum.skip: no stage {unknown[0]}; there are {', '.join(recipe.stages)}")
        self.kept = [name for name in recipe.stages if name not in self.curriculum.skip]
        self.share = Path(self.curriculum.share).expanduser().absolute() if self.curriculum.share else None
        if self.share is not None and not self.share.is_dir():
            raise UserError(f"curriculum.share={self.curriculum.share}: no such run directory")
        self._shared: dict[str, bool] = {}
        for name in self.kept:  # in order: what a stage reads may be the shared run's
            self._shared[name] = self.share is not None and self._ended(name, self.share, self.share)

    def path(self, inner: str) -> Path:
        """Where STAGE/… lies: in this run's directory, or in the one that is shared."""
        stage = inner.partition("/")[0]
        return (self.share if self._shared.get(stage) else self.run_dir) / inner

    def command(self, name: str, run_dir: Path | None = None) -> list[str]:
        """The stage's command line. With `run_dir`: as it would be if everything lay there."""

        def at(inner: str) -> str:
            return quoted(str(run_dir / inner if run_dir else self.path(inner)))

        stage, made = self.settings[name], []
        if stage.model is not None:
            model = self.model_stage(name)
            made = [f"model={self.curriculum.model}"] if model is None else [f"model.path={at(f'{model}/model')}"]
        data = self._data(name)
        if stage.data and not data:
            named = ", ".join((*stage.data, *stage.also))
            raise UserError(f"stages.{name}: all its data is left out or of skipped stages ({named})")
        made += [f"data.train=[{','.join(at(path) for path in data)}]"] if data else []
        made += [f"{key}={at(path)}" for key, path in stage.uses.items() if self._is_kept(path)]
        made += [f"{stage.output}={quoted(f'{run_dir or self.run_dir}/{name}/data')}"] if stage.output else []
        made += [f"{stage.whole}={quoted(str(run_dir or self.run_dir))}"] if stage.whole else []
        made += [f"{stage.shared}={quoted(str(self.share))}"] if stage.shared and self.share else []
        made += [
            f"{key}={self.curriculum.seed}"
            for key in (SEEDS.get(kind_of(stage.recipe, self.config_dir), ()) if self.curriculum.seed else ())
        ]
        folder = (run_dir or self.run_dir) / name
        return [f"+recipe={stage.recipe}", f"run_dir={quoted(str(folder))}", *stage.overrides, *made, *stage.size]

    def model_stage(self, name: str) -> str | None:
        """The stage whose model a stage starts from, skipped ones passed over; None: the base model."""
        model = self.settings[name].model
        while model not in (None, BASE) and model not in self.kept:
            if model not in self.settings:
                raise UserError(f"stages.{name}.model={model}: no such stage; there are {', '.join(self.settings)}")
            model = self.settings[model].model
        return None if model == BASE else model

    def reads(self, name: str) -> list[str]:
        """The paths STAGE/… that a stage is made from."""
        stage = self.settings[name]
        model = self.model_stage(name) if stage.model else None
        found = [f"{model}/model"] if model else []
        used = [path for path in (*stage.uses.values(), *stage.reads) if self._is_kept(path)]
        return found + self._data(name) + used

    def _data(self, name: str) -> list[str]:
        stage = self.settings[name]
        unknown = [path for path in stage.without if path not in stage.data]
        if unknown:
            raise UserError(f"stages.{name}.without: no {unknown[0]} in its data, {', '.join(stage.data)}")
        return [path for path in (*stage.data, *stage.also) if path not in stage.without and self._is_kept(path)]

    def inputs(self, name: str) -> dict[str, str]:
        """Path -> digest of what a stage reads, as it is now."""
        return {path: digest(self.path(path)) for path in self.reads(name)}

    def state(self, name: str) -> StageState:
        """How a stage stands."""
        if self._shared[name]:
            return StageState(self.share / name, done=True, shared=True)
        folder = self.run_dir / name
        ended = Lineage.of(folder)
        stale: tuple[str, ...] = ()
        if ended is not None:
            then, today = ended.inputs, self.inputs(name)
            stale = tuple(path for path in sorted({*then, *today}) if then.get(path) != today.get(path))
        return StageState(folder, done=self._ended(name, self.run_dir, None), stale=stale)

    def _ended(self, name: str, folder: Path, everything: Path | None) -> bool:
        """Whether a stage ended in `folder` with these settings and inputs; `everything`: as `command` has it."""
        ended = Lineage.of(folder / name)
        return (
            ended is not None and ended.command == self.command(name, everything) and ended.inputs == self.inputs(name)
        )

    def _is_kept(self, inner: str) -> bool:
        stage = inner.partition("/")[0]
        if stage not in self.settings:
            raise UserError(f"stages: {inner} lies in no stage's folder; there are {', '.join(self.settings)}")
        return stage in self.kept


@cache
def kind_of(recipe: str, config_dir: Path | None = None) -> str:
    """What a recipe runs."""
    return compose_recipe([f"+recipe={recipe}"], config_dir).run


def _line(command: list[str], config_dir: Path | None) -> list[str]:
    return [*command, "--config-dir", str(config_dir)] if config_dir else command


def _run(command: list[str], config_dir: Path | None) -> None:
    from lam_train.phases.run import TRAINS
    from lam_train.phases.run import run as run_recipe

    line, recipe = _line(command, config_dir), compose_recipe(command, config_dir)
    folder = Path(recipe.run_dir or "")
    if recipe.run in TRAINS and (changed := begun_otherwise(recipe, folder)):
        log.info("  begun with other settings (%s); what was made with them is now %s", ", ".join(changed),
                 set_aside(folder).name)  # fmt: skip
    must_have_ended_well(run_recipe(recipe, line), shlex.join(line))
