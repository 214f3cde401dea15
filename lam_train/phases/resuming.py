"""Where a training goes on: at which checkpoint, and whether it is the same training."""

import logging
from collections.abc import Iterator
from pathlib import Path

from lam_train.errors import UserError
from lam_train.recipe import Recipe
from lam_train.train.checkpoint import Checkpoint, find_checkpoint, newest_checkpoint
from lam_train.train.run_directory import RunDirectory

log = logging.getLogger(__name__)

# What a step learns, by section. Data, seed and batch size are the loader's to compare; steps may become more.
LEARNED = {
    "model": ("source", "path", "revision", "lora"),
    "trainer": ("lr", "schedule", "warmup_steps", "weight_decay", "beta1", "beta2", "eps", "gradient_clipping"),
    "data": ("weights",),
    "reward": ("credit", "balance"),
    "ppo": (
        "actions", "reward_model", "answers", "states", "advantages", "scale_groups", "whiten", "gamma", "lam", "clip",
        "ratio", "value_weight", "value_clip", "kl_coefficient", "kl_target", "kl_horizon", "seed",
    ),
}  # fmt: skip


def find_resume(recipe: Recipe, run_dir: RunDirectory) -> Checkpoint | None:
    """The checkpoint to go on from, or None.

    Raises UserError where a new run would overwrite an old one, where the checkpoint is another recipe's, and, unless
    it was asked for by its path, where it was made with other settings of what is learned.
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


def _check_same(recipe: Recipe, checkpoint: Checkpoint) -> None:
    """Raises UserError, or warns, where a checkpoint is not of this training."""
    then, now = checkpoint.state["recipe"] or {}, recipe.model_dump(mode="json")
    if then.get("run", recipe.run) != recipe.run:
        raise UserError(
            f"{checkpoint.folder} is of {then.get('name') or then['run']}, not of {recipe.name or recipe.run}: choose "
            "another run_dir, or another resume; a training that begins with that model has model.path=RUN_DIR/model"
        )
    changed = list(_changed(then, now))
    if not changed:
        return
    was = ", ".join(f"{key}={old}" for key, old, _ in changed)
    here = ", ".join(f"{key}={new}" for key, _, new in changed)
    if recipe.resume == "auto":
        raise UserError(
            f"{checkpoint.folder} was made with {was}, and now it is {here}: choose another run_dir for a training of "
            f"its own; resume={checkpoint.folder.parent.parent} goes on there with the new settings"
        )
    log.warning("going on with %s; %s was made with %s", here, checkpoint.folder, was)


def _changed(then: dict, now: dict) -> Iterator[tuple[str, object, object]]:
    """(key, its value in the checkpoint, its value now) of what differs; keys that only one of them knows do not."""
    for section, keys in LEARNED.items():
        old, new = then.get(section) or {}, now[section]
        for key in keys:
            if key in old and old[key] != new[key]:
                yield f"{section}.{key}", old[key], new[key]
