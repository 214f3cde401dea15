"""The paper's actions: what each takes, and the requests to LibreOffice that do it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lam_train.apps.writer.controls import Screen
from lam_train.apps.writer.keyboard import ALT, CTRL, SHIFT, strokes
from lam_train.apps.writer.mistakes import Mistake
from lam_train.records import Action, Control

SETTLE = 2  # rounds of the event queue after an act
LONGEST_TEXT = 20_000  # characters
MOST_CELLS = 1_000
SHOWN = 200  # characters of a text that a result repeats


@dataclass(frozen=True)
class Act:
    """What an action comes to: requests for LibreOffice, and the result's text."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    result: str = ""
    refused: str = ""  # the result when the last request's value is false
    shows: str = ""  # the result is the last request's value, a list, under this name


def request(
    do: str, settle: int = 0, whole: bool = False, until_still: bool = False, **arguments: Any
) -> dict[str, Any]:
    """A request for `inside/macro.py`: a method of Desk; the rounds of the event queue to let pass after it; whether
    to wait for its end although it lets events pass itself; whether to repeat it until its value no longer changes."""
    return {"do": do, "with": arguments, "settle": settle, "whole": whole, "until_still": until_still}


def act_of(action: Action, screen: Screen) -> Act:
    """What to do for an action on this screen. Raises Mistake, with a text for the model, when it is invalid."""
    if action.function == "":
        return Act()
    if action.function not in FUNCTIONS:
        raise Mistake(f"unknown function {action.function!r}; known are {', '.join(FUNCTIONS)}")
    function, parameters = FUNCTIONS[action.function]
    arguments = checked_arguments(action, parameters)
    control = None
    if action.control_label:
        control = screen.observation.control(action.control_label)
        if control is None:
            raise Mistake(f"there is no control with label {action.control_label!r}")
        if not control.enabled and action.function not in RESULTS_ONLY:
            raise Mistake(f"{control.control_type} {shown(control.control_text)} is disabled")
    elif action.function in NEEDS_CONTROL:
        raise Mistake(f"{action.function} needs a control_label")
    return function(screen, control, **arguments)


def checked_arguments(action: Action, parameters: dict[str, tuple[type, Any]]) -> dict[str, Any]:
    """The arguments with defaults filled in, their names and types checked."""
    unknown = set(action.args) - set(parameters)
    if unknown:
        known = ", ".join(parameters) or "none"
        raise Mistake(f"{action.function}: unknown argument {', '.join(sorted(unknown))}; it takes {known}")
    arguments = {}
    for name, (kind, default) in parameters.items():
        value = action.args.get(name, default)
        if value is REQUIRED:
            raise Mistake(f"{action.function} needs the argument {name} ({KINDS[kind]})")
        if type(value) is not kind:
            raise Mistake(f"{action.function}: {name} must be {KINDS[kind]}, not {value!r:.60}")
        if kind is str and len(value) > LONGEST_TEXT:
            raise Mistake(f"{action.function}: {name} has {len(value)} characters (at most {LONGEST_TEXT})")
        arguments[name] = value
    return arguments


def shown(text: str) -> str:
    return f'"{text if len(text) <= SHOWN else text[:SHOWN] + "…"}"'


def typing(keystrokes: list[list[Any]]) -> list[dict[str, Any]]:
    """Requests that press keys: runs of text at once, other keys one by one, since Writer carries out a command
    after the text that is already waiting."""
    parts: list[list[list[Any]]] = []
    for stroke in keystrokes:
        is_text = bool(stroke[1]) and not stroke[2] & (CTRL | ALT)
        if is_text and parts and parts[-1][-1][1]:
            parts[-1].append(stroke)
        else:
            parts.append([stroke])
    return [request("press", SETTLE, keystrokes=part) for part in parts]


# --- the functions, in the paper's order


