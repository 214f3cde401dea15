"""What the model's attention takes, from a pack: as a mask, or as a tree (`tree_attention`).

Legend: T tokens of a row; q a query's row index, k a key's.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch.utils._triton import has_triton

from lam_train.batching.pack import Pack
from lam_train.errors import UserError
from lam_train.model.rope import check_positions, most_positions
from lam_train.model.tree_attention import (
    FLEX,
    FLEX_BLOCK,
    MODEL_TYPES,
    NAME,
    flex_masks,
    layer_window,
    query_blocks,
)

if TYPE_CHECKING:
    from lam_train.model.sequence_parallel import SharedRow


def tree_mask(subtree_end_T: torch.Tensor, positions_T: torch.Tensor, window: int | None = None) -> torch.Tensor:
    """bool [T, T], True where query q may attend to key k: k is q or an ancestor of it on its own path.

    `window` keeps keys less than that many positions back, as a sliding-window model does on a single sample.
    """
    rows_T = torch.arange(len(subtree_end_T), device=subtree_end_T.device)
    allowed_TT = (rows_T[None, :] <= rows_T[:, None]) & (rows_T[:, None] < subtree_end_T[None, :])
    if window is not None:
        allowed_TT &= positions_T[:, None] - positions_T[None, :] < window
    return allowed_TT


def masks_by_layer(config, mask: Callable[[int | None], torch.Tensor]) -> torch.Tensor | dict[str, torch.Tensor]:
    """The `attention_mask` of a transformers model from `mask`, which takes a layer's sliding window or None.

    Raises UserError for a model with layers of other kinds than full and sliding attention.
    """
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    if {"sliding_attention", "full_attention"} <= kinds:
        return {"full_attention": mask(None), "sliding_attention": mask(window)}
    if kinds <= {"sliding_attention", "full_attention"}:
        uses_window = window is not None and kinds != {"full_attention"}
        return mask(window if uses_window else None)
    raise UserError(
        f"model type {config.model_type}: layers of kinds {', '.join(sorted(kinds))} cannot keep the samples of a row "
        "apart; take a model whose layers are all full or sliding attention"
    )


def model_inputs(pack: Pack, config, shared: "SharedRow | None" = None) -> dict:
    """The keyword arguments that make a transformers model treat a pack as a forest.

    A four-dimensional mask, always: with none, or with an all-ones one, or with `use_cache=True`, transformers lets
    the samples of a row attend to each other without a warning. Beside `tree`, which says the same, it is empty.
    For FlexAttention the row has up to 127 tokens more, behind its own. Of a row that ranks share the tokens are this
    rank's part, the tree or mask is the whole row's.

    Raises UserError for a model whose attention cannot be computed so.
    """
    if most_positions(config) is not None:
        check_positions(config, int(pack.positions.max()) + 1)
    tree, flex = None, by_flex(pack, config)
    if flex or shared is not None:
        multiple = FLEX_BLOCK if flex else 1
        pack = pack.padded(multiple if shared is None else shared.multiple(multiple))
    if flex:
        windows = (layer_window(config, layer) for layer in range(config.num_hidden_layers))
        tree = flex_masks(pack, windows, causal_kernels=by_causal_kernels(pack.tokens.device, config))
    elif by_blocks(pack.tokens.device, config):
        tree = query_blocks(pack.subtree_end)
    part = slice(None) if shared is None else shared.rows(len(pack.tokens))
    inputs = {"input_ids": pack.tokens[None, part], "position_ids": pack.positions[None, part], "use_cache": False}
    if shared is not None:
        inputs["shared_by"] = shared.attention
    if tree is not None:
        return inputs | tree_inputs(tree)
    attention = masks_by_layer(config, lambda window: tree_mask(pack.subtree_end, pack.positions, window)[None, None])
    return inputs | {"attention_mask": attention}


def tree_inputs(tree) -> dict:
    """The keyword arguments that say a row's tree in the place of a mask."""
    placeholder = torch.empty(1, 1, 0, 0)  # four dimensions: transformers makes no mask of its own
    return {"attention_mask": placeholder, "tree": tree}


def by_flex(pack: Pack, config) -> bool:
    """Whether a pack's attention is FlexAttention's: where it is asked for, and on a GPU wherever it is right."""
    if config._attn_implementation != FLEX:
        return by_paths(config) and pack.tokens.device.type == "cuda" and has_triton()
    if config.model_type not in MODEL_TYPES:  # others cap scores or look elsewhere, which would be lost silently
        raise ValueError(f"attention=flex is for models of types {', '.join(MODEL_TYPES)}, not {config.model_type}")
    return True


def by_causal_kernels(device: torch.device, config) -> bool:
    """Whether rows of a single path take PyTorch's causal kernels, where nobody asked for FlexAttention.

    Not on a GPU whose only kernel for grouped heads in half precision holds all pairs of tokens, nor with a PyTorch
    that cannot compile a choice of kernels (pytorch/pytorch#160684).
    """
    if config._attn_implementation == FLEX or device.type != "cuda" or torch.version.hip is not None:
        return False
    if torch.__version__ < (2, 9):
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def by_blocks(device: torch.device, config) -> bool:
    """Whether a tree's attention is computed block by block of queries there (`TreeAttention`)."""
    return by_paths(config) and device.type == "cpu"


def by_paths(config) -> bool:
    """Whether attention may be computed path by path (`tree_attention`) instead of with a mask."""
    known = config._attn_implementation == NAME and config.model_type in MODEL_TYPES
    return known and not getattr(config, "attention_dropout", 0.0)
