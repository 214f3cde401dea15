"""What is done to a model's decoder layers: which compute their activations again, and that they are compiled."""

from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer

from lam_train.errors import UserError

Checkpointing = bool | int  # `model.gradient_checkpointing`: all layers, none, or so many


def decoder_layers(causal: PreTrainedModel) -> list[GradientCheckpointingLayer]:
    """In their order."""
    return [module for module in causal.modules() if isinstance(module, GradientCheckpointingLayer)]


def checkpointed_layers(setting: Checkpointing, layers: int) -> int:
    """How many of a model's `layers`; raises UserError where it has fewer than are asked for."""
    if isinstance(setting, bool):
        return layers if setting else 0
    if setting > layers:
        raise UserError(f"model.gradient_checkpointing={setting}: the model has {layers} layers; true means all")
    return setting


def checkpoint_layers(causal: PreTrainedModel, setting: Checkpointing) -> None:
    """Lets the first layers keep their input alone and compute the rest again in the backward pass.

    The first, because the backward pass reaches them last: what the others kept is free by then, and makes room.
    Raises UserError where there are fewer, or none that can.
    """
    layers = decoder_layers(causal)
    if setting and not layers:
        raise UserError(_without_layers(causal, "gradient_checkpointing", setting))
    count = checkpointed_layers(setting, len(layers))
    if count:
        causal.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for layer in layers[count:]:
        layer.gradient_checkpointing = False


def compile_layers(causal: PreTrainedModel) -> None:
    """Compiles each layer in place, for rows of any length: its weights keep their names.

    Raises UserError where transformers tells no layers.
    """
    layers = decoder_layers(causal)
    if not layers:
        raise UserError(_without_layers(causal, "compile", True))
    for layer in layers:
        layer.compile(dynamic=True)


def _without_layers(causal: PreTrainedModel, key: str, setting: Checkpointing) -> str:
    return (
        f"model.{key}={str(setting).lower()}: {type(causal).__name__} (model type {causal.config.model_type}) has no "
        f"layers of transformers' kind GradientCheckpointingLayer, so nothing would come of it; set model.{key}=false"
    )
