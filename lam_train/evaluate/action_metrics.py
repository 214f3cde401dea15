"""Compares a decision with the expert's step: the paper's offline metrics (section 5.3.1), and the arguments."""

import math
import unicodedata

from lam_train.language.functions import FUNCTIONS
from lam_train.records import Action, Record, Step

OPERATION_CLASSES = {
    "click_input": "click",
    "set_edit_text": "type",
    "keyboard_input": "type",
    "select_text": "select",
    "select_table": "select",
}  # the paper's click, type and select; any other function is a class of its own
TEXT_ARGUMENTS = ("text", "keys")  # compared as they are written: "2" and "2.0" are different texts


class StepScore(Record):
    """What of a step is right. An answer that is no action is wrong in everything."""

    format: bool  # it could be read as an action
    object: bool  # the control is the expert's, or one that would have done the same; or both name none
    operation: bool  # the function is the expert's
    operation_class: bool  # the function is of the expert's class: click, type, select, …
    status: bool  # CONTINUE or FINISH, as the expert
    arguments: bool  # the function is the expert's and so are its arguments, normalised

    @property
    def step(self) -> bool:
        """Step success (SSR) as the paper has it: object, operation and status; arguments do not count."""
        return self.object and self.operation and self.status

    @property
    def strict_step(self) -> bool:
        """Step success with the right arguments."""
        return self.step and self.arguments


WRONG = StepScore(format=False, object=False, operation=False, operation_class=False, status=False, arguments=False)


def is_scored(step: Step) -> bool:
    """Whether a step of the expert is a reference: one that was refused, or no action, is history alone."""
    return not step.error and not step.problem


def no_answer(problem: str) -> bool:
    """Whether a problem is that the endpoint gave no answer after all retries: it tells nothing about the policy."""
    return problem.startswith("no answer")


def score_action(action: Action | None, expert: Step) -> StepScore:
    """How far `action` is the expert's; None is an answer that could not be read."""
    if action is None:
        return WRONG
    right = expert.action
    operation = action.function == right.function
    return StepScore(
        format=True,
        object=action.control_label in {right.control_label, *expert.acceptable},
        operation=operation,
        operation_class=operation_class(action.function) == operation_class(right.function),
        status=action.status == right.status,
        arguments=operation and normalised_arguments(action) == normalised_arguments(right),
    )


def operation_class(function: str) -> str:
    """click, type or select; else the function itself, "" for none."""
    return OPERATION_CLASSES.get(function, function)


def normalised_arguments(action: Action) -> dict[str, object]:
    """The arguments with defaults left out, and equal values made equal (see `_normalised`)."""
    known = FUNCTIONS[action.function].arguments if action.function in FUNCTIONS else {}
    defaults = {name: _normalised(name, one.default) for name, one in known.items() if not one.required}
    values = {name: _normalised(name, value) for name, value in action.args.items()}
    return {name: value for name, value in values.items() if name not in defaults or defaults[name] != value}


def _normalised(name: str, value: object) -> object:
    """Texts: Unicode NFC, runs of white space as one space, none at the ends; case matters.

    Elsewhere 2, 2.0 and "2" are one value, "true" is true, and the case of words does not matter.
    """
    if isinstance(value, dict):
        return {key: _normalised(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_normalised(name, item) for item in value]
    if name in TEXT_ARGUMENTS:
        return " ".join(unicodedata.normalize("NFC", value if isinstance(value, str) else str(value)).split())
    if isinstance(value, bool):
        return str(value).casefold()  # Python holds True and 1 for equal
    if isinstance(value, int):
        return _normalised(name, str(value))  # 10**400 is no float; as text it is compared digit by digit
    if isinstance(value, str):
        word = value.strip().casefold()
        try:
            number = float(word)
        except ValueError:
            return word
        return number if math.isfinite(number) else word
    return value
