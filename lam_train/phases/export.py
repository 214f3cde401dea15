"""A Hugging Face folder from a checkpoint."""

from pathlib import Path

from lam_train.errors import UserError
from lam_train.model.policy_value import PolicyValue
from lam_train.model.reward import RewardModel
from lam_train.model.trainable import TrainableModel
from lam_train.phases.training import beside
from lam_train.recipe import Recipe
from lam_train.train.checkpoint import find_checkpoint
from lam_train.train.export import BlankModel, base_name, export, export_dtype, model_card, saved_weights
from lam_train.train.run_directory import RunDirectory

WRAPS = {"reward_model": RewardModel, "offline_ppo": PolicyValue}  # what trains with a head of its own


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Exports `export.checkpoint` with the model settings of the recipe it was trained with."""
    if recipe.export.checkpoint is None:
        raise UserError("export.checkpoint is not set: give a checkpoint or a run directory")
    checkpoint = find_checkpoint(Path(recipe.export.checkpoint).expanduser(), "export.checkpoint")
    trained = Recipe.model_validate(checkpoint.state["recipe"])
    dtype = export_dtype(recipe.export, trained.engine.dtype)
    blank = BlankModel(trained.model, trained.trainer.seed, dtype, WRAPS.get(trained.run, TrainableModel))
    for name, tensor in saved_weights(checkpoint):
        blank.put(name, tensor)
    target = Path(recipe.export.output).expanduser() if recipe.export.output else run_dir / "model"
    data = {"optimizer steps": checkpoint.step, "samples (fingerprint)": checkpoint.state["loader"]["samples"]}
    base = base_name(trained.model)
    card = model_card(f"{base}, trained with lam_train", base, data, trained.yaml())
    export(blank.merged(), trained.model, target, dtype, card, beside(trained) | blank.beside())
