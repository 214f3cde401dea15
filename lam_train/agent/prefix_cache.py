"""Keys and values of prompts, computed once and found again by their tokens.

Prompts share beginnings: the instructions, the control list of a window, one state of several rollouts. A token's
keys and values depend on the tokens before it alone, so they are the same for every prompt with that beginning: reuse
is exact. As SGLang's RadixAttention does, the cache keeps a tree of tokens; here a node is one token, in a slot of a
pool. What a batch of prompts lacks is computed in one pass, as a tree too: no padding, and what is shared once.

Legend: N slots of the pool, P slots read by a pass, T tokens it computes, M = P + T; H key-value heads, D head size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel

from lam_train.model.attention import by_blocks, masks_by_layer, tree_inputs
from lam_train.model.tree_attention import blocks_of_new

ROOT = -1  # the parent of every first token
PASS_OVERHEAD = {"cpu": 32, "cuda": 2048}
"""What starting a pass costs, in tokens that the device computes meanwhile: rough, and wrong only in time."""
MASKED_ATTENTION = 3.0
"""How much slower a masked attention multiplies than a matrix does."""


@dataclass
class _Forest:
    """Prompts as one forest of tokens in depth-first order, each shared beginning once."""

    tokens_M: np.ndarray
    depth_M: np.ndarray  # a token's position
    end_M: np.ndarray  # one past the last row of the token's subtree
    paths: list[np.ndarray]  # the rows of each prompt


def _forest(prompts: list[list[int]]) -> _Forest:
    """`prompts` in ascending order, so that a subtree is contiguous."""
    tokens, depths, paths = [], [], []
    end = np.zeros(sum(map(len, prompts)), np.int64)
    before, path, count = np.empty(0, np.int64), np.empty(0, np.int64), 0
    for prompt in prompts:
        ids = np.asarray(prompt, np.int64)
        both = min(len(ids), len(before))
        differ = np.flatnonzero(ids[:both] != before[:both])
        shared = int(differ[0]) if len(differ) else both
        end[path[shared:]] = count
        path = np.concatenate([path[:shared], np.arange(count, count + len(ids) - shared)])
        tokens.append(ids[shared:])
        depths.append(np.arange(shared, len(ids)))
        paths.append(path)
        before, count = ids, count + len(ids) - shared
    end[path] = count
    return _Forest(np.concatenate(tokens), np.concatenate(depths), end[:count], paths)


class PrefixCache:
    """A pool of keys and values with the tree of tokens that they belong to. For one model, used by one thread.

    `max_tokens`: what is kept between calls; the beginnings that were asked for longest ago go first. A single call
    may need more, and gets it. `pass_tokens`: the most that several prompts compute at once.
    """

    def __init__(self, model: PreTrainedModel, max_tokens: int, pass_tokens: int = 4096) -> None:
        self._model = model
        self._max_tokens = max_tokens
        self._pass_tokens = pass_tokens
        self._overhead = PASS_OVERHEAD.get(model.device.type, PASS_OVERHEAD["cuda"])
        self._pairs = _pairs_a_token(model)
        self._by_blocks = by_blocks(model.device, model.config)
        self._keys_N: list[torch.Tensor] = []  # a layer's [N, H, D]
        self._values_N: list[torch.Tensor] = []
        self.computed = 0  # tokens, since the cache was made
        self.reused = 0
        self.clear()

    def clear(self) -> None:
        """Forgets everything: the model has changed."""
        self._slot_of: dict[tuple[int, int], int] = {}  # (parent's slot, token) -> slot
        self._key_of: dict[int, tuple[int, int]] = {}
        self._used: dict[int, int] = {}  # slot -> the last call that had it on a path
        self._free: list[int] = []
        self._size = 0
        self._call = 0

    def __len__(self) -> int:
        """Tokens kept."""
        return len(self._key_of)

    def slots(self, prompts: Sequence[list[int]]) -> list[np.ndarray]:
        """For each prompt (token ids, at least one) the slots of its tokens, in order; computes what is missing.

        The slots hold until the next call.
        """
        self._call += 1
        order = sorted(range(len(prompts)), key=lambda index: prompts[index])
        found: list[np.ndarray | None] = [None] * len(prompts)
        for first, last in pairwise(self._cuts([prompts[index] for index in order])):
            some = order[first:last]
            for index, slots in zip(some, self._pass([prompts[i] for i in some]), strict=True):
                found[index] = slots
        self._forget()
        return found

    def gather(self, layer: int, slots: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of one layer at `slots` [...]: each [..., H, D]."""
        return self._keys_N[layer][slots], self._values_N[layer][slots]

    @property
    def layers(self) -> int:
        """The model's layers that have keys and values."""
        return len(self._keys_N)

    # Which prompts go through the model together ----------------------------------------------------------------------

    def _cuts(self, prompts: list[list[int]]) -> list[int]:
        """Where the sorted prompts are cut into passes; the next pass reads what this one wrote.

        With a mask every new token is compared with every row of a pass, also of prompts that it has nothing to do
        with: prompts go together only where that costs less than a pass more.
        """
        cuts, new, rows, before = [0], 0, 0, []
        for index, prompt in enumerate(prompts):
            shared = _shared(prompt, before)
            missing, more = len(prompt) - max(self._known(prompt), shared), len(prompt) - shared
            together = self._cost(new + missing, rows + more)
            apart = self._cost(new, rows) + self._cost(missing, len(prompt))
            too_dear = together > apart and not self._by_blocks
            if index and (too_dear or new + missing > self._pass_tokens):
                cuts.append(index)
                new, rows, more = 0, 0, len(prompt)
            new, rows, before = new + missing, rows + more, prompt
        return [*cuts, len(prompts)]

    def _cost(self, new: int, rows: int) -> float:
        """Of a pass, in tokens through the model's matrices."""
        return self._overhead + new * (1 + rows / self._pairs) if new else 0.0

    def _known(self, prompt: list[int]) -> int:
        slot = ROOT
        for place, token in enumerate(prompt):
            slot = self._slot_of.get((slot, token))
            if slot is None:
                return place
        return len(prompt)

    # One pass ---------------------------------------------------------------------------------------------------------

    def _pass(self, prompts: list[list[int]]) -> list[np.ndarray]:
        forest = _forest(prompts)
        slots_M = np.empty(len(forest.tokens_M), np.int64)
        known_M = np.ones(len(forest.tokens_M), bool)
        open_path: list[int] = []
        for row, (token, depth) in enumerate(zip(forest.tokens_M.tolist(), forest.depth_M.tolist(), strict=True)):
            del open_path[depth:]
            key = (open_path[-1] if open_path else ROOT, token)
            slot = self._slot_of.get(key)
            if slot is None:
                slot, known_M[row] = self._take(key), False
            self._used[slot] = self._call
            slots_M[row] = slot
            open_path.append(slot)
        if not known_M.all():
            try:
                self._compute(forest, slots_M, known_M)
            except BaseException:  # out of memory, interrupted: the slots hold nothing
                for slot in slots_M[~known_M].tolist():
                    self._drop(slot)
                raise
        self.computed += int((~known_M).sum())
        self.reused += sum(map(len, prompts)) - int((~known_M).sum())
        return [slots_M[path] for path in forest.paths]

    def _compute(self, forest: _Forest, slots_M: np.ndarray, known_M: np.ndarray) -> None:
        """Runs the rows that are not known through the model, and writes their keys and values into their slots."""
        device = self._model.device
        new_T, past_P = np.flatnonzero(~known_M), np.flatnonzero(known_M)
        cache = DynamicCache()
        if len(past_P):
            read_P = torch.from_numpy(slots_M[past_P]).to(device)
            for layer in range(self.layers):
                keys, values = self.gather(layer, read_P)
                cache.update(keys.transpose(0, 1)[None], values.transpose(0, 1)[None], layer)
        if self._by_blocks and len(forest.paths) > 1:
            attention = tree_inputs(blocks_of_new(forest.end_M, known_M))
        else:
            attention = {"attention_mask": self._mask(forest, np.concatenate([past_P, new_T]), new_T)}
        with torch.inference_mode():
            self._model.base_model(
                input_ids=torch.from_numpy(forest.tokens_M[new_T])[None].to(device),
                position_ids=torch.from_numpy(forest.depth_M[new_T])[None].to(device),
                past_key_values=cache,
                use_cache=True,
                **attention,
            )
            write_T = torch.from_numpy(slots_M[new_T]).to(device)
            for layer, held in enumerate(cache.layers):
                for pool, states in ((self._keys_N, held.keys), (self._values_N, held.values)):
                    new = states[0, :, len(past_P) :].transpose(0, 1)
                    if len(pool) == layer:
                        pool.append(new.new_zeros(0, *new.shape[1:]))
                    if len(pool[layer]) < self._size:
                        rows = max(self._size, min(2 * len(pool[layer]), self._max_tokens))
                        grown = new.new_zeros(rows, *new.shape[1:])
                        grown[: len(pool[layer])] = pool[layer]
                        pool[layer] = grown
                    pool[layer][write_T] = new

    def _mask(self, forest: _Forest, columns_M: np.ndarray, new_T: np.ndarray):
        """The `attention_mask` of the rows that are computed, on keys in this order."""
        path_TM = (columns_M[None, :] <= new_T[:, None]) & (new_T[:, None] < forest.end_M[columns_M][None, :])
        distance_TM = forest.depth_M[new_T][:, None] - forest.depth_M[columns_M][None, :]

        def mask(window: int | None) -> torch.Tensor:
            allowed_TM = path_TM if window is None else path_TM & (distance_TM < window)
            return torch.from_numpy(allowed_TM)[None, None].to(self._model.device)

        return masks_by_layer(self._model.config, mask)

    # Slots ------------------------------------------------------------------------------------------------------------

    def _take(self, key: tuple[int, int]) -> int:
        if self._free:
            slot = self._free.pop()
        else:
            slot, self._size = self._size, self._size + 1
        self._slot_of[key], self._key_of[slot] = slot, key
        return slot

    def _drop(self, slot: int) -> None:
        del self._slot_of[self._key_of.pop(slot)], self._used[slot]
        self._free.append(slot)

    def _forget(self) -> None:
        """Frees what was used longest ago, all that is older than some call, until `max_tokens` are left.

        A token's ancestors are used whenever it is, so what is freed always holds whole subtrees. This call's own
        slots stay until the next.
        """
        if len(self) <= self._max_tokens:
            return
        calls, counts = np.unique(np.fromiter(self._used.values(), np.int64), return_counts=True)
        kept = np.cumsum(counts[::-1])[::-1]  # tokens used in this call or later
        enough = calls[(kept <= self._max_tokens) | (calls == self._call)][0]
        for slot in [slot for slot, call in self._used.items() if call < enough]:
            self._drop(slot)


def tokens_in(model: PreTrainedModel, size: int) -> int:
    """How many tokens' keys and values of a model fit into `size` bytes."""
    config = model.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    return size // (2 * config.num_hidden_layers * heads * _head_size(config) * model.dtype.itemsize)


def _pairs_a_token(model: PreTrainedModel) -> float:
    """How many query-key pairs cost as much as one token's way through the matrices of all layers.

    A parameter is 2 operations a token; a pair 4 times the heads' size in every layer (q·k, and its share of the sum).
    """
    config, embedding = model.config, model.get_input_embeddings().weight.numel()
    parameters = sum(parameter.numel() for parameter in model.base_model.parameters()) - embedding
    return parameters / (
        2 * config.num_hidden_layers * config.num_attention_heads * _head_size(config) * MASKED_ATTENTION
    )


def _head_size(config) -> int:
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


def _shared(one: list[int], other: list[int]) -> int:
    place = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        place += 1
    return place
