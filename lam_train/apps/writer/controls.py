"""From what LibreOffice shows to the paper's list of controls: ten types, labels, states."""

from dataclasses import dataclass
from typing import Any

from lam_train.apps.writer.profile import REFUSED
from lam_train.records import Control, Observation

TYPES = {
    **dict.fromkeys(("PUSH_BUTTON", "TOGGLE_BUTTON", "BUTTON_DROPDOWN", "BUTTON_MENU"), "Button"),
    **dict.fromkeys(("CHECK_BOX", "RADIO_BUTTON"), "Button"),
    **dict.fromkeys(("TEXT", "SPIN_BOX", "PASSWORD_TEXT"), "Edit"),
    **dict.fromkeys(("MENU", "MENU_ITEM", "CHECK_MENU_ITEM", "RADIO_MENU_ITEM"), "MenuItem"),
    **dict.fromkeys(("LIST_ITEM", "TABLE_CELL", "ICON"), "ListItem"),
    "COMBO_BOX": "ComboBox",
    "PAGE_TAB": "TabItem",
    "TREE_ITEM": "TreeItem",
    "SCROLL_BAR": "ScrollBar",
    "HYPER_LINK": "Hyperlink",
    "DOCUMENT": "Document",
}
CHECKABLE = {"TOGGLE_BUTTON", "CHECK_BOX", "RADIO_BUTTON", "CHECK_MENU_ITEM", "RADIO_MENU_ITEM"}
SELECTABLE = {"PAGE_TAB", "LIST_ITEM", "TREE_ITEM", "TABLE_CELL", "DOCUMENT"}
# No help is installed; the find bar is no dialog: Find and Replace does the same; a hyperlink's events are macros.
UNLISTED = {"Help", "Find", "Events"}
REFUSED_COMMANDS = {f".uno:{command}" for command in REFUSED}


@dataclass(frozen=True)
class Screen:
    """An observation, and for each of its controls the node that LibreOffice gave."""

    kind: str  # "document", "dialog" or "menu"
    observation: Observation
    nodes: dict[str, dict[str, Any]]  # by label

    def node(self, label: str) -> dict[str, Any] | None:
        return self.nodes.get(label)


def screen_of(seen: dict[str, Any], result: str = "") -> Screen:
    """The observation of what `Desk.observe` returned. Labels are "1", "2", … in the order of the list."""
    nodes = [node for node in seen["nodes"] if is_listed(node, seen["kind"])]
    repeated = repeated_names(nodes)
    labelled = {str(number): node for number, node in enumerate(nodes, start=1)}
    observation = Observation(
        window=window_name(seen),
        controls=[control_of(label, node, repeated) for label, node in labelled.items()],
        modal=seen["kind"] != "document",
        result=result,
    )
    return Screen(seen["kind"], observation, labelled)


def is_listed(node: dict[str, Any], kind: str) -> bool:
    if node["role"] not in TYPES or node.get("command") in REFUSED_COMMANDS:
        return False
    if node["role"] == "ICON" and not node["name"]:
        return False
    return (
        kind == "document"
        or node["role"] not in ("PUSH_BUTTON", "MENU_ITEM")
        or node["name"].rstrip(".…") not in UNLISTED
    )


def repeated_names(nodes: list[dict[str, Any]]) -> set[str]:
    """Names that two toolbar buttons share; those go by their longer name."""
    names = [node["name"] for node in nodes if "command" in node]
    return {name for name in names if names.count(name) > 1}


def window_name(seen: dict[str, Any]) -> str:
    """The title; of a message box, with its text, which has no control of its own."""
    listed = [node for node in seen["nodes"] if is_listed(node, seen["kind"])]
    if seen["kind"] != "dialog" or any(TYPES[node["role"]] != "Button" for node in listed):
        return seen["title"]
    return ": ".join([seen["title"], " ".join(seen["messages"])]) if seen["messages"] else seen["title"]


def control_of(label: str, node: dict[str, Any], repeated: set[str]) -> Control:
    role = node["role"]
    name = node["long_name"] if node["name"] in repeated and node.get("long_name") else node["name"]
    return Control(
        label=label,
        control_text=name.rstrip(".…").rstrip(":") if role != "DOCUMENT" else name,
        control_type=TYPES[role],
        selected=node.get("selected", False) if role in SELECTABLE else None,
        checked=node.get("checked") if role in CHECKABLE or "command" in node else None,
        value=node.get("text") if TYPES[role] in ("Edit", "ComboBox", "Document") else None,
        enabled=node["enabled"],
    )
