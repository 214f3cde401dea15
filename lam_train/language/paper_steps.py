"""The paper's format of a step (Appendix C): a JSON object a control, seven keys an answer.

    <Available Control Item:>
    {"label": "1", "control_text": "File", "control_type": "MenuItem"}
    {"label": "57", "control_text": "Bold", "control_type": "Button", "checked": false}
    {"window": "Letter.docx"}
    <User Request:>
    Make the title bold
    <Previous Actions:>
    {"control_name": "", "function": "select_text", "args": {"text": "Quarterly report"}, "result": "selected"}
    <Previous Plans:>
    ["click Bold"]

Beyond the paper: the states of a control where it has them, the focused window, and the results of the actions.
"""

import json

from pydantic import ValidationError

from lam_train.language.answer_text import json_object, refuse_unknown
from lam_train.language.functions import FUNCTIONS
from lam_train.language.one_line import cut, one_line, original, to_json
from lam_train.language.step_format import AnswerError, StepFormat
from lam_train.records import Action, Control, Observation, Previous, State, reason_of

TAGS = ("<Available Control Item:>", "<User Request:>", "<Previous Actions:>", "<Previous Plans:>")
KEYS = ("thought", "control_label", "control_name", "function", "args", "status", "plan")
TYPES = "Button, Edit, TabItem, ListItem, MenuItem, ScrollBar, TreeItem, Document, Hyperlink, ComboBox"
SYSTEM = """\
You operate the application {app} for a user, one action at a time. You are shown the controls that are visible now, \
the user's request, your previous actions with their results, and your previous plan. Decide the next action.

Controls have one of the types {types}.

An action calls one of these functions, on a control where it needs one:
{apis}

The status of an answer is CONTINUE where more actions are needed after this one, and FINISH where the request is done \
once this action is. The function is "" where nothing is to be done any more.

Answer with one JSON object, and nothing else, with these keys:
- thought: why this action is the next
- control_label: the label of the control; "" where the function needs none
- control_name: the control_text of that control
- function: the name of the function
- args: the function's arguments, an object
- status: CONTINUE or FINISH
- plan: a list of what is still to do after this action, empty when finished"""
_APP_BEFORE, _APP_AFTER = SYSTEM.split("{app}")[0], " for a user, "
_DEFAULTS = {"selected": None, "checked": None, "value": None, "enabled": True}


def paper_prompt(state: State, format: StepFormat) -> list[dict[str, str]]:
    """The messages that a policy is shown."""
    apis = "\n".join(f"- {function.signature()}: {function.what}" for function in FUNCTIONS.values())
    system = SYSTEM.format(app=one_line(state.app), types=TYPES, apis=apis)
    shown = state.previous if format.history is None else state.previous[len(state.previous) - format.history :]
    parts = (
        [*(_control(c, format) for c in state.observation.controls), _window(state.observation, shown, format)],
        [_unforged(one_line(state.request))],
        [_previous(previous, format) for previous in shown],
        [_data(state.plan)],
    )
    user = "\n".join(line for tag, lines in zip(TAGS, parts, strict=True) for line in (tag, *lines))
    return [{"role": "system", "content": system}, {"role": "user", "content": user}]


def _unforged(line: str) -> str:
    """A line in which nothing looks like one of our tags; the escape is JSON's own."""
    for tag in TAGS:
        line = line.replace(tag, f"\\u003c{tag[1:]}")
    return line


def _data(value: object) -> str:
    return _unforged(to_json(value))


def _control(control: Control, format: StepFormat) -> str:
    shown = control.model_dump()
    if control.control_type == "Document":
        shown["control_text"] = cut(control.control_text, format.text_limit)
    return _data({key: value for key, value in shown.items() if key not in _DEFAULTS or value != _DEFAULTS[key]})


def _window(observation: Observation, shown: list[Previous], format: StepFormat) -> str:
    window: dict = {"window": observation.window}
    if observation.modal:
        window["modal"] = True
    if observation.result != (shown[-1].result if shown else ""):
        window["result"] = cut(observation.result, format.result_limit)
    return _data(window)


def _previous(previous: Previous, format: StepFormat) -> str:
    action = previous.action
    shown: dict = {"control_name": cut(action.control_name, format.text_limit), "function": action.function}
    shown |= {"args": action.args, "result": cut(previous.result, format.result_limit)}
    if action.status == "FINISH":
        shown["status"] = "FINISH"
    if previous.error:
        shown["error"] = True
    return _data(shown)


def paper_answer(action: Action) -> str:
    """The answer that is this action."""
    return to_json({key: getattr(action, key) for key in KEYS})


def parse_paper_answer(text: str) -> Action:
    """The action of an answer; raises AnswerError. A label that is a JSON number is taken as its text."""
    found = json_object(text)
    refuse_unknown(found, set(KEYS))
    missing = [key for key in KEYS if key not in found]
    if missing:
        raise AnswerError(f"the key {missing[0]!r} is missing")
    if isinstance(found["control_label"], int) and not isinstance(found["control_label"], bool):
        found["control_label"] = str(found["control_label"])
    try:
        return Action(**found)
    except ValidationError as error:
        raise AnswerError(reason_of(error)) from None


def read_paper_prompt(messages: list[dict[str, str]]) -> State:
    """The state that a prompt shows; of earlier actions, what it shows of them."""
    app = messages[0]["content"].removeprefix(_APP_BEFORE).partition(_APP_AFTER)[0]
    parts: dict[str, list[str]] = {}
    for line in messages[1]["content"].split("\n"):
        if line in TAGS:
            lines = parts[line] = []
        else:
            lines.append(line)
    items, (request,), earlier, (plan,) = (parts[tag] for tag in TAGS)
    *controls, window = map(json.loads, items)
    previous = [_read_previous(json.loads(line)) for line in earlier]
    if previous:
        last = previous[-1]
        planned = last.action.model_copy(update={"plan": json.loads(plan)})
        previous[-1] = last.model_copy(update={"action": planned})
    window.setdefault("result", previous[-1].result if previous else "")
    observation = Observation(controls=[Control(**control) for control in controls], **window)
    return State(request=original(request), observation=observation, previous=previous, app=original(app))


def _read_previous(shown: dict) -> Previous:
    result, error = shown.pop("result"), shown.pop("error", False)
    return Previous(action=Action(**shown), result=result, error=error)


def paper_schema(observation: Observation | None) -> dict:
    """JSON Schema of the answers; with an observation, of those that name one of its labels or none."""
    text, any_label = {"type": "string"}, {"type": "string"}
    labels = any_label if observation is None else {"enum": ["", *(c.label for c in observation.controls)]}
    forms = []
    for name, function in {"": None, **FUNCTIONS}.items():
        arguments = function.arguments if function else {}
        args = {
            "type": "object",
            "properties": {key: argument.schema for key, argument in arguments.items()},
            "required": [key for key, argument in arguments.items() if argument.required],
            "additionalProperties": False,
        }
        properties = {
            "thought": text,
            "control_label": labels,
            "control_name": text,
            "function": {"const": name},
            "args": args,
            "status": {"enum": ["CONTINUE", "FINISH"]},
            "plan": {"type": "array", "items": text},
        }
        forms.append(
            {"type": "object", "properties": properties, "required": list(KEYS), "additionalProperties": False}
        )
    return {"anyOf": forms}
