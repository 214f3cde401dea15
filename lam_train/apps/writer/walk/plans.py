"""A plan that can be executed: its steps as documentation writes them, each with the actions that do it."""

from pydantic import JsonValue

from lam_train.records import Control, Record, Split, TaskPlan, Text

SOURCE = "libreoffice-writer-walk"
APP = "LibreOffice Writer"
LICENSE = "MPL-2.0"  # LibreOffice's labels, tooltips and help tips, of which tasks and plans are made
_INCH = str.maketrans({"″": '"', "”": '"'})


class Act(Record):
    """One action, on a control that is named by its text and type (labels hold for one observation only)."""

    function: str
    name: str = ""  # the control's text without trailing dots; "" where any control of the types will do
    types: list[str] = []  # any of these control types; [] and no name: the function needs no control
    args: dict[str, JsonValue] = {}
    nth: int = 0  # which of several such controls
    value: str = ""  # with what the control's value begins: a paragraph's style, a cell's name


class Move(Record):
    """A step of a plan: its words ("" for preparations, which no plan has), and the actions that it takes."""

    text: str
    acts: list[Act]


class Wish(Record):
    """What a control must show for a plan to have worked: a state, or a value."""

    name: str
    types: list[str]
    nth: int = 0
    checked: bool | None = None
    selected: bool | None = None
    value: str | None = None

    def holds(self, control: Control) -> bool:
        """Whether the control shows it; numbers are compared as numbers, in the unit that both have."""
        if self.checked is not None:
            return control.checked is self.checked
        if self.selected is not None:
            return control.selected is self.selected
        return same_value(self.value or "", control.value or "")


class Draft(Record):
    """A plan that is still to be executed, and what its task is worded from."""

    id: Text
    page: Text  # decides the split: the command, the tab or the dialog that it is about
    context: Text  # the name of the context it begins in
    kind: Text  # "command", "open", "tab", or the kind of field that it sets
    moves: list[Move]
    setting: int = 0  # which of the moves sets what `wish` says
    look: list[Move] = []  # the moves that bring the changed control back on the screen
    wish: Wish | None = None  # what it must show then
    of: str = ""  # what it acts on: "the selected text"
    way: Text = "menu"  # how the command is given: "menu", "toolbar" or "keys"
    path: list[str] = []  # where the command stands in the menu bar
    command: str = ""
    tooltip: str = ""  # the command's
    dialog: str = ""
    tab: str = ""
    group: str = ""
    control: str = ""
    tip: str = ""  # the control's help tip
    value: str = ""  # what the control is set to; "on" and "off" of a check box

    def pair(self, task: str) -> TaskPlan:
        """The pair, as phase 1 reads it."""
        return TaskPlan(
            task_id=f"{SOURCE}/{self.id}",
            task=task,
            plan=[move.text for move in self.moves],
            source=SOURCE,
            app=APP,
            license=LICENSE,
            page=f"{SOURCE}/{self.page}",
            kind="steps" if len(self.moves) > 1 else "menu_path",
        )


class Composition(Record):
    """Two plans as one."""

    id: Text
    first: Draft
    second: Draft
    moves: list[Move]


class Evolved(Record):
    """A pair made of pairs, and what became of it."""

    id: Text
    how: Text  # "value", "composition" or "wording"
    task: Text
    plan: list[Text]
    page: Text
    split: Split
    seen: str = ""
    failed: str = ""
    detail: str = ""


class Result(Record):
    """What became of a draft: `seen` says how its effect was seen, `failed` why it did not work."""

    draft: Draft
    entry: str  # the menu entry that was walked
    seen: str = ""
    failed: str = ""
    detail: str = ""


def same_value(one: str, other: str) -> bool:
    """Whether two fields hold the same: 0.5" and 0.50", 12 pt and 12.0pt, but 1 cm is not 1"."""
    if one.strip() == other.strip():
        return True
    first, second = split_number(one), split_number(other)
    return bool(first and second) and first[1] == second[1] and abs(first[0] - second[0]) < 0.006


def split_number(text: str) -> tuple[float, str] | None:
    """(number, unit) of a field: '0.50″' -> (0.5, '"'); None for what is no number with a unit."""
    digits = text.translate(_INCH).strip().replace(",", "")
    end = next((i for i, sign in enumerate(digits) if sign not in "-.0123456789"), len(digits))
    try:
        return float(digits[:end]), digits[end:].strip().lower()
    except ValueError:
        return None
