"""The compact prompt: one line a thing, first what most samples share.

    Button: Open|Save|12=Left|13=Left||Cut   controls by type; `label=text` where the text does not say which one;
                                             labels count on, nothing between two marks is a label that is left out
    Button*: Bold|Italic                     * can be checked, + can be selected, = holds a value
    window: Letter.docx                      `modal:` for a dialog or an open menu
    97+[Title] Quarterly report              document text: label, kinds of state, style, text; left out are what is as
    [Table1.A1] Branch                       in the line before (of a cell in the same table, the table's name) and the
    [.B1] Visits                             label of a short text that is no other control's
    100[Text Body] The library welcomed 84,…
    checked: Bold                            the states, by name or, where there is none, `label=`
    disabled: Paste
    values: Font Name=Liberation Serif|Font Size=12
    request: Make the title bold
    did {"do":"select_text","text":"Quarterly report"}: selected
    plan: ["click Bold"]                     what was still to do after the last action

A line of ours begins with a type, a label or a word and a mark; text of others is escaped, so it is never such a line.
"""

import json
import re
from collections.abc import Iterator, Sequence

from lam_train.language.compact_answer import action_keys, action_of_keys
from lam_train.language.control_handles import Handles, label_handle, label_of
from lam_train.language.functions import FUNCTIONS
from lam_train.language.one_line import cut, one_line, original, split_at, to_json
from lam_train.language.step_format import StepFormat
from lam_train.records import Action, Control, Observation, Previous, State

ORDER = ("controls", "window", "text", "state", "request", "memory")  # by the measured tree ratio
SYSTEM = (
    "You operate the application {app}. Answer the state with the next action, one line of JSON: on: a control's name "
    "or number; do: a function, click_input unless said, beside its arguments; end: true when the request is done "
    "after it; plan: what is then left.\nFunctions: {functions}"
)
_APP = re.compile(r"You operate the application ((?:\\.|[^\\.])*)\. ")
_STATES = (("*", "checked"), ("+", "selected"), ("=", "value"))
_RUN = re.compile(r"([A-Z][A-Za-z]+)([*+=]*)(?: (\d+))?: ")
_TEXT = re.compile(r"(\d+|#(?:\\.|[^\\ \[*+.])*)?([*+.]*)(?:\[((?:\\.|[^\\\]])*)\])? ")
NO_VALUE, NONE_OF_THEM = "-", "."
MOST_GAPS = 8  # more labels left out than these begin a new line, with the next label


# Writing -------------------------------------------------------------------------------------------------------------


def compact_prompt(state: State, format: StepFormat, order: Sequence[str] = ORDER) -> list[dict[str, str]]:
    """The messages that a policy is shown; `order` is another one only where orders are compared."""
    functions = ", ".join(function.signature() for function in FUNCTIONS.values())
    parts = prompt_parts(state, format)
    return [
        {"role": "system", "content": SYSTEM.format(app=one_line(state.app, "."), functions=functions)},
        {"role": "user", "content": "\n".join(line for name in order for line in parts[name])},
    ]


def prompt_parts(state: State, format: StepFormat) -> dict[str, list[str]]:
    """The lines of each part of the user's message."""
    observation = state.observation
    handles = Handles(observation.controls)
    listed = [control for control in observation.controls if control.control_type != "Document"]
    texts = [control for control in observation.controls if control.control_type == "Document"]
    return {
        "controls": list(_control_lines(listed, handles)),
        "window": [f"{'modal' if observation.modal else 'window'}: {one_line(observation.window)}"],
        "text": list(_text_lines(texts, handles, format)),
        "state": list(_state_lines(observation.controls, handles)),
        "request": [f"request: {one_line(state.request)}"],
        "memory": list(_memory_lines(state, format)),
    }


def _marks(control: Control) -> str:
    return "".join(mark for mark, name in _STATES if getattr(control, name) is not None)


