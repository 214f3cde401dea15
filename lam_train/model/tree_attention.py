"""Attention of a packed forest without a dense mask: each block of queries sees its own path's keys and no others.

On a CPU with matrix products of our own (`TreeAttention`), on a GPU with PyTorch's FlexAttention (`flex_masks`), and
there a row that is a single path with the kernels made for that (`_of_one_path`), which are twice as fast.

A dense mask makes every token of a row pay for every other; the tokens of a path are a third to a sixth of them
(docs/performance.md). Exact: softmax in float32 over the same scores.

Legend: T tokens of a row, H query heads, G key-value heads, R = H / G queries a key-value head, D head size; n queries
of a block, K keys of its path.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import BlockMask, flex_attention
from torch.nn.functional import scaled_dot_product_attention

from lam_train.batching.pack import Pack
from lam_train.errors import UserError

NAME, FLEX = "lam_tree", "lam_flex"  # as transformers attention implementations
QUERIES = 128  # most in a block: its scores stay in the processor's cache
FLEX_BLOCK = 128  # tokens of a block of FlexAttention's mask; a shorter row would get its kernel for decoding
LONG = 2048  # tokens from which a row of one path has kernels of its own: a compiled layer is compiled again for them
FEW_QUERIES = 16  # of tokens that a generation reads at once
KERNELS = [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]  # the fastest first
MODEL_TYPES = ("llama", "mistral", "qwen2", "qwen3")  # those whose attention is what `TreeAttention` computes
MORE_THAN_PRODUCTS = ("softcap", "s_aux", "position_bias")  # caps, sinks, biases of scores, as transformers has them


@dataclass(frozen=True)
class Block:
    """Queries start … stop - 1 of a row, one unbranched stretch of a path, and the rows of all keys of that path."""

    start: int
    stop: int
    keys: tuple[tuple[int, int], ...]  # row ranges [first, last), in the path's order; the last ends at `stop`

    @property
    def size(self) -> int:
        return self.stop - self.start

    @property
    def path(self) -> int:
        """How many keys."""
        return sum(last - first for first, last in self.keys)


def query_blocks(subtree_end_T: torch.Tensor, most: int = QUERIES) -> list[Block]:
    """The blocks of a row, in its order. Tokens whose subtrees end together lie on one path (`Pack.subtree_end`)."""
    ends = subtree_end_T.numpy()
    cuts = np.flatnonzero(np.diff(ends)) + 1
    path: list[tuple[int, int, int]] = []  # the stretches above: first row, last, the end of their subtrees
    blocks = []
    for first, last in zip([0, *cuts.tolist()], [*cuts.tolist(), len(ends)], strict=True):
        while path and path[-1][2] <= first:
            path.pop()
        above: list[tuple[int, int]] = []
        for begin, end, _ in path:
            joined = above and above[-1][1] == begin
            above[-1:] = [(above[-1][0], end)] if joined else [*above[-1:], (begin, end)]
        for start in range(first, last, most):
            stop = min(start + most, last)
            joined = above and above[-1][1] == first
            own = [(above[-1][0], stop)] if joined else [*above[-1:], (first, stop)]
            blocks.append(Block(start, stop, (*above[:-1], *own)))
        path.append((first, last, int(ends[first])))
    return blocks


def blocks_of_new(subtree_end_M: np.ndarray, known_M: np.ndarray) -> list[Block]:
    """The blocks of a forest's rows that are not known, for keys of which the known ones come first.

    Queries are numbered among the rows that are not known, keys as the known rows and then the others, both in the
    forest's order. What is above a known row is known.
    """
    known = int(known_M.sum())
    place_M = np.where(known_M, np.cumsum(known_M) - 1, known + np.cumsum(~known_M) - 1)
    blocks = []
    for block in query_blocks(torch.from_numpy(subtree_end_M)):
        start = block.start + int(known_M[block.start : block.stop].sum())
        if start == block.stop:
            continue
        keys: list[tuple[int, int]] = []
        for first, last in block.keys:
            new = first + int(known_M[first:last].sum())
            keys += [(int(place_M[a]), int(place_M[b - 1]) + 1) for a, b in ((first, new), (new, last)) if a < b]
        query = int(place_M[start]) - known
        blocks.append(Block(query, query + block.stop - start, tuple(keys)))
    return blocks


def layer_window(config, layer: int) -> int | None:
    """How many positions back a layer's queries see; None: all."""
    kinds, window = getattr(config, "layer_types", None), getattr(config, "sliding_window", None)
    return window if not kinds or kinds[layer] == "sliding_attention" else None