def click_input(screen: Screen, control: Control, button: str, double: bool) -> Act:
    if button not in ("left", "right"):
        raise Mistake(f"click_input: button must be left or right, not {button!r}")
    node = screen.node(control.label)
    handle, role = node["handle"], node["role"]
    if button == "right":
        raise Mistake("click_input: there is no context menu; the menu bar has the same commands")
    if role == "MENU":
        return Act([request("open_menu", SETTLE, handle=handle)])
    if screen.kind == "menu":
        return Act([request("click", SETTLE, handle=handle)])
    if role == "PAGE_TAB":
        return Act([request("tab", SETTLE, handle=handle)])
    if role == "DOCUMENT" and double:
        return Act([request("select_item", SETTLE, handle=handle)], f"selected {shown(control.control_text)}")
    if role == "DOCUMENT":
        return Act([request("cursor_to", SETTLE, handle=handle)])
    if control.control_type == "ComboBox":
        return Act([request("focus", SETTLE, handle=handle), request("choices", handle=handle)], shows="choices")
    if control.control_type in ("Edit", "ScrollBar"):
        return Act([request("focus", SETTLE, handle=handle)])
    if role in WITH_MOUSE and screen.kind == "dialog":
        return Act([request("choose", SETTLE, handle=handle, count=2 if double else 1)])
    return Act([request("click", SETTLE, handle=handle)])


def set_edit_text(screen: Screen, control: Control, text: str) -> Act:
    node = screen.node(control.label)
    handle = node["handle"]
    if control.control_type == "Document":
        if any(ord(character) < 32 and character not in "\n\t" for character in text):
            raise Mistake("set_edit_text: text has control characters")
        return Act([request("replace_item", SETTLE, handle=handle, text=text)])
    if control.control_type not in ("Edit", "ComboBox"):
        raise Mistake(f"set_edit_text: a {control.control_type} holds no text; it works on Edit, ComboBox and Document")
    typed = strokes(literal(text))
    everything = ["A", "", CTRL]
    if "command" in node:  # a toolbar's combo box takes its value on Enter
        keystrokes = [everything, *typed, ["RETURN", "", 0]]
        return Act([request("focus", 1, handle=handle), *typing(keystrokes)])
    if control.control_type == "ComboBox" and not node.get("editable"):
        return Act(
            [request("choose_text", SETTLE, handle=handle, text=text)],
            refused=f"{shown(control.control_text)} has no choice {shown(text)}",
        )
    keystrokes = [everything, *(typed or [["DELETE", "", 0]]), ["TAB", "", 0]]
    return Act([request("focus", 1, handle=handle), *typing(keystrokes)])


def annotation(screen: Screen, control: Control | None, control_labels: list) -> Act:
    unknown = [label for label in control_labels if screen.node(str(label)) is None]
    if unknown:
        raise Mistake(f"annotation: there is no control with label {', '.join(map(repr, unknown))}")
    marked = [screen.observation.control(str(label)) for label in control_labels]
    return Act(result="; ".join(f"{control.label} {control.control_type} {control.control_text}" for control in marked))


def summary(screen: Screen, control: Control | None, text: str) -> Act:
    return Act(result=text)


def texts(screen: Screen, control: Control | None) -> Act:
    if control is None:
        controls = screen.observation.controls
        return Act(result="\n".join(c.control_text for c in controls if c.control_type == "Document"))
    if control.control_type in ("Edit", "ComboBox"):
        return Act(result=control.value or "")
    return Act(result=control.control_text)


def wheel_mouse_input(screen: Screen, control: Control | None, wheel_dist: int) -> Act:
    only_in_document(screen, "wheel_mouse_input")
    if abs(wheel_dist) > 1000:
        raise Mistake("wheel_mouse_input: wheel_dist must be from -1000 to 1000")
    return Act([request("scroll", SETTLE, lines=-wheel_dist * 3)])


def keyboard_input(screen: Screen, control: Control | None, keys: str) -> Act:
    keystrokes = strokes(keys)
    if not keystrokes:
        raise Mistake("keyboard_input: keys is empty")
    for name, _, modifiers in keystrokes:
        if (name, modifiers) in NO_KEYS:
            raise Mistake(f"keyboard_input: {NO_KEYS[name, modifiers]}")
    first = []
    if control is not None and control.control_type == "Document" and not control.selected:
        first = [request("cursor_to", handle=screen.node(control.label)["handle"])]
    elif control is not None and control.control_type in ("Edit", "ComboBox"):
        first = [request("focus", 1, handle=screen.node(control.label)["handle"])]
    return Act([*first, *typing(keystrokes)])


