"""Where a training goes on: at which checkpoint, and whether it is the same training."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from lam_train.batching.loader import Loader
from lam_train.errors import UserError
from lam_train.phases.lineage import digest
from lam_train.recipe import Recipe
from lam_train.train.checkpoint import Checkpoint, find_checkpoint, newest_checkpoint
from lam_train.train.run_directory import RunDirectory

log = logging.getLogger(__name__)

# What is learned from, and what PPO's experience of an iteration is made with: it cannot change under way.
FIXED = (
    "model.source", "model.path", "model.revision", "model.lora", "reward.credit", "ppo.actions", "ppo.reward_model",
    "ppo.answers", "ppo.states", "ppo.advantages", "ppo.scale_groups", "ppo.whiten", "ppo.gamma", "ppo.lam",
    "ppo.kl_coefficient", "ppo.seed",
)  # fmt: skip
# How a step learns: `resume=PATH` goes on with another value.
STEPS = (
    "trainer.lr", "trainer.schedule", "trainer.warmup_steps", "trainer.weight_decay", "trainer.beta1", "trainer.beta2",
    "trainer.eps", "trainer.gradient_clipping", "ppo.clip", "ppo.ratio", "ppo.value_weight", "ppo.value_clip",
    "ppo.kl_target", "ppo.kl_horizon",
)  # fmt: skip
MODELS = ("model.path", "ppo.reward_model")

Change = tuple[str, object, object]  # key, its value in the checkpoint, its value now


def find_resume(recipe: Recipe, run_dir: RunDirectory) -> Checkpoint | None:
    """The checkpoint to go on from, or None.

    Raises UserError where a new run would overwrite an old one, where the checkpoint is another recipe's or another
    model's, and, unless it was asked for by its path, where it was made with other settings of how a step learns.
    """
    newest = newest_checkpoint(run_dir / "checkpoints")
    if recipe.resume == "never" and newest is not None:
        raise UserError(
            f"run_dir={run_dir.path} already holds a checkpoint of step {newest.step}, and resume=never would "
            "overwrite it: choose another run_dir, or resume=auto to go on"
        )
    if recipe.resume in ("auto", "never"):
        found = newest
    else:
        asked = find_checkpoint(Path(recipe.resume).expanduser())
        begun_here = asked.folder.resolve().parent != (run_dir / "checkpoints").resolve() and newest is not None
        found = newest if begun_here else asked  # the same command again, after a kill, goes on instead of back
    if found is not None:
        _check_same(recipe, found)
    return found


def begun_otherwise(recipe: Recipe, folder: Path) -> list[str]:
    """The settings in which the training that was begun in a run directory is another one than the recipe's."""
    newest = newest_checkpoint(folder / "checkpoints")
    if newest is None:
        return []
    then = _recipe_of(newest)
    other_run = ["run"] if then.get("run", recipe.run) != recipe.run else []
    return other_run + [key for key, _, _ in _changes(then, recipe, (*FIXED, *STEPS, *Loader.KEYS.values()))]


def _check_same(recipe: Recipe, checkpoint: Checkpoint) -> None:
    """Raises UserError, or warns, where a checkpoint is not of this training."""
    then = _recipe_of(checkpoint)
    if then.get("run", recipe.run) != recipe.run:
        raise UserError(
            f"{checkpoint.folder} is of {then.get('name') or then['run']}, not of {recipe.name or recipe.run}: choose "
            "another run_dir, or another resume; a training that begins with that model has model.path=RUN_DIR/model"
        )
    if fixed := list(_changes(then, recipe, FIXED)):
        raise UserError(
            f"{checkpoint.folder} was made with {_told(fixed, 1)}, and now it is {_told(fixed, 2)}: another training, "
            "which cannot go on there; choose another run_dir, without resume"
        )
    changed = list(_changes(then, recipe, STEPS))
    if changed and recipe.resume == "auto":
        raise UserError(
            f"{checkpoint.folder} was made with {_told(changed, 1)}, and now it is {_told(changed, 2)}: choose another "
            f"run_dir for a training of its own; resume={checkpoint.folder.parent.parent} goes on there with it"
        )
    if changed:
        log.warning("going on with %s; %s was made with %s", _told(changed, 2), checkpoint.folder, _told(changed, 1))


def _recipe_of(checkpoint: Checkpoint) -> dict:
    return checkpoint.state["recipe"] or {}


def _told(changes: list[Change], which: int) -> str:
    return ", ".join(f"{change[0]}={change[which]}" for change in changes)


def _changes(then: dict, recipe: Recipe, keys: Iterable[str]) -> Iterator[Change]:
    """What differs of `keys`; one that the checkpoint's version did not know does not."""
    now = recipe.model_dump(mode="json")
    for key in keys:
        section, name = key.split(".")
        old, new = then.get(section) or {}, now[section]
        if name in old and old[name] != new[name] and not (key in MODELS and _same_model(old[name], new[name])):
            yield key, old[name], new[name]


def _same_model(old: str | None, new: str | None) -> bool:
    """Whether two paths are of one model, by content; one that is no longer there may have become the other."""
    if old is None or new is None:
        return False
    before, after = Path(old).expanduser(), Path(new).expanduser()
    if not after.is_dir():
        return False  # ids of the hub
    return not before.is_dir() or before.resolve() == after.resolve() or digest(before) == digest(after)
