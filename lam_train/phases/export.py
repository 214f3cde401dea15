"""A Hugging Face folder from a checkpoint."""

import logging
from pathlib import Path

from lam_train.errors import UserError
from lam_train.recipe import Recipe
from lam_train.train.checkpoint import find_checkpoint
from lam_train.train.export import base_name, export, export_dtype, filled_model, model_card, saved_weights
from lam_train.train.run_directory import RunDirectory

log = logging.getLogger(__name__)


def run(recipe: Recipe, run_dir: RunDirectory) -> None:
    """Exports `export.checkpoint` with the model settings of the recipe it was trained with."""
    if recipe.export.checkpoint is None:
        raise UserError("export.checkpoint is not set: give a checkpoint or a run directory")
    checkpoint = find_checkpoint(Path(recipe.export.checkpoint).expanduser())
    trained = trained_recipe(checkpoint.folder)
    model, seed, dtype = (
        (trained.model, trained.trainer.seed, trained.engine.dtype)
        if trained
        else (recipe.model, recipe.trainer.seed, recipe.engine.dtype)
    )
    causal = filled_model(model, seed, saved_weights(checkpoint))
    target = Path(recipe.export.output).expanduser() if recipe.export.output else run_dir / "model"
    data = {"optimizer steps": checkpoint.step, "samples (fingerprint)": checkpoint.state["loader"]["samples"]}
    title = f"{base_name(model)}, trained with lam_train"
    export(
        causal,
        model,
        target,
        export_dtype(recipe.export, dtype),
        model_card(title, base_name(model), data, (trained or recipe).yaml()),
    )


def trained_recipe(checkpoint: Path) -> Recipe | None:
    """The recipe in the run directory that a checkpoint lies in, or None where it was moved out of one."""
    import yaml

    file = checkpoint.parent.parent / "recipe.yaml"
    return Recipe.model_validate(yaml.safe_load(file.read_text(encoding="utf-8"))) if file.exists() else None
