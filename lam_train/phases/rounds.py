"""Phase 3 in rounds: explore, train, explore with what was learned, until a round gains nothing on validation tasks."""

import json
import logging
import shutil
from pathlib import Path

from lam_train.errors import UserError
from lam_train.evaluate.acting_results import ActingReport
from lam_train.evaluate.statistics import Estimate
from lam_train.phases.lineage import Lineage, digest
from lam_train.phases.stages import run_and_mark
from lam_train.recipe import Recipe, compose_recipe, quoted
from lam_train.report.markdown import percent, table
from lam_train.train.run_directory import RunDirectory

log = logging.getLogger(__name__)

MODEL = "model"  # the row in the evaluations


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Leaves the best model in `model/`, and what each round found in rounds.json and README.md."""
    rounds = Rounds(recipe, run_dir.path)
    for command in rounds.commands(1, rounds.settings.model, []):
        compose_recipe(command, recipe.config_dir)  # a mistake is said before the first one runs
    rounds.run()


class Rounds:
    """The rounds of a recipe; each step of one has a run directory of its own, round-NUMBER/STEP."""

    def __init__(self, recipe: Recipe, run_dir: Path) -> None:
        self.settings, self.run_dir, self.config_dir = recipe.rounds, run_dir, recipe.config_dir
        for path in (self.settings.model, *self.settings.expert):
            if not Path(path).expanduser().exists():
                raise UserError(f"rounds: {path} is not there; rounds.model is LAM2, rounds.expert its collections")

    def run(self) -> None:
        """All rounds, or as many as gain something."""
        best, found = self.settings.model, []
        score = self._validated(0, best)
        told = [{"round": 0, "model": best, "validation": score.model_dump(), "kept": True}]
        for number in range(1, self.settings.rounds + 1):
            explore, train, _ = self.commands(number, best, found)
            folder = self.run_dir / f"round-{number}"
            self._once(explore, folder / "exploration", [best, *self.settings.expert])
            found.append(str(folder / "exploration/data/selected"))
            explored = json.loads((folder / "exploration/data/counts.json").read_text(encoding="utf-8"))
            self._once(train, folder / "training", [best, *self.settings.expert, *found])
            learned = str(folder / "training/model")
            now = self._validated(number, learned)
            gained = now.mean > score.mean
            told.append({"round": number, "model": learned, "validation": now.model_dump(), "kept": gained,
                         "exploration": explored["all"]})  # fmt: skip
            log.info(
                "round %d: %.1f%% of the validation tasks, %.1f%% before", number, 100 * now.mean, 100 * score.mean
            )
            if not gained:
                break
            best, score = learned, now
        self._finish(best, told)

    def commands(self, number: int, model: str, found: list[str]) -> list[list[str]]:
        """[explore, train, validate] of a round that begins with `model` and what earlier rounds found."""
        s, folder = self.settings, self.run_dir / f"round-{number}"

        def at(inner: str) -> str:
            return quoted(str(folder / inner))

        data = ",".join([*map(quoted, [*s.expert, *found]), at("exploration/data/selected")])
        return [
            [f"+recipe={s.explore_recipe}", f"run_dir={at('exploration')}", f"model.path={quoted(model)}",
             f"explore.output={at('exploration/data')}", f"explore.expert={quoted(s.expert[-1])}", *s.explore],
            [f"+recipe={s.train_recipe}", f"run_dir={at('training')}", f"model.path={quoted(model)}",
             f"data.train=[{data}]", "data.validation=null", *s.train],
            self._validation(number, str(folder / "training/model")),
        ]  # fmt: skip

    def _validation(self, number: int, model: str) -> list[str]:
        fixed = ["evaluate_online.split=validation", "evaluate_online.expert=false"]
        others = ("untrained", "LAM1", "LAM2")
        rows = [f"evaluate_online.models.{name}=none" for name in others]  # Hydra deletes no null
        rows += [f"~evaluate_online.models.{name}" for name in others]
        rows.append(f"evaluate_online.models.{MODEL}={quoted(model)}")
        folder = quoted(str(self.run_dir / f"round-{number}/validation"))
        return ["+recipe=evaluate_online", f"run_dir={folder}", *fixed, *rows, *self.settings.validate_with]

    def _validated(self, number: int, model: str) -> Estimate:
        """The success rate on the validation tasks."""
        folder = self.run_dir / f"round-{number}/validation"
        self._once(self._validation(number, model), folder, [model])
        report = ActingReport.model_validate_json((folder / "evaluation/evaluation.json").read_text(encoding="utf-8"))
        return next(score.estimates["success"] for score in report.scores if score.name == MODEL)

    def _once(self, command: list[str], folder: Path, reads: list[str]) -> None:
        inputs = {path: digest(Path(path).expanduser()) for path in reads}
        ended = Lineage.of(folder)
        if ended is None or ended.command != command or ended.inputs != inputs:
            run_and_mark(command, folder, inputs, self.config_dir)

    def _finish(self, best: str, told: list[dict]) -> None:
        target, partial = self.run_dir / "model", self.run_dir / "model.incomplete"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(Path(best).expanduser(), partial)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
        (self.run_dir / "rounds.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        (self.run_dir / "README.md").write_text(page(told), encoding="utf-8")
        log.info("best of %d rounds: %s, copied to %s", len(told) - 1, best, target)


def page(told: list[dict]) -> str:
    """The rounds as a table."""
    body = []
    for row in told:
        counts = row.get("exploration", {})
        won = f"{counts['won']} of {counts['tried']}" if counts else ""
        kept = "yes" if row["kept"] else "no"
        body.append([str(row["round"]), won, percent(Estimate.model_validate(row["validation"])), kept])
    head = ["round", "failed tasks won", "validation success %", "better than before"]
    return "\n".join(["# Rounds of exploration", "", *table(head, body)])
