"""Answers of a model to prompts: shared beginnings once, then token by token in a batch that shrinks.

Legend: B answers under way, L longest prompt, K columns of keys, H key-value heads, D head size, V vocabulary.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer

from lam_train.agent.prefix_cache import PrefixCache
from lam_train.model.attention import masks_by_layer


@dataclass
class Sampling:
    """How the next token is chosen from the model's distribution. Temperature 0 is greedy.

    A draw depends on the seed, the prompt and how often that prompt was answered before: not on the batch.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


class Grammar(Protocol):
    """What one answer may be (`constrained.py`)."""

    def restrict(self, logits_V: torch.Tensor, room: int) -> torch.Tensor:
        """The logits, -inf for what may not follow; the answer may become `room` tokens longer."""

    def accept(self, token: int) -> None:
        """The answer goes on with this token."""


@dataclass
class Written:
    """An answer's tokens, and the log-probability of each under the model's own distribution (temperature 1, whole)."""

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    ended: bool = False  # with an end-of-turn token, which stands in `tokens`; else it ran out of `max_new_tokens`


class _GrowingLayer(DynamicLayer):
    """Keys and values [rows, H, columns, D] in buffers with room for the whole answer: a new token copies nothing."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, length: int) -> None:
        super().__init__()
        self.buffers, self.rows, self.length = (keys, values), len(keys), length
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *_, **__):
        end = self.length + key_states.shape[-2]
        for buffer, states in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[: self.rows, :, self.length : end] = states
        self.length = end
        return tuple(buffer[: self.rows, :, :end] for buffer in self.buffers)

    def get_seq_length(self) -> int:
        return self.length

    def keep(self, rows: list[int]) -> None:
        """Only these rows go on, row rows[i] as row i; rows[i] >= i."""
        for place, row in enumerate(rows):
            if place != row:
                for buffer in self.buffers:
                    buffer[place, :, : self.length] = buffer[row, :, : self.length]
        self.rows = len(rows)


@dataclass
class _Row:
    """A prompt and its answer as far as it is written."""

    prompt: list[int]
    draw: random.Random
    grammar: Grammar | None
    written: Written = field(default_factory=Written)

    def goes_on(self, limit: int) -> bool:
        return not self.written.ended and len(self.written.tokens) < limit


class Generator:
    """A model that answers prompts. Used by one thread; puts the model into eval mode."""

    def __init__(
        self,
        model: PreTrainedModel,
        end_ids: Sequence[int],
        *,
        max_new_tokens: int,
        batch_size: int = 16,
        cache_tokens: int = 8192,
        sampling: Sampling | None = None,
    ) -> None:
        self.model = model.eval()
        self.end_ids = frozenset(end_ids)
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size
        self.cache = PrefixCache(model, cache_tokens)
        self.sampling = sampling or Sampling()
        self._asked: Counter[bytes] = Counter()

    def write(
        self,
        prompts: list[list[int]],
        grammars: Sequence[Grammar] | None = None,
        advance: Callable[[int], None] = lambda count: None,
    ) -> list[Written]:
        """An answer a prompt (token ids, at least two), in order; `grammars`: one a prompt.

        `advance` is told of so many more answers whenever a batch is written.
        """
        rows = [
            _Row(prompt, self._draw(prompt), grammars[index] if grammars is not None else None)
            for index, prompt in enumerate(prompts)
        ]
        # Neighbours in this order share most: a batch then computes and reads as little as it can.
        ordered = sorted(rows, key=lambda row: row.prompt)
        for start in range(0, len(ordered), self.batch_size):
            with torch.inference_mode():
                batch = ordered[start : start + self.batch_size]
                self._write_batch(batch)
            advance(len(batch))
        return [row.written for row in rows]

    def _draw(self, prompt: list[int]) -> random.Random:
        name = hashlib.sha256(torch.tensor(prompt).numpy().tobytes()).digest()
        self._asked[name] += self.sampling.temperature > 0
        return random.Random(f"{self.sampling.seed} {self._asked[name]} {name.hex()}")

    def _write_batch(self, rows: list[_Row]) -> None:
        """Fills the rows' answers. A prompt's last token is the first input: its logits are the answer's first."""
        device = self.model.device
        layers, starts = self._read_prompts([row.prompt[:-1] for row in rows])
        cache = Cache(layers=layers)
        last = [row.prompt[-1] for row in rows]
        while rows:
            columns_K = torch.arange(layers[0].length + 1, device=device)
            starts_B = torch.tensor(starts, device=device)

            def mask(window: int | None, columns_K=columns_K, starts_B=starts_B) -> torch.Tensor:
                allowed_BK = columns_K >= starts_B[:, None]
                if window is not None:
                    allowed_BK &= columns_K > columns_K[-1] - window
                return allowed_BK[:, None, None]

            logits_BV = self.model(
                input_ids=torch.tensor(last, device=device)[:, None],
                position_ids=(columns_K[-1] - starts_B)[:, None],
                attention_mask=masks_by_layer(self.model.config, mask),
                past_key_values=cache,
                use_cache=True,
            ).logits[:, -1]
            last = self._choose(rows, logits_BV.float())
            kept = _without_holes([row.goes_on(self.max_new_tokens) for row in rows])
            if len(kept) < len(rows):
                for layer in layers:
                    layer.keep(kept)
                rows, last, starts = ([some[place] for place in kept] for some in (rows, last, starts))

    def _read_prompts(self, prompts: list[list[int]]) -> tuple[list[_GrowingLayer], list[int]]:
        """(layers, first column of each row): the prompts' keys and values, right-aligned, with room for an answer."""
        slots = self.cache.slots(prompts)
        longest = max(map(len, slots))
        starts = [longest - len(found) for found in slots]
        slots_BL = torch.zeros(len(slots), longest, dtype=torch.long)  # padding reads slot 0, and is masked
        for row, (start, found) in enumerate(zip(starts, slots, strict=True)):
            slots_BL[row, start:] = torch.from_numpy(found)
        slots_BL = slots_BL.to(self.model.device)
        layers = []
        for layer in range(self.cache.layers):
            buffers = []
            for states in self.cache.gather(layer, slots_BL):  # [B, L, H, D]
                rows, _, heads, size = states.shape
                buffer = states.new_empty(rows, heads, longest + self.max_new_tokens, size)
                buffer[:, :, :longest] = states.transpose(1, 2)
                buffers.append(buffer)
            layers.append(_GrowingLayer(*buffers, longest))
        return layers, starts

    def _choose(self, rows: list[_Row], logits_BV: torch.Tensor) -> list[int]:
        """The next token of every row, which goes into its answer."""
        logprobs_BV = logits_BV.log_softmax(-1)
        for place, row in enumerate(rows):
            if row.grammar is not None:
                room = self.max_new_tokens - len(row.written.tokens)
                logits_BV[place] = row.grammar.restrict(logits_BV[place], room)
        if self.sampling.temperature == 0:
            tokens_B = logits_BV.argmax(-1)
        else:
            drawn_B = torch.tensor([row.draw.random() for row in rows], dtype=torch.float64)
            tokens_B = _sample(logits_BV / self.sampling.temperature, self.sampling.top_p, drawn_B)
        chosen_B = logprobs_BV.gather(-1, tokens_B[:, None])[:, 0].tolist()
        for row, token, logprob in zip(rows, tokens_B.tolist(), chosen_B, strict=True):
            row.written.tokens.append(token)
            row.written.logprobs.append(logprob)
            row.written.ended = token in self.end_ids
            if row.grammar is not None:
                row.grammar.accept(token)
        return tokens_B.tolist()