def _control_lines(controls: list[Control], handles: Handles) -> Iterator[str]:
    """Neighbours of one type and the same kinds of state on a line; labels count on from the control before."""
    line, kind, expected = "", None, 1
    for control in controls:
        number = label_handle(control.label)
        missing = number - expected if isinstance(number, int) else 0
        item = one_line(control.control_text, "|=")
        if not handles.by_name(control):
            item = f"{one_line(control.label, '|=')}={item}"
        if kind == (control.control_type, _marks(control)) and 0 <= missing <= MOST_GAPS:
            line += f"{'|' * missing}|{item}"
        else:
            if line:
                yield line
            kind = (control.control_type, _marks(control))
            line = f"{kind[0]}{kind[1]}{f' {number}' if missing else ''}: {item}"
        expected += missing + 1
    if line:
        yield line


def _text_lines(texts: list[Control], handles: Handles, format: StepFormat) -> Iterator[str]:
    """A paragraph or cell a line; its label where it is called by that, else what differs from the line before."""
    value_before: str | None = None
    marks_before, expected = "", 1
    for control in texts:
        number = label_handle(control.label)
        label = ""
        if number != expected or not handles.by_name(control):
            label = str(number) if isinstance(number, int) else one_line(number, " [*+.")
        marks = _marks(control).replace("=", "")
        kinds = "" if marks == marks_before else marks or NONE_OF_THEM
        style = "" if control.value == value_before else f"[{_style(control.value, value_before)}]"
        value_before, marks_before = control.value, marks
        expected = number + 1 if isinstance(number, int) else expected + 1
        yield f"{label}{kinds}{style} {one_line(cut(control.control_text, format.text_limit))}"


def _style(value: str | None, before: str | None) -> str:
    """A cell of the table of the cell before without the table's name: `.B1`."""
    if value is None:
        return NO_VALUE
    table = _table(before)
    if table and value.startswith(table):
        return f".{one_line(value[len(table) :], ']')}"
    return ("\\" if value[:1] in (NO_VALUE, ".") else "") + one_line(value, "]")


def _table(value: str | None) -> str:
    return value[: value.rindex(".") + 1] if value and "." in value else ""


def _state_lines(controls: list[Control], handles: Handles) -> Iterator[str]:
    def reference(control: Control) -> str:
        return one_line(control.control_text, "|=") if handles.by_name(control) else f"{one_line(control.label, '|=')}="

    for word, chosen in (
        ("checked", [c for c in controls if c.checked]),
        ("selected", [c for c in controls if c.selected]),
        ("disabled", [c for c in controls if not c.enabled]),
    ):
        if chosen:
            yield f"{word}: {'|'.join(map(reference, chosen))}"
    held = [c for c in controls if c.value is not None and c.control_type != "Document"]
    if held:
        yield f"values: {'|'.join(f'{reference(c)}={one_line(c.value, chr(124) + chr(61))}' for c in held)}"


def _memory_lines(state: State, format: StepFormat) -> Iterator[str]:
    shown = shown_history(state, format)
    if state.observation.result != (shown[-1].result if shown else ""):
        yield f"result: {one_line(cut(state.observation.result, format.result_limit))}"
    for previous in shown:
        done = to_json(_done(previous.action, format), tight=True)
        result = one_line(cut(previous.result, format.result_limit))
        yield f"{'refused' if previous.error else 'did'} {done}{f': {result}' if result else ''}"
    if state.plan:
        yield f"plan: {to_json(state.plan, tight=True)}"


def shown_history(state: State, format: StepFormat) -> list[Previous]:
    """The earlier actions that the format shows."""
    return state.previous if format.history is None else state.previous[len(state.previous) - format.history :]


def _done(action: Action, format: StepFormat) -> dict:
    """An earlier action as an answer; its label means nothing any more, its control's name does."""
    bare = action.model_copy(update={"thought": "", "plan": []})
    return action_keys(bare, cut(action.control_name, format.text_limit) or None, None)


# Reading -------------------------------------------------------------------------------------------------------------


def read_compact_prompt(messages: list[dict[str, str]]) -> State:
    """The state that a prompt shows; of earlier actions, what it shows of them."""
    app = _APP.match(messages[0]["content"])
    reader = _Reader()
    for line in messages[1]["content"].split("\n"):
        reader.line(line)
    return reader.state(original(app[1]))


