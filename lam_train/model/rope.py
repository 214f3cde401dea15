"""Positions from which on a model's rotary embedding looks at the whole row, and not at each token's position alone."""

from lam_train.errors import UserError


def most_positions(config) -> int | None:
    """The most tokens of a sample for which each position is embedded by itself; None: any number.

    RoPE of the types `dynamic` and `longrope` chooses the frequencies of all tokens of a call by the largest position
    in it (transformers' `dynamic_rope_update`), so beyond this a sample would depend on its neighbours in the row.
    """
    found = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    by_layer = [settings for settings in found.values() if isinstance(settings, dict)]  # gemma3: of each kind of layer
    limits = []
    for settings in by_layer or [found]:
        kind = settings.get("rope_type") or settings.get("type") or "default"
        if "dynamic" in kind:
            limits.append(config.max_position_embeddings)
        elif kind == "longrope":
            original = settings.get("original_max_position_embeddings")
            limits.append(
                original or getattr(config, "original_max_position_embeddings", config.max_position_embeddings)
            )
    return min(limits, default=None)


def check_positions(config, tokens: int) -> None:
    """Raises UserError where samples of so many tokens would depend on their neighbours in a row."""
    most = most_positions(config)
    if most is not None and tokens > most:
        raise UserError(
            f"model type {config.model_type}: beyond {most} tokens its RoPE chooses the frequencies by a row's longest "
            f"sample, so what is learned would depend on the packing; set batching.max_tokens={most} "
            "(batching.overlong=drop leaves longer samples out, shorten cuts their history)"
        )