class TreeAttention(torch.autograd.Function):
    """softmax(q k^T scale) v, each query over the keys of its own path; the scores are computed again in backward."""

    @staticmethod
    def forward(ctx, q_GRTD, k_GTD, v_GTD, blocks: list[Block], scale: float, window: int | None):
        groups, repeats, _, width = q_GRTD.shape
        scaled, keys = _high(q_GRTD) * scale, _high(k_GTD)
        out_GRTD = torch.empty_like(q_GRTD)
        for block in blocks:
            weights = _weights(scaled, keys, block, window)
            values = torch.bmm(weights.to(v_GTD.dtype), _gather(v_GTD, block))
            out_GRTD[:, :, block.start : block.stop] = values.view(groups, repeats, block.size, width)
        ctx.save_for_backward(q_GRTD, k_GTD, v_GTD)
        ctx.blocks, ctx.scale, ctx.window = blocks, scale, window
        return out_GRTD

    @staticmethod
    def backward(ctx, grad_GRTD):
        q_GRTD, k_GTD, v_GTD = ctx.saved_tensors
        groups, repeats, _, width = q_GRTD.shape
        scaled, keys = _high(q_GRTD) * ctx.scale, _high(k_GTD)
        low = scaled.to(q_GRTD.dtype)
        grad_q = torch.empty_like(q_GRTD)
        grad_k, grad_v = torch.zeros_like(keys), torch.zeros_like(keys)
        for block in ctx.blocks:
            weights = _weights(scaled, keys, block, ctx.window)
            grad = _queries(grad_GRTD, block)
            to_values = torch.bmm(weights.to(grad.dtype).transpose(1, 2), grad)
            grad_weights = _high(torch.bmm(grad, _gather(v_GTD, block).transpose(1, 2)))
            grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype).to(grad.dtype)
            own = torch.bmm(grad_scores, _gather(k_GTD, block)) * ctx.scale
            grad_q[:, :, block.start : block.stop] = own.view(groups, repeats, block.size, width)
            to_keys = torch.bmm(grad_scores.transpose(1, 2), _queries(low, block))
            done = 0
            for first, last in block.keys:
                part = slice(done, done + last - first)
                grad_k[:, first:last] += to_keys[:, part]
                grad_v[:, first:last] += to_values[:, part]
                done = part.stop
        return grad_q, grad_k.to(k_GTD.dtype), grad_v.to(v_GTD.dtype), None, None, None


def _high(x: torch.Tensor) -> torch.Tensor:
    """In float32 at least."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _queries(x_GRTD: torch.Tensor, block: Block) -> torch.Tensor:
    """[G, R n, D]: a block's rows of all heads that share a key-value head."""
    rows = x_GRTD[:, :, block.start : block.stop]
    return rows.reshape(len(rows), -1, rows.shape[-1])


def _gather(x_GTD: torch.Tensor, block: Block) -> torch.Tensor:
    """[G, K, D]: the rows of a block's path."""
    parts = [x_GTD[:, first:last] for first, last in block.keys]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _weights(scaled_GRTD: torch.Tensor, k_GTD: torch.Tensor, block: Block, window: int | None) -> torch.Tensor:
    """float32 [G, R n, K]: how much each query takes of each key; rows add up to 1."""
    queries = _queries(scaled_GRTD, block)
    scores = torch.bmm(queries, _gather(k_GTD, block).transpose(1, 2))
    n, keys = block.size, block.path
    by_query = scores.view(len(scores), -1, n, keys)
    by_query[..., keys - n :] += _later(n)
    if window is not None and keys > window:
        by_query += torch.full((n, keys), -torch.inf).tril_(keys - n - window)
    return torch.softmax(scores, dim=-1)


@cache
def _later(n: int) -> torch.Tensor:
    """float32 [n, n]: -inf where a key of the block is later than the query, else 0."""
    return torch.full((n, n), -torch.inf).triu_(1)


