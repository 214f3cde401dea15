"""Answers that are always well-formed: each token is chosen among those that JSON Schema of the answers allows.

Needs the extra `constrained` (llguidance).
"""

import json
from collections.abc import Sequence

import numpy as np
import torch

from lam_train.errors import UserError
from lam_train.language.step_format import StepFormat
from lam_train.language.steps import answer_schema
from lam_train.records import Observation

CLOSING_SHARE = 0.25
"""In this last part of an answer's room, what is open is closed as soon as it may be."""


class AnswerGrammars:
    """Makes the grammar of an answer, which names only controls that are shown. Raises UserError without llguidance."""

    def __init__(self, tokenizer, end_ids: Sequence[int], format: StepFormat, max_new_tokens: int) -> None:
        try:
            import llguidance.hf
        except ImportError:
            raise UserError(
                "policy.local.constrained=true needs the package llguidance: pip install 'lam_train[constrained]'"
            ) from None
        self._matcher = llguidance.LLMatcher
        self._tokenizer = llguidance.hf.from_tokenizer(tokenizer, eos_token=list(end_ids))
        self._format = format
        self._closing = [*end_ids, *_single_tokens(tokenizer, '"}]')]
        self._close_at = int(max_new_tokens * CLOSING_SHARE)

    def of(self, observation: Observation) -> "AnswerGrammar":
        """The grammar of one answer to a prompt that shows `observation`."""
        tight = self._format.kind == "compact"  # as `step_answer` writes it
        separators = {"item_separator": "," if tight else ", ", "key_separator": ":" if tight else ": "}
        grammar = self._matcher.grammar_from_json_schema(
            json.dumps(answer_schema(self._format, observation)), overrides={"whitespace_flexible": False, **separators}
        )
        matcher = self._matcher(self._tokenizer, grammar)
        if matcher.is_error():
            raise ValueError(f"the schema of the answers is no grammar: {matcher.get_error()}")
        return AnswerGrammar(matcher, self._closing, self._close_at)


class AnswerGrammar:
    """What may follow in one answer."""

    def __init__(self, matcher, closing: list[int], close_at: int) -> None:
        self._matcher = matcher
        self._closing = closing
        self._close_at = close_at

    def restrict(self, logits_V: torch.Tensor, room: int) -> torch.Tensor:
        """The logits [V], -inf for what may not follow; near the end of the room, for what need not follow either."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        allowed_V = torch.from_numpy(np.unpackbits(bits, bitorder="little").astype(bool))
        allowed_V = torch.nn.functional.pad(allowed_V, (0, max(0, len(logits_V) - len(allowed_V))))[: len(logits_V)]
        if room <= self._close_at:
            closing_V = torch.zeros_like(allowed_V)
            closing_V[self._closing] = True
            if (allowed_V & closing_V).any():
                allowed_V &= closing_V
        return logits_V.masked_fill(~allowed_V.to(logits_V.device), float("-inf"))

    def accept(self, token: int) -> None:
        """The answer goes on with this token, one that was allowed."""
        if not self._matcher.consume_token(token):
            raise ValueError(f"token {token} may not follow: {self._matcher.get_error()}")


def _single_tokens(tokenizer, characters: str) -> list[int]:
    """The ids of those characters that are tokens of their own."""
    ids = [tokenizer.convert_tokens_to_ids(character) for character in characters]
    return [token for token in ids if token is not None and token != tokenizer.unk_token_id]
