"""The functions that an action may name, with their arguments: the paper's `{apis}` (Appendix C; UFO's own names)."""

import json
from dataclasses import dataclass, field
from typing import Any

REQUIRED = object()  # the default of an argument that must be given


@dataclass(frozen=True)
class Argument:
    """One argument: its type as JSON Schema has it, and its default."""

    schema: dict[str, Any]
    default: Any = REQUIRED

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@dataclass(frozen=True)
class Function:
    """What a policy may do, as it is told."""

    name: str
    what: str
    arguments: dict[str, Argument] = field(default_factory=dict)
    on_control: bool = False  # it acts on the control that the action names

    def signature(self) -> str:
        """`name(argument, argument=default)`, defaults as JSON."""
        written = (n if a.required else f"{n}={json.dumps(a.default)}" for n, a in self.arguments.items())
        return f"{self.name}({', '.join(written)})"


TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
LABELS = {"type": "array", "items": {"type": "string"}}
BUTTON = {"type": "string", "enum": ["left", "right"]}

FUNCTIONS: dict[str, Function] = {
    function.name: function
    for function in (
        Function(
            "click_input",
            "click the control",
            {"button": Argument(BUTTON, "left"), "double": Argument({"type": "boolean"}, False)},
            on_control=True,
        ),
        Function("set_edit_text", "replace what the control holds", {"text": Argument(TEXT)}, on_control=True),
        Function(
            "keyboard_input",
            "press keys: ^ is Ctrl, + Shift, % Alt; {ENTER}, {TAB}, {ESC}, {DOWN} and the like; other text is typed",
            {"keys": Argument(TEXT)},
        ),
        Function("wheel_mouse_input", "turn the wheel; up is positive", {"wheel_dist": Argument(WHOLE)}),
        Function("select_text", "select the first occurrence of a text in the document", {"text": Argument(TEXT)}),
        Function("select_table", "select the document's table with this number, from 1", {"number": Argument(WHOLE)}),
        Function("insert_table", "insert a table at the cursor", {"rows": Argument(WHOLE), "columns": Argument(WHOLE)}),
        Function("texts", "read the control's text; without one, the document's"),
        Function("annotation", "mark controls on a screenshot", {"control_labels": Argument(LABELS)}),
        Function("summary", "say what was seen", {"text": Argument(TEXT)}),
    )
}
