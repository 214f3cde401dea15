"""What decides: a policy maps states to decisions. Local models, endpoints and rule-based experts are policies."""

from collections.abc import Sequence
from typing import Protocol

from lam_train.records import Action, Record, State


class Decision(Record):
    """What a policy answers to one state."""

    action: Action | None  # None: no action, for the reason in `problem`
    answer: str = ""  # its text as written
    problem: str = ""  # "bad format: …", "no plan: …": why there is no action
    prompt_tokens: list[int] = []
    answer_tokens: list[int] = []
    logprobs: list[float] = []
    seconds: float = 0.0


class Policy(Protocol):
    """Decides many states at once, in order; keeps no memory of its own, so any state can be decided at any time.

    It may have a method `deciding()` that returns an empty `Deciding`.
    """

    name: str

    def decide(self, states: Sequence[State]) -> list[Decision]:
        """One decision a state."""


class Deciding(Protocol):
    """Decisions under way: states join at any time, and no decision waits for the slowest of a batch."""

    def __len__(self) -> int:
        """States that are not decided."""

    def ask(self, states: Sequence[State]) -> list[int]:
        """A number for each state, under which its decision will come."""

    def advance(self) -> list[tuple[int, Decision]]:
        """Works on all of them for a moment (the time of a token); the decisions that are made with it."""


class AtOnce:
    """The `Deciding` of any policy: what is asked until the next moment is decided in one call."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self._asked, self._count = policy, {}, 0

    def __len__(self) -> int:
        return len(self._asked)

    def ask(self, states: Sequence[State]) -> list[int]:
        numbers = list(range(self._count, self._count + len(states)))
        self._asked |= zip(numbers, states, strict=True)
        self._count += len(states)
        return numbers

    def advance(self) -> list[tuple[int, Decision]]:
        asked, self._asked = self._asked, {}
        return list(zip(asked, self._policy.decide(list(asked.values())), strict=True)) if asked else []
