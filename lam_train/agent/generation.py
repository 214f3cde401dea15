"""Answers of a model to prompts: shared beginnings once, then token by token in a batch that others may join.

A pass of the model also reads a few tokens that each answer is guessed to go on with, and writes as many tokens of it
as were guessed right, and one more. What an answer is does not depend on guesses: each token is chosen from the model's
own distribution after the tokens before it.

Legend: B answers under way, Q tokens that each reads in a pass, L longest prompt that joins, V vocabulary.
"""

import hashlib
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from transformers import PreTrainedModel

from lam_train.agent.answer_passes import passes_of
from lam_train.agent.answer_rows import AnswerRows
from lam_train.agent.guesses import Guesses
from lam_train.agent.prefix_cache import PrefixCache, tokens_in

KEPT = 2**30  # bytes of keys and values that a prefix cache keeps where nothing else is said
JOIN_PARTS = 4
"""Prompts that wait for a place join when so large a part of the places is free: their beginnings are read together."""
FEWEST_GUESSED = 3
GUESSED_AT_ONCE = {"cpu": 20, "cuda": 1024}
"""Tokens guessed for all answers together, at least FEWEST_GUESSED for each: more cost a device more than they save."""


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


@dataclass
class _Row:
    """A prompt and its answer as far as it is written."""

    prompt: list[int]
    draw: random.Random
    grammar: Grammar | None
    written: Written = field(default_factory=Written)

    @property
    def last(self) -> int:
        """The token that the model has not read yet."""
        return self.written.tokens[-1] if self.written.tokens else self.prompt[-1]

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
        cache_tokens: int | None = None,
        sampling: Sampling | None = None,
        speculative_tokens: int = 8,
        cuda_graphs: bool = True,
    ) -> None:
        self.model = model.eval()
        self.end_ids = frozenset(end_ids)
        self.max_new_tokens = max_new_tokens
        self.batch_size = batch_size
        self.cache = PrefixCache(model, tokens_in(model, KEPT) if cache_tokens is None else cache_tokens)
        self.sampling = sampling or Sampling()
        self.speculative_tokens = speculative_tokens  # guessed at a time at most, for one answer
        self.guesses = Guesses()
        self.passes = passes_of(model, 1 + speculative_tokens, cuda_graphs)
        self._asked: Counter[bytes] = Counter()

    def write(
        self,
        prompts: list[list[int]],
        grammars: Sequence[Grammar] | None = None,
        advance: Callable[[int], None] = lambda count: None,
    ) -> list[Written]:
        """An answer a prompt (token ids, at least two), in order; `grammars`: one a prompt.

        `advance` is told of so many more answers whenever some are complete.
        """
        batch = self.batch()
        answers = batch.add(prompts, grammars)
        while len(batch):
            ended = batch.write_tokens()
            if ended:
                advance(len(ended))
        return answers

    def batch(self) -> "ContinuousBatch":
        """An empty batch, which prompts may join at any time."""
        return ContinuousBatch(self)

    def draw(self, prompt: list[int]) -> random.Random:
        """What the next answer to this prompt draws from."""
        name = hashlib.sha256(torch.tensor(prompt).numpy().tobytes()).digest()
        self._asked[name] += self.sampling.temperature > 0
        return random.Random(f"{self.sampling.seed} {self._asked[name]} {name.hex()}")


