"""How a step is written: the settings, and the error for an answer that is no action."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from lam_train.settings import Settings


class StepFormat(Settings):
    """How a state becomes a prompt and an action an answer; a model is shown what it was trained on."""

    kind: Literal["paper", "compact"] = "paper"
    """`paper`: Appendix C, a JSON object a control and seven keys an answer; `compact`: the same in fewer tokens"""
    text_limit: Annotated[int, Field(ge=40)] | None = None
    """characters shown of a document paragraph or cell, at least 40 (shorter texts are names); null: all"""
    result_limit: PositiveInt | None = 400
    """characters shown of an action's result; null: all"""
    history: NonNegativeInt | None = None
    """how many of the last actions are shown; null: all"""
    thoughts: bool = True
    """learn to write the thought; false: answers leave it empty"""


class AnswerError(Exception):
    """A model's text is no action. `problem` says why, beginning with "bad format: "."""

    def __init__(self, reason: str) -> None:
        self.problem = f"bad format: {reason}"
        super().__init__(self.problem)