def tree_attention(
    module,
    query,
    key,
    value,
    attention_mask,
    scaling=None,
    dropout=0.0,
    sliding_window=None,
    tree=None,
    shared_by=None,
    **kwargs,
):
    """Transformers' interface: query [1, H, T, D], key and value [1, G, T, D]; the output is [1, T, H, D].

    `tree` is a row's blocks, or its `flex_masks`; without it this is plain SDPA. `shared_by`, of a row that ranks share
    (`SharedRow.attention`), exchanges this rank's tokens for its heads, calls this with them, and exchanges back. The
    layer says its own window: asked for by the layer's number, it would make a compiled layer another one for each.

    Raises UserError for a layer whose scores are more than the product of queries and keys.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    for name in MORE_THAN_PRODUCTS:
        if kwargs.get(name) is not None:  # dropped, the model would be another one
            raise UserError(
                f"model type {module.config.model_type}: its attention takes {name}, which no kernel here does"
            )
    if shared_by is not None:
        settings = {"scaling": scaling, "dropout": dropout, "sliding_window": sliding_window, "tree": tree}
        return shared_by(module, query, key, value, attention_mask, **settings, **kwargs)
    if tree is None:
        few = 1 < query.shape[2] <= FEW_QUERIES and module.config.model_type in MODEL_TYPES
        if few and attention_mask is not None and attention_mask.shape[1] == 1 and not dropout:
            return _of_few_queries(query, key, value, attention_mask, scaling), None
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, dropout=dropout, **kwargs
        )
    if dropout:
        raise ValueError("tree attention has no dropout; the model's attention_dropout must be 0")
    _, heads, tokens, width = query.shape
    groups = key.shape[1]
    scale = width**-0.5 if scaling is None else scaling
    if isinstance(tree, dict):
        if tree[sliding_window] is None:
            return _of_one_path(query, key, value, scale).transpose(1, 2), None
        # a compiled layer compiles it with itself; on a CPU it stays PyTorch's plain version, slow and for tests
        alone = query.device.type == "cuda" and not torch.compiler.is_compiling()
        attend = _compiled_flex_attention() if alone else flex_attention
        out = attend(query, key, value, block_mask=tree[sliding_window], scale=scale, enable_gqa=groups != heads)
        return out.transpose(1, 2), None
    grouped = query[0].reshape(groups, heads // groups, tokens, width)
    out = TreeAttention.apply(grouped, key[0], value[0], tree, scale, sliding_window)
    return out.reshape(1, heads, tokens, width).transpose(1, 2), None


def _of_few_queries(query, key, value, mask, scaling: float | None) -> torch.Tensor:
    """[B, T, H, D] of few queries (B rows): SDPA with the heads that share keys as more queries of one head.

    As transformers does for a single query; for several it copies every key and value for each head. `mask` is
    [B, 1, T, K].
    """
    rows, heads, tokens, width = query.shape
    groups = key.shape[1]
    repeats = heads // groups
    together = query.reshape(rows, groups, repeats * tokens, width)
    out = scaled_dot_product_attention(together, key, value, attn_mask=mask.repeat(1, 1, repeats, 1), scale=scaling)
    return out.reshape(rows, heads, tokens, width).transpose(1, 2)  # a GPU's kernels give it in another layout


def _of_one_path(query, key, value, scale: float) -> torch.Tensor:
    """[1, H, T, D]: each token over all before it, by the fastest kernel there is."""
    repeats = query.shape[1] // key.shape[1]
    shared = query.dtype in (torch.bfloat16, torch.float16)  # others' kernels want keys for each head
    if not shared:
        key, value = (x.repeat_interleave(repeats, dim=1) for x in (key, value))
    with sdpa_kernel(KERNELS, set_priority=True):
        return scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scale, enable_gqa=shared and repeats > 1
        )


def flex_masks(
    pack: Pack, windows: Iterable[int | None], causal_kernels: bool = False
) -> dict[int | None, BlockMask | None]:
    """window -> FlexAttention's block mask of a row, made once for all layers that see as far.

    The row's length is a multiple of FLEX_BLOCK (`Pack.padded`). Which blocks of keys a block of queries sees is told
    from the blocks' bounds, without looking at every pair of tokens. With `causal_kernels` it is None where each token
    sees all before it (`_of_one_path`): the row is one long sample, and no longer than the window. What pads it then
    sees the sample, which changes nothing: none of it is a target, and no token of the sample sees it.
    """
    tokens = len(pack.tokens)
    one_path = causal_kernels and len(pack.samples) == 1 and tokens >= LONG
    return {
        window: None if one_path and tokens <= (window or tokens) else _block_mask(pack, window)
        for window in set(windows)
    }


def _block_mask(pack: Pack, window: int | None) -> BlockMask:
    ends, positions = pack.subtree_end, pack.positions
    ends_B, positions_B = ends.view(-1, FLEX_BLOCK), positions.view(-1, FLEX_BLOCK)
    first_B = torch.arange(0, len(ends), FLEX_BLOCK, device=ends.device)
    earlier = first_B[None, :] < first_B[:, None]
    some = earlier & (ends_B.amax(1)[None, :] > first_B[:, None])  # a key's subtree reaches into the queries' block
    every = earlier & (ends_B.amin(1)[None, :] >= first_B[:, None] + FLEX_BLOCK)
    if window is not None:  # of the depths: how far apart a query and a key of two blocks are at least, and at most
        some &= positions_B.amin(1)[:, None] - positions_B.amax(1)[None, :] < window
        every &= positions_B.amax(1)[:, None] - positions_B.amin(1)[None, :] < window
    some |= first_B[None, :] == first_B[:, None]

    def sees(_batch, _head, query, key):
        on_path = (key <= query) & (query < ends[key])
        return on_path if window is None else on_path & (positions[query] - positions[key] < window)

    return BlockMask.from_kv_blocks(*_listed(some & ~every), *_listed(every), BLOCK_SIZE=FLEX_BLOCK, mask_mod=sees)


def _listed(chosen_QK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(int32 [1, 1, Q], int32 [1, 1, Q, K]): how many blocks of keys each block of queries has, and which, first."""
    indices = chosen_QK.byte().argsort(dim=-1, descending=True, stable=True)
    return chosen_QK.sum(-1, dtype=torch.int32)[None, None], indices.int()[None, None]


@cache
def _compiled_flex_attention():
    return torch.compile(flex_attention, dynamic=True)


def register() -> None:
    """Makes both known to transformers, with SDPA's masks where there is no tree."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    for name in (NAME, FLEX):
        AttentionInterface.register(name, tree_attention)
        AttentionMaskInterface.register(name, sdpa_mask)
