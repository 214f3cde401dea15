"""What a dialog's page offers: its fields, read off the screen and told apart with the help of its definition."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lam_train.apps.writer.walk.dialogs import Described, DialogDefinitions
from lam_train.records import Control, Observation

FINISH = ("OK", "Insert", "Apply", "Close")  # the button that ends a dialog: the first of these that it has
LEAVE = ("Cancel", "Close", "No", "Do Not Save", "Discard", "OK")
_BUTTONS = frozenset({*FINISH, *LEAVE, "Help", "Reset", "Yes", "Standard", "Default"})
LONGEST_NAME = 70  # characters; some fields are named by a paragraph of advice
_LISTED = ["ListItem", "TreeItem"]


@dataclass(frozen=True)
class Field:
    """A control of a page that can be given a state or a value."""

    kind: str  # "check", "radio", "number", "text", "choice", "list" or "button"
    name: str
    types: list[str]
    nth: int
    value: str
    on: bool  # checked, or selected
    enabled: bool
    group: str = ""  # the title of the frame it stands in
    tip: str = ""  # its help tip
    choices: tuple[str, ...] = ()  # of a drop-down list

    @property
    def key(self) -> tuple[str, str, int]:
        return self.kind, self.name, self.nth


def shown_name(control: Control) -> str:
    """A control's text without what only decorates it: "Paragraph..." and "~Width:" -> "Paragraph", "Width"."""
    return control.control_text.replace("~", "").strip().rstrip(".…:").strip()


def finish_button(observation: Observation) -> str:
    """The name of the button that ends the dialog and keeps what was set; "" where there is none."""
    names = {shown_name(c) for c in observation.controls if c.control_type == "Button" and c.checked is None}
    return next((name for name in FINISH if name in names), "")


def tabs(observation: Observation) -> list[str]:
    """The dialog's tabs, in order."""
    return [shown_name(control) for control in observation.controls if control.control_type == "TabItem"]


def fields(
    observation: Observation, definitions: DialogDefinitions, choices: Callable[[str], list[str]]
) -> list[Field]:
    """The fields of the page that shows, in order; one without a name is left out: no plan could say it.

    `choices` gives the entries of a drop-down list by its label.
    """
    page = [c for c in observation.controls if c.control_type not in ("TabItem", "MenuItem", "Document")]
    described = definitions.page([shown_name(c) for c in page if shown_name(c) not in _BUTTONS and c.control_text])
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for control in page:
        name = shown_name(control)
        types = _LISTED if control.control_type in _LISTED else [control.control_type]
        nth = seen[name, types[0]]
        seen[name, types[0]] += 1
        about = described.get(name, Described(name, "", "", ""))
        kind = _kind(control, about)
        said = 0 < len(name) <= LONGEST_NAME and any(letter.isalpha() for letter in name) and name != control.value
        if kind and said:
            on = bool(control.selected if kind == "list" else control.checked)
            offered = tuple(choices(control.label)) if kind == "choice" else ()
            told = (about.group, about.tip, offered or about.choices)
            found.append(Field(kind, name, types, nth, control.value or "", on, control.enabled, *told))
    return found


def changed_fields(before: Sequence[Field], after: Sequence[Field]) -> list[Field]:
    """The fields that can be used after something was set and could not before."""
    usable = {field.key for field in before if field.enabled}
    return [field for field in after if field.enabled and field.key not in usable]


def _kind(control: Control, about: Described) -> str:
    if control.control_type in _LISTED:
        return "list"
    if control.control_type == "ComboBox":
        return "choice"
    if control.control_type == "Edit":
        looks = (control.value or "")[:1].isdigit() and about.kind != "text"
        return "number" if about.kind == "number" or looks else "text"
    if control.control_type == "Button" and control.checked is not None:
        return "radio" if about.kind == "radio" else "check"
    return "button" if control.control_type == "Button" and shown_name(control) not in _BUTTONS else ""
