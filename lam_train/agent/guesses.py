"""Guesses of how an answer goes on, from answers that were written before.

An agent's answers repeat: the same keys, functions and words in ever new order. What followed an answer's last tokens
the last time is guessed to follow again, and the model reads the guess in the pass in which it writes the next token
(speculative decoding; as prompt lookup and SuffixDecoding do it, without a second model).
"""

from collections.abc import Sequence

SUFFIXES = (8, 4, 2, 1)
"""How many last tokens are looked up, the longest that is known first."""
REMEMBERED = 200_000
"""Suffixes remembered: those of the last 25,000 to 50,000 tokens of answers, some tens of megabytes."""


class Guesses:
    """What followed which tokens last. The older half is forgotten when the younger is full."""

    def __init__(self) -> None:
        # the last tokens -> an answer with the end of its prompt, and the place in it that followed
        self._young: dict[tuple[int, ...], tuple[list[int], int]] = {}
        self._old: dict[tuple[int, ...], tuple[list[int], int]] = {}

    def learn(self, prompt: Sequence[int], answer: Sequence[int]) -> None:
        """An answer (token ids) that was written to a prompt."""
        begin = list(prompt[-SUFFIXES[0] :])
        tokens = begin + list(answer)
        for place in range(len(begin), len(tokens)):
            for length in SUFFIXES:
                if length <= place:
                    self._young[tuple(tokens[place - length : place])] = (tokens, place)
        if len(self._young) > REMEMBERED // 2:
            self._old, self._young = self._young, {}

    def after(self, prompt: Sequence[int], answer: Sequence[int], count: int) -> list[int]:
        """At most `count` tokens that may follow the answer as far as it is written; none where nothing is known."""
        last = [*prompt[-SUFFIXES[0] :], *answer][-SUFFIXES[0] :]
        for length in SUFFIXES:
            key = tuple(last[-length:])
            found = self._young.get(key) or self._old.get(key)
            if found is not None and length <= len(last):
                tokens, place = found
                return tokens[place : place + count]
        return []
