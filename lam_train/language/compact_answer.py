"""The compact answer: one line of JSON with the paper's information; what is left out is restored exactly.

    {"on":"Bold"}                                            click_input on the control named Bold
    {"do":"select_text","text":"Quarterly report","plan":["click Bold"]}
    {"on":97,"do":"set_edit_text","text":"5 cm","end":true}  the control with label 97, and the request is done

| key | | left out |
|---|---|---|
| why | thought | "" |
| on | the control: its name, where that is one control's alone, else its label as a number | no control |
| name | control_name | the text of the control that `on` calls |
| do | function | click_input with a control, else "" |
| any argument of the function | args | not given |
| args | arguments that the function does not have | {} |
| end | true: FINISH | CONTINUE |
| plan | plan | [] |
"""

from pydantic import ValidationError

from lam_train.language.answer_text import json_object, refuse_unknown
from lam_train.language.control_handles import Handles, label_of
from lam_train.language.functions import FUNCTIONS
from lam_train.language.one_line import to_json
from lam_train.language.step_format import AnswerError
from lam_train.records import Action, Observation, reason_of

CLICK = "click_input"
KEYS = ("why", "on", "name", "do", "args", "end", "plan")  # in this order; the function's arguments stand behind `do`


def compact_answer(action: Action, observation: Observation) -> str:
    """The answer that is this action; `observation` is the one that the policy was shown."""
    return to_json(action_keys(action, *_control_keys(action, Handles(observation.controls))), tight=True)


def _control_keys(action: Action, handles: Handles) -> tuple[str | int | None, str | None]:
    """(on, name) of an action."""
    label, name = action.control_label, action.control_name
    if not label:
        return None, name or None
    control = handles.labelled(label)
    if control is not None:
        return handles.of(control), (None if name == control.control_text else name)
    if name == label and label_of(label) is None and handles.find(label) is None:
        return label, None  # no such control: the label is what the answer called it
    return f"#{label}", name or None


def action_keys(action: Action, on: str | int | None, name: str | None) -> dict:
    """The object of an action, in the order in which it is written."""
    keys: dict = {"why": action.thought} if action.thought else {}
    if on is not None:
        keys["on"] = on
    if name is not None:
        keys["name"] = name
    if action.function != (CLICK if on is not None else ""):
        keys["do"] = action.function
    function = FUNCTIONS.get(action.function)
    if function is not None and action.args.keys() <= function.arguments.keys():
        keys |= action.args
    elif action.args:
        keys["args"] = action.args
    if action.status == "FINISH":
        keys["end"] = True
    if action.plan:
        keys["plan"] = action.plan
    return keys


def action_of_keys(keys: dict) -> tuple[str | int | None, str | None, Action]:
    """(on, name, the action without its control) of such an object; raises AnswerError."""
    on, name, end = keys.get("on"), keys.get("name"), keys.get("end", False)
    if not (on is None or (isinstance(on, str | int) and not isinstance(on, bool))) or on == "":
        raise AnswerError("on is neither a control's name nor its number")
    if not isinstance(name, str | None):
        raise AnswerError("name is not a text")
    if not isinstance(end, bool):
        raise AnswerError("end is neither true nor false")
    function = keys.get("do", CLICK if on is not None else "")
    known = FUNCTIONS[function].arguments.keys() if isinstance(function, str) and function in FUNCTIONS else set()
    given = {key: value for key, value in keys.items() if key in known}
    refuse_unknown(keys, set(KEYS) | set(known))
    if "args" in keys and given:
        raise AnswerError("arguments stand both in args and beside it")
    values = {"thought": keys.get("why", ""), "function": function, "plan": keys.get("plan", [])}
    try:
        action = Action(args=keys.get("args", given), status="FINISH" if end else "CONTINUE", **values)
    except ValidationError as error:
        raise AnswerError(reason_of(error)) from None
    return on, name, action


def parse_compact_answer(text: str, observation: Observation) -> Action:
    """The action of an answer; `observation` is the one that the policy was shown. Raises AnswerError."""
    on, name, action = action_of_keys(json_object(text))
    if on is None:
        return action.model_copy(update={"control_name": name or ""})
    handles = Handles(observation.controls)
    control, label = handles.find(on), label_of(on)
    if control is not None:
        label, implied = control.label, control.control_text
    elif label is None:  # a name that no control has, or several: the application refuses it as it refuses any label
        label = implied = on
    else:
        implied = ""
    update = {"control_label": label, "control_name": implied if name is None else name}
    return action.model_copy(update=update)


def compact_schema(observation: Observation | None) -> dict:
    """JSON Schema of the answers; with an observation, of those that call one of its controls."""
    on: dict = {"anyOf": [{"type": "string", "minLength": 1}, {"type": "integer"}]}
    if observation is not None:
        on = {"enum": Handles(observation.controls).all()}
    why = {"why": {"type": "string"}}
    last = {"end": {"const": True}, "plan": {"type": "array", "items": {"type": "string"}, "minItems": 1}}
    forms = [_object(why | last, [])]
    for function in FUNCTIONS.values():
        arguments = {name: argument.schema for name, argument in function.arguments.items()}
        do = {} if function.name == CLICK else {"do": {"const": function.name}}
        required = [name for name, argument in function.arguments.items() if argument.required]
        required = [*(["on"] if function.on_control else []), *do, *required]
        forms.append(_object(why | {"on": on} | do | arguments | last, required))
    return {"anyOf": forms}


def _object(properties: dict, required: list[str]) -> dict:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
