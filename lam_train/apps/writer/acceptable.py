"""Which controls would have done the same: to name another of them is as good (the paper's object sets)."""

from lam_train.apps.writer.controls import Screen
from lam_train.records import Action

LEAVE = ("Cancel", "Close")
WITHOUT_CONTROL = ("insert_table", "select_table", "annotation", "summary", "wheel_mouse_input")


def acceptable(action: Action, screen: Screen) -> list[str]:
    """Labels of the controls on which the action does what it did on the chosen one, which is among them.

    "" stands for no control, where the function needs none. Empty for an action that names a control there is not.
    """
    chosen = action.control_label
    controls = screen.observation.controls
    control = screen.observation.control(chosen)
    if chosen and control is None:
        return []
    if action.function in WITHOUT_CONTROL:
        return list(dict.fromkeys([chosen, ""]))
    if action.function == "click_input" and screen.kind == "dialog" and control.control_text in LEAVE:
        return [c.label for c in controls if c.control_text in LEAVE and c.control_type == control.control_type]
    documents = [c for c in controls if c.control_type == "Document"]
    if action.function == "select_text":  # in the whole document it takes the first occurrence
        text = action.args.get("text")
        first = next((c.label for c in documents if isinstance(text, str) and text and text in c.control_text), "")
        return [chosen, *({"", first} - {chosen})] if chosen in ("", first) else [chosen]
    if action.function == "keyboard_input" and screen.kind == "document":  # keys go to where the cursor is
        here = {"", *(c.label for c in documents if c.selected)}
        return [chosen, *sorted(here - {chosen})] if chosen in here else [chosen]
    return [chosen]