def insert_table(screen: Screen, control: Control | None, rows: int, columns: int) -> Act:
    only_in_document(screen, "insert_table")
    if rows < 1 or columns < 1 or rows * columns > MOST_CELLS:
        raise Mistake(f"insert_table: rows and columns must be at least 1, and at most {MOST_CELLS} cells")
    return Act([request("insert_table", SETTLE, rows=rows, columns=columns)])


def select_text(screen: Screen, control: Control | None, text: str) -> Act:
    only_in_document(screen, "select_text")
    if not text:
        raise Mistake("select_text: text is empty")
    refused = f"select_text: the text {shown(text)} was not found"
    done = f"selected {shown(text)}"
    if control is not None and control.control_type == "Document":
        handle = screen.node(control.label)["handle"]
        return Act([request("select_item", SETTLE, handle=handle, text=text)], done, refused)
    return Act([request("find", SETTLE, text=text)], done, refused)


def select_table(screen: Screen, control: Control | None, number: int) -> Act:
    only_in_document(screen, "select_table")
    refused = f"select_table: there is no table number {number}"
    return Act([request("select_table", SETTLE, number=number)], f"selected table {number}", refused)


def only_in_document(screen: Screen, function: str) -> None:
    if screen.kind != "document":
        raise Mistake(f"{function}: a {screen.kind} is open; finish with it or close it first")


def literal(text: str) -> str:
    """A text as key strokes that type it."""
    return "".join(f"{{{character}}}" if character in "^+%~(){}" else character for character in text)


REQUIRED = object()
KINDS = {str: "a text", int: "a whole number", bool: "true or false", list: "a list of labels"}
FILES = "files cannot be opened, saved, printed or closed here; FINISH ends the task and saves the document"
NO_KEYS = {
    **{(key, CTRL): FILES for key in ("S", "O", "N", "P", "Q", "W", "F4")},
    **{("S", CTRL | SHIFT): FILES, ("F4", ALT): FILES, ("P", CTRL | SHIFT): FILES, ("N", CTRL | SHIFT): FILES},
    ("F", CTRL): "the find bar is not available; ^h opens Find and Replace",
    **{("F1", 0): "help is not available", ("F1", SHIFT): "help is not available"},
    **{(key, 0): "this side window is not available" for key in ("F2", "F4", "F5", "F11")},
    ("F11", ALT): "macros are not available",
    ("F12", ALT): "the options are not available",
}
# In a dialog these get a real click; some act on nothing else. Check boxes and radio buttons take a click on their
# text only, wherever that is.
WITH_MOUSE = {
    "PUSH_BUTTON",
    "TOGGLE_BUTTON",
    "BUTTON_MENU",
    "BUTTON_DROPDOWN",
    "LIST_ITEM",
    "TREE_ITEM",
    "TABLE_CELL",
    "ICON",
}
RESULTS_ONLY = {"annotation", "summary", "texts"}
NEEDS_CONTROL = {"click_input", "set_edit_text"}
FUNCTIONS: dict[str, tuple[Callable[..., Act], dict[str, tuple[type, Any]]]] = {
    "click_input": (click_input, {"button": (str, "left"), "double": (bool, False)}),
    "set_edit_text": (set_edit_text, {"text": (str, REQUIRED)}),
    "annotation": (annotation, {"control_labels": (list, REQUIRED)}),
    "summary": (summary, {"text": (str, REQUIRED)}),
    "texts": (texts, {}),
    "wheel_mouse_input": (wheel_mouse_input, {"wheel_dist": (int, REQUIRED)}),
    "keyboard_input": (keyboard_input, {"keys": (str, REQUIRED)}),
    "insert_table": (insert_table, {"rows": (int, REQUIRED), "columns": (int, REQUIRED)}),
    "select_text": (select_text, {"text": (str, REQUIRED)}),
    "select_table": (select_table, {"number": (int, REQUIRED)}),
}