def _without_holes(stays: list[bool]) -> list[int]:
    """The rows that stay, the last ones in the place of those that go, so that few have to move."""
    count = sum(stays)
    later = [row for row, stay in enumerate(stays) if stay and row >= count]
    return [row if stays[row] else later.pop() for row in range(count)]


def _sample(logits_BV: torch.Tensor, top_p: float, drawn_B: torch.Tensor) -> torch.Tensor:
    """A token a row by inverse transform: the first whose cumulated probability exceeds drawn (in [0, 1)) times all.

    `top_p` < 1 leaves the most probable tokens that together reach it, at least one.
    """
    drawn_B = drawn_B.to(logits_BV.device)
    probabilities_BV = logits_BV.double().softmax(-1)
    if top_p < 1:
        probabilities_BV, order_BV = probabilities_BV.sort(-1, descending=True)
        before_BV = probabilities_BV.cumsum(-1) - probabilities_BV
        probabilities_BV = probabilities_BV.masked_fill(before_BV >= top_p, 0.0)
    sums_BV = probabilities_BV.cumsum(-1)
    # A sum that ends in zeros stays at its maximum, so a token of probability 0 is never the first to exceed.
    picked_B = torch.searchsorted(sums_BV, drawn_B[:, None] * sums_BV[:, -1:], right=True)
    picked_B = picked_B.clamp(max=logits_BV.shape[-1] - 1)
    return (order_BV.gather(-1, picked_B) if top_p < 1 else picked_B)[:, 0]