class _Reader:
    """Lines in, a state out."""

    def __init__(self) -> None:
        self.controls: list[dict] = []
        self.value: str | None = None
        self.marks = ""
        self.expected = self.expected_text = 1
        self.seen: dict[str, str] = {}
        self.previous: list[Previous] = []

    def line(self, line: str) -> None:
        run, text = _RUN.match(line), _TEXT.match(line)
        word, _, rest = line.partition(": ")
        if run:
            self._run(run, line[run.end() :])
        elif text:
            self._text(text, line[text.end() :])
        elif line.startswith(("did ", "refused ")):
            self._earlier(line)
        else:
            self.seen[word] = rest

    def _run(self, run: re.Match, items: str) -> None:
        self.expected = int(run[3]) if run[3] else self.expected
        for item in split_at(items, "|"):
            if not item:
                self.expected += 1
                continue
            *label, text = split_at(item, "=")
            shown = original(label[0]) if label else str(self.expected)
            number = label_handle(shown)
            self.expected = number + 1 if isinstance(number, int) else self.expected + 1
            states = {name: ("" if mark == "=" else False) for mark, name in _STATES if mark in run[2]}
            self.controls.append({"label": shown, "control_text": original(text), "control_type": run[1], **states})

    def _text(self, text: re.Match, shown: str) -> None:
        self.marks = text[2].replace(NONE_OF_THEM, "") if text[2] else self.marks
        if text[3] == NO_VALUE:
            self.value = None
        elif text[3] is not None:
            self.value = (_table(self.value) if text[3][:1] == "." else "") + original(text[3].removeprefix("."))
        label = (label_of(original(text[1])) or text[1]) if text[1] else str(self.expected_text)
        number = label_handle(label)
        self.expected_text = number + 1 if isinstance(number, int) else self.expected_text + 1
        states = {name: False for mark, name in _STATES if mark in self.marks}
        control = {"label": label, "control_text": original(shown), "control_type": "Document", "value": self.value}
        self.controls.append({**control, **states})

    def _earlier(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        done, end = json.JSONDecoder().raw_decode(rest)
        name, _, action = action_of_keys(done)
        action = action.model_copy(update={"control_name": name or ""})
        result = original(rest[end:].removeprefix(": "))
        self.previous.append(Previous(action=action, result=result, error=word == "refused"))

    def state(self, app: str) -> State:
        controls = self._with_states()
        modal = "modal" in self.seen
        result = original(self.seen["result"]) if "result" in self.seen else ""
        if "result" not in self.seen and self.previous:
            result = self.previous[-1].result
        if "plan" in self.seen and self.previous:
            last = self.previous[-1]
            planned = last.action.model_copy(update={"plan": json.loads(self.seen["plan"])})
            self.previous[-1] = last.model_copy(update={"action": planned})
        observation = Observation(
            window=original(self.seen["modal" if modal else "window"]), controls=controls, modal=modal, result=result
        )
        request = original(self.seen["request"])
        return State(request=request, observation=observation, previous=self.previous, app=app)

    def _with_states(self) -> list[Control]:
        self.controls.sort(key=lambda c: handle if isinstance(handle := label_handle(c["label"]), int) else 1e9)
        handles = Handles([Control(**control) for control in self.controls])
        place = {control["label"]: control for control in self.controls}

        def found(parts: list[str]) -> dict:
            label = original(parts[0]) if len(parts) > 1 else handles.find(original(parts[0])).label
            return place[label]

        for word, value in (("checked", True), ("selected", True), ("disabled", False)):
            for item in split_at(self.seen[word], "|") if word in self.seen else []:
                found(split_at(item, "="))["enabled" if word == "disabled" else word] = value
        for item in split_at(self.seen["values"], "|") if "values" in self.seen else []:
            *parts, value = split_at(item, "=")
            found(parts)["value"] = original(value)
        return [Control(**control) for control in self.controls]
