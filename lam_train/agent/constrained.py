"""Answers that are always well-formed: each token is chosen among those that JSON Schema of the answers allows.

Needs the extra `constrained` (llguidance).
"""

import json
from collections.abc import Sequence
from functools import partial

import numpy as np
import torch

from lam_train.errors import UserError
from lam_train.language.step_format import StepFormat
from lam_train.language.steps import answer_schema, step_answer
from lam_train.records import Action, Observation

CLOSING_MARGIN = 8
"""Tokens beside those of the longest answer that says nothing, from which on what is open is closed."""


class AnswerGrammars:
    """Makes the grammar of an answer, which names only controls that are shown. Raises UserError without llguidance."""

    def __init__(self, tokenizer, end_ids: Sequence[int], format: StepFormat) -> None:
        try:
            import llguidance.hf
        except ImportError:
            raise UserError(
                "policy.local.constrained=true needs the package llguidance: pip install 'lam_train[constrained]'"
            ) from None
        self._matcher = llguidance.LLMatcher
        self._tokenizer = llguidance.hf.from_tokenizer(tokenizer, eos_token=list(end_ids))
        self._encode = partial(tokenizer, add_special_tokens=False)
        self._format = format
        self._quote, self._letter = _single_tokens(tokenizer, '"'), _single_tokens(tokenizer, "x")
        self._closing = [*end_ids, *self._quote, *_single_tokens(tokenizer, "}]")]

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
        return AnswerGrammar(self, matcher, self._close_at(observation))

    def closing(self, allowed_V: torch.Tensor) -> list[int]:
        """The tokens that close what is open. In a text, where any letter may follow, that is its quotation mark."""
        in_text = bool(allowed_V[self._letter].any())
        return self._quote if in_text else self._closing

    def _close_at(self, observation: Observation) -> int:
        """The tokens that it takes at most to end an answer: every key, the longest names, nothing in the texts."""
        longest = max(observation.controls, key=lambda control: len(control.control_text), default=None)
        named = {} if longest is None else {"control_label": longest.label, "control_name": longest.control_text}
        arguments = {"rows": 10, "columns": 10}
        action = Action(thought=".", function="insert_table", args=arguments, plan=["."], **named)
        return len(self._encode(step_answer(action, observation, self._format))["input_ids"]) + CLOSING_MARGIN


class AnswerGrammar:
    """What may follow in one answer."""

    def __init__(self, grammars: AnswerGrammars, matcher, close_at: int) -> None:
        self._grammars = grammars
        self._matcher = matcher
        self._close_at = close_at

    def restrict(self, logits_V: torch.Tensor, room: int) -> torch.Tensor:
        """The logits [V], -inf for what may not follow; near the end of the room, for what need not follow either."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        allowed_V = torch.from_numpy(np.unpackbits(bits, bitorder="little").astype(bool))
        allowed_V = torch.nn.functional.pad(allowed_V, (0, max(0, len(logits_V) - len(allowed_V))))[: len(logits_V)]
        if room <= self._close_at:
            closing_V = torch.zeros_like(allowed_V)
            closing_V[self._grammars.closing(allowed_V)] = True
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
