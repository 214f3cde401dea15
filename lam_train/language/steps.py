"""A step as text: the state as a prompt, the action as an answer, and both back (docs/step_format.md)."""

from lam_train.language.compact_answer import compact_answer, compact_schema, parse_compact_answer
from lam_train.language.compact_prompt import compact_prompt, read_compact_prompt
from lam_train.language.paper_steps import (
    paper_answer,
    paper_prompt,
    paper_schema,
    parse_paper_answer,
    read_paper_prompt,
)
from lam_train.language.step_format import AnswerError, StepFormat
from lam_train.records import Action, Observation, Previous, State

__all__ = [
    "AnswerError",
    "StepFormat",
    "answer_schema",
    "parse_answer",
    "read_state",
    "remembered",
    "step_answer",
    "step_prompt",
]


def step_prompt(state: State, format: StepFormat) -> list[dict[str, str]]:
    """The messages, system and user, that a policy is shown."""
    return compact_prompt(state, format) if format.kind == "compact" else paper_prompt(state, format)


def step_answer(action: Action, observation: Observation, format: StepFormat) -> str:
    """The answer that is this action, to a prompt that shows `observation`."""
    if not format.thoughts:
        action = action.model_copy(update={"thought": ""})
    return compact_answer(action, observation) if format.kind == "compact" else paper_answer(action)


def parse_answer(text: str, observation: Observation, format: StepFormat) -> Action:
    """The action of a model's text, which is read as JSON and never evaluated.

    `observation` is the one that the prompt shows: where controls were left out (`shortening.py`), without them.
    Prose or a code fence around the JSON object is passed over. A control or a function that does not exist is no
    error of the format: the application refuses it. Raises AnswerError.
    """
    return parse_compact_answer(text, observation) if format.kind == "compact" else parse_paper_answer(text)


def answer_schema(format: StepFormat, observation: Observation | None = None) -> dict:
    """JSON Schema of the answers, for constrained decoding; with an observation, only its controls can be named."""
    return compact_schema(observation) if format.kind == "compact" else paper_schema(observation)


def read_state(messages: list[dict[str, str]], format: StepFormat) -> State:
    """The state that a prompt shows: `remembered` of the one it was written from, where no limit cut anything."""
    return read_compact_prompt(messages) if format.kind == "compact" else read_paper_prompt(messages)


def remembered(state: State) -> State:
    """What a prompt tells of a state: of earlier actions no thoughts, labels or plans but the last one's plan."""
    last = len(state.previous) - 1
    previous = [_remembered(earlier, index == last) for index, earlier in enumerate(state.previous)]
    return state.model_copy(update={"previous": previous})


def _remembered(earlier: Previous, is_last: bool) -> Previous:
    plan = earlier.action.plan if is_last else []
    forgotten = {"thought": "", "control_label": "", "plan": plan}
    return earlier.model_copy(update={"action": earlier.action.model_copy(update=forgotten)})
