"""A model's own answers to stored states, as samples to learn from: no application is needed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lam_train.agent.local_policy import LocalPolicy
from lam_train.agent.policy_settings import LocalPolicySettings
from lam_train.language.conversation import Language
from lam_train.language.sample import Sample, Segment
from lam_train.language.step_format import StepFormat
from lam_train.records import Record, State
from lam_train.train.progress import Progress


@dataclass(frozen=True)
class NamedState:
    """A state that was met; `id` is that of the step: TRAJECTORY/NUMBER."""

    id: str
    state: State
    task: str
    trajectory: str


class Answered(Record):
    """An answer to a stored state, token for token."""

    id: str  # STATE#NUMBER
    state: str
    task: str
    prompt_tokens: list[int]
    answer_tokens: list[int]
    answer: str  # its text
    ended: bool  # with an end-of-turn token
    problem: str  # why it is no action; empty: it is one

    def sample(self) -> Sample:
        """Prompt and answer; each answer token is a target that weighs 1 / tokens, so an answer weighs 1."""
        read = Segment(np.asarray(self.prompt_tokens, np.int32))
        learned = Segment(np.asarray(self.answer_tokens, np.int32), 1.0 / len(self.answer_tokens))
        return Sample(self.id, (read, learned), self.task, self.id)


def answer_states(
    model,
    language: Language,
    format: StepFormat,
    settings: LocalPolicySettings,
    states: Sequence[NamedState],
    answers: int,
    label: str,
    shown: bool = True,
) -> list[Answered]:
    """`answers` sampled answers to each state; `label` is put into the ids: STATE#LABEL.NUMBER.

    Puts the model into eval mode. The answers to a state are decided together: its prompt is read once. A state whose
    prompt does not fit, however much it is shortened, has no answers. `shown`: with a progress bar.
    """
    policy = LocalPolicy(model, language, format, settings)
    asked = [state for state in states for _ in range(answers)]
    with Progress(len(asked), shown=shown, what="sampling", unit="answer") as progress:
        decisions = policy.decide([s.state for s in asked], progress.advance_by)
    found = []
    for place, (state, decision) in enumerate(zip(asked, decisions, strict=True)):
        if not decision.answer_tokens:
            continue
        found.append(
            Answered(
                id=f"{state.id}#{label}.{place % answers}",
                state=state.id,
                task=state.task,
                prompt_tokens=decision.prompt_tokens,
                answer_tokens=decision.answer_tokens,
                answer=decision.answer,
                ended=decision.answer_tokens[-1] in policy.end_ids,
                problem=decision.problem,
            )
        )
    return found


def valid_rate(answers: Sequence[Answered]) -> float:
    """The share of answers that are an action in the format."""
    return sum(not answer.problem for answer in answers) / len(answers)
