"""The embedded expert: no network, no model; what it understands it does the same way every time."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from lam_train.agent.policy import Decision
from lam_train.apps.writer.expert import procedures_document, procedures_text
from lam_train.apps.writer.expert.grammar import read_request
from lam_train.apps.writer.expert.procedure import Intent, NoPlan, next_action, still_to_do
from lam_train.records import State

PROCEDURES = procedures_text.PROCEDURES | procedures_document.PROCEDURES


class ManualExpert:
    """A policy for Writer (protocol: `lam_train.agent.policy.Policy`).

    It sees what any policy sees: request, screen, earlier actions. Where a part of the request is outside its
    grammar, or an action that it needs cannot be done, its decision has no action and the problem "no plan: why".
    """

    name = "manual"

    def decide(self, states: Sequence[State]) -> list[Decision]:
        return [self._decide(state) for state in states]

    def _decide(self, state: State) -> Decision:
        started = time.perf_counter()
        try:
            left = still_to_do(procedure_of(state.request), state.previous)
            action, problem = next_action(left, state.observation), ""
        except NoPlan as reason:
            action, problem = None, f"no plan: {reason}"
        return Decision(action=action, problem=problem, seconds=time.perf_counter() - started)


@lru_cache(maxsize=4096)
def procedure_of(request: str) -> tuple[Intent, ...]:
    """All that a request needs, in order. Raises NoPlan where it is not understood, or asks what no procedure does."""
    subtasks = read_request(request)
    if subtasks is None:
        raise NoPlan("the request is not understood")
    intents: list[Intent] = []
    for subtask in subtasks:
        if subtask.operation not in PROCEDURES:
            raise NoPlan(f"{subtask.operation} is not practised")
        thought = subtask.operation.replace("_", " ")
        intents += [replace(intent, thought=thought) for intent in PROCEDURES[subtask.operation](subtask)]
    return tuple(intents)
