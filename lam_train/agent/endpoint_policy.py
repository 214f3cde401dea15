"""A model behind a chat endpoint as a policy: with text alone, or shown the screen too."""

import base64
import threading
from collections.abc import Sequence

from lam_train.agent.policy import Decision
from lam_train.endpoint import Conversation, Endpoint, EndpointFailure, Reply
from lam_train.errors import Fault
from lam_train.language.step_format import AnswerError, StepFormat
from lam_train.language.steps import parse_answer, step_prompt
from lam_train.records import State

GIVES_UP_AFTER = 5
"""Questions in a row without an answer, each after all retries, before the run ends."""


class EndpointPolicy:
    """Decides by asking an endpoint; the endpoint's `usage` counts requests, tokens and cost.

    `sees`: show it a screenshot with each state; the pool (`rollouts`) takes them. Without an answer after all retries
    a decision's problem is "no answer: …"; after `GIVES_UP_AFTER` of those in a row a Fault ends the run.
    """

    concurrent = True

    def __init__(self, endpoint: Endpoint, format: StepFormat, sees: bool = False, name: str | None = None) -> None:
        self.name = name or endpoint.settings.model
        self.endpoint = endpoint
        self.sees = sees
        self._format = format
        self._lock = threading.Lock()
        self._unanswered = 0

    def decide(self, states: Sequence[State], screenshots: Sequence[bytes] | None = None) -> list[Decision]:
        """One decision a state, `endpoint.parallel` at once; `screenshots`: a PNG a state."""
        conversations = [
            self.conversation(state, screenshots[index] if screenshots is not None else None)
            for index, state in enumerate(states)
        ]
        if len(states) == 1:
            return [self._decision(states[0], self._ask(conversations[0]))]
        replies = self.endpoint.ask_all(conversations)
        return [self._decision(state, reply) for state, reply in zip(states, replies, strict=True)]

    def conversation(self, state: State, screenshot: bytes | None = None) -> Conversation:
        """What the endpoint is shown."""
        *before, last = step_prompt(state, self._format)
        if screenshot is None:
            return [*before, last]
        url = f"data:image/png;base64,{base64.b64encode(screenshot).decode()}"
        parts = [{"type": "text", "text": last["content"]}, {"type": "image_url", "image_url": {"url": url}}]
        return [*before, {"role": last["role"], "content": parts}]

    def _ask(self, conversation: Conversation) -> Reply | EndpointFailure:
        try:
            return self.endpoint.ask(conversation)
        except EndpointFailure as failure:
            return failure

    def _decision(self, state: State, reply: Reply | EndpointFailure) -> Decision:
        with self._lock:
            self._unanswered = self._unanswered + 1 if isinstance(reply, EndpointFailure) else 0
            unanswered = self._unanswered
        if isinstance(reply, EndpointFailure):
            if unanswered >= GIVES_UP_AFTER:
                raise Fault(
                    f"{self.endpoint.settings.base_url} gave no answer {unanswered} times in a row, each after all "
                    f"retries ({reply}); episodes that ended are kept, and the same command goes on with the others"
                )
            return Decision(action=None, problem=f"no answer: {reply}")
        try:
            action = parse_answer(reply.text, state.observation, self._format)
        except AnswerError as error:
            problem = f"{error.problem} (cut at max_tokens)" if reply.cut else error.problem
            return Decision(action=None, answer=reply.text, problem=problem, seconds=reply.seconds)
        return Decision(action=action, answer=reply.text, seconds=reply.seconds)
