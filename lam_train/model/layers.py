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
    """
    layers = decoder_layers(causal)
    count = checkpointed_layers(setting, len(layers))
    if count:
        causal.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    for layer in layers[count:]:
        layer.gradient_checkpointing = False


def compile_layers(causal: PreTrainedModel) -> None:
    """Compiles each layer in place, for rows of any length: its weights keep their names."""
    for layer in decoder_layers(causal):
        layer.compile(dynamic=True)