class ContinuousBatch:
    """Answers under way: prompts join between any two passes, and answers that are complete leave at once.

    At most the generator's `batch_size` are written at a time; the others wait, and join several at once.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._waiting: deque[_Row] = deque()
        self._rows: list[_Row] = []
        self._held: AnswerRows  # of self._rows, where there are any

    def __len__(self) -> int:
        """Answers that are not complete."""
        return len(self._waiting) + len(self._rows)

    def add(self, prompts: list[list[int]], grammars: Sequence[Grammar] | None = None) -> list[Written]:
        """For each prompt (token ids, at least two) the answer that `write_tokens` fills; `grammars`: one each."""
        rows = [
            _Row(prompt, self._generator.draw(prompt), grammars[index] if grammars is not None else None)
            for index, prompt in enumerate(prompts)
        ]
        # Neighbours in this order share most: those that join together compute and read as little as they can.
        self._waiting += sorted(rows, key=lambda row: row.prompt)
        return [row.written for row in rows]

    @torch.inference_mode()
    def write_tokens(self) -> list[Written]:
        """Writes one token or more of every answer under way; returns the answers that are complete with them."""
        generator = self._generator
        self._let_join()
        if not self._rows:
            return []
        held, rows, guesses = self._held, self._rows, self._guess()
        width = 1 + max(map(len, guesses))
        read = [[row.last, *guess] + [0] * (width - 1 - len(guess)) for row, guess in zip(rows, guesses, strict=True)]
        counts = self._choose_all(generator.passes.logits(held, read), guesses)
        held.extend(counts)
        stays = [row.goes_on(generator.max_new_tokens) for row in rows]
        if not all(stays):
            kept = _without_holes(stays)
            held.keep(kept)
            self._rows = [rows[place] for place in kept]
            if not kept:
                generator.passes.take_back(held)
        complete = [row for row, stay in zip(rows, stays, strict=True) if not stay]
        for row in complete:
            generator.guesses.learn(row.prompt, row.written.tokens)
        return [row.written for row in complete]

    def _guess(self) -> list[list[int]]:
        """For each row the tokens that it may go on with."""
        generator = self._generator
        at_once = GUESSED_AT_ONCE.get(generator.model.device.type, GUESSED_AT_ONCE["cuda"])
        most = min(generator.speculative_tokens, max(FEWEST_GUESSED, at_once // len(self._rows)))
        guesses = []
        for row in self._rows:
            room = generator.max_new_tokens - len(row.written.tokens) - 1  # the last token is not read
            guesses.append(generator.guesses.after(row.prompt, row.written.tokens, min(most, room)))
        return guesses

    def _choose_all(self, logits_BQV: torch.Tensor, guesses: list[list[int]]) -> list[int]:
        """Writes every row's next tokens, as far as its guess is right and one more; how many of each."""
        counts = [0] * len(self._rows)
        going_on = list(range(len(self._rows)))
        for place in range(logits_BQV.shape[1]):
            rows = [self._rows[number] for number in going_on]
            self._choose(rows, logits_BQV[going_on, place].float())
            for number in going_on:
                counts[number] += 1
            going_on = [
                number
                for number, row in zip(going_on, rows, strict=True)
                if guesses[number][place : place + 1] == row.written.tokens[-1:] and not row.written.ended
            ]
            if not going_on:
                break
        return counts

    def _let_join(self) -> None:
        """Computes what is missing of prompts that wait. A prompt's last token is left: its logits are the first."""
        free = self._generator.batch_size - len(self._rows)
        if not self._waiting or free < min(len(self._waiting), -(-self._generator.batch_size // JOIN_PARTS)):
            return
        joining = [self._waiting.popleft() for _ in range(min(free, len(self._waiting)))]
        cache = self._generator.cache
        slots = cache.slots([row.prompt[:-1] for row in joining])
        lengths = [len(found) for found in slots]
        slots_BL = torch.zeros(len(slots), max(lengths), dtype=torch.long)  # padding reads slot 0, and is masked
        for row, found in enumerate(slots):
            slots_BL[row, : len(found)] = torch.from_numpy(found)
        slots_BL = slots_BL.to(self._generator.model.device)
        if not self._rows:
            self._held = self._generator.passes.rows(self._generator.batch_size)
        self._held.join(
            ([states.transpose(1, 2) for states in cache.gather(n, slots_BL)] for n in range(cache.layers)),
            lengths,
            max(lengths) + self._generator.max_new_tokens + self._generator.speculative_tokens,
        )
        self._rows += joining

    def _choose(self, rows: list[_Row], logits_BV: torch.Tensor) -> None:
        """Writes the next token of these rows."""
        logprobs_BV = logits_BV.log_softmax(-1)
        sampling = self._generator.sampling
        for place, row in enumerate(rows):
            if row.grammar is not None:
                room = self._generator.max_new_tokens - len(row.written.tokens)
                logits_BV[place] = row.grammar.restrict(logits_BV[place], room)
        if sampling.temperature == 0:
            tokens_B = logits_BV.argmax(-1)
        else:
            drawn_B = torch.tensor([row.draw.random() for row in rows], dtype=torch.float64)
            tokens_B = _sample(logits_BV / sampling.temperature, sampling.top_p, drawn_B)
        chosen_B = logprobs_BV.gather(-1, tokens_B[:, None])[:, 0].tolist()
        for row, token, logprob in zip(rows, tokens_B.tolist(), chosen_B, strict=True):
            row.written.tokens.append(token)
            row.written.logprobs.append(logprob)
            row.written.ended = token in self._generator.end_ids
            if row.grammar is not None:
                row.grammar.accept(token)


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
