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
    """Decides many states at once, in order; keeps no memory of its own, so any state can be decided at any time."""

    name: str

    def decide(self, states: Sequence[State]) -> list[Decision]:
        """One decision a state."""
