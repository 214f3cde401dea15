"""How the compact format refers to a control: by its text where that says which one, else by its label."""

from collections import Counter
from collections.abc import Sequence

from lam_train.records import Control

LONGEST_NAME = 60  # characters; a longer text is referred to by its label
LONGEST_TEXT = 40  # of document text


class Handles:
    """The handles of the controls of one observation.

    A control whose text is its own alone is called by that text: a string. Any other is called by its label: an
    integer, or "#" and the label where that is no number. What a document says changes no name but its own texts'.
    """

    def __init__(self, controls: Sequence[Control]) -> None:
        texts = Counter(control.control_text for control in controls)
        names = Counter(c.control_text for c in controls if c.control_type != "Document")

        def own(control: Control) -> bool:
            text = control.control_text
            if not text or text.startswith("#"):
                return False
            if control.control_type == "Document":
                return len(text) <= LONGEST_TEXT and texts[text] == 1
            return len(text) <= LONGEST_NAME and names[text] == 1

        self._by_name = {control.control_text: control for control in controls if own(control)}
        self._by_label: dict[str, Control] = {}
        for control in controls:
            self._by_label.setdefault(control.label, control)

    def by_name(self, control: Control) -> bool:
        """Whether the control is called by its text."""
        return self._by_name.get(control.control_text) is control

    def of(self, control: Control) -> str | int:
        """The control's handle."""
        return control.control_text if self.by_name(control) else label_handle(control.label)

    def labelled(self, label: str) -> Control | None:
        """The control with this label, or None."""
        return self._by_label.get(label)

    def find(self, handle: str | int) -> Control | None:
        """The control that a handle calls, or None."""
        label = label_of(handle)
        return self._by_name.get(handle) if label is None else self._by_label.get(label)

    def all(self) -> list[str | int]:
        """The handle of every control, in the list's order."""
        return [self.of(control) for control in self._by_label.values()]


def label_handle(label: str) -> str | int:
    """A label as a handle."""
    return int(label) if label.isascii() and label.isdigit() and str(int(label)) == label else f"#{label}"


def label_of(handle: str | int) -> str | None:
    """The label that a handle spells, or None where it is a name."""
    if isinstance(handle, int):
        return str(handle)
    return handle[1:] if handle.startswith("#") else None
