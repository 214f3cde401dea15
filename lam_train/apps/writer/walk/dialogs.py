"""What LibreOffice's own dialog definitions (.ui files) say of the controls of a dialog's page."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lxml import etree

from lam_train.apps.writer.walk.commands import plain

FOLDERS = ("modules/swriter/ui", "cui/ui", "svx/ui", "sfx/ui", "vcl/ui", "svt/ui", "editeng/ui", "modules/smath/ui")
_DEFINITIONS = Path("share/config/soffice.cfg")
KINDS = {
    "GtkCheckButton": "check",
    "GtkRadioButton": "radio",
    "GtkSpinButton": "number",
    "GtkComboBoxText": "choice",
    "GtkComboBox": "choice",
    "GtkEntry": "text",
    "GtkTextView": "text",
    "GtkTreeView": "list",
    "GtkIconView": "list",
    "GtkButton": "button",
    "GtkMenuButton": "button",
    "GtkToggleButton": "button",
}
_ENOUGH = 0.5  # of the labels on the screen must stand in a definition for it to be the page's


@dataclass(frozen=True)
class Described:
    """A control of a dialog: its label, one of `KINDS`, the group it stands in, its help tip ("" where none)."""

    label: str
    kind: str
    group: str
    tip: str
    choices: tuple[str, ...] = ()  # of a drop-down list, those that the definition names


class DialogDefinitions:
    """All dialog definitions of an installation, read when first needed."""

    def __init__(self, installation: Path) -> None:
        self.folder = installation / _DEFINITIONS

    def page(self, labels: Iterable[str]) -> dict[str, Described]:
        """label -> its description, from the definition that has most of these labels; {} where none has enough."""
        wanted = {plain(label) for label in labels} - {""}
        best: dict[str, Described] = {}
        share = 0.0
        for controls in self._pages:
            common = len(wanted & controls.keys())
            fit = common / max(len(wanted), 1) + common / max(len(controls), 1) / 100  # the tighter of two equals
            if common >= _ENOUGH * len(wanted) and fit > share:
                best, share = controls, fit
        return best

    @cached_property
    def _pages(self) -> list[dict[str, Described]]:
        files = [file for folder in FOLDERS for file in sorted((self.folder / folder).glob("*.ui"))]
        return [controls for controls in map(read_definition, files) if controls]


def read_definition(file: Path) -> dict[str, Described]:
    """label -> description of the labelled controls that one .ui file defines; {} for a file that is none."""
    try:
        root = etree.parse(str(file)).getroot()
    except (OSError, etree.XMLSyntaxError):
        return {}
    labelled_by = {
        target.text: plain(_property(label, "label"))
        for label in root.iter("object")
        if label.get("class") == "GtkLabel"
        for target in label.findall("property[@name='mnemonic_widget']")
    }
    found: dict[str, Described] = {}
    for control in root.iter("object"):
        kind = KINDS.get(control.get("class", ""))
        if kind is None:
            continue
        accessible = control.find("child[@internal-child='accessible']/object")
        label = plain(_property(control, "label")) or labelled_by.get(control.get("id", ""), "")
        label = label or plain(_property(accessible, "AtkObject::accessible-name"))
        if label:
            tip = " ".join(_property(accessible, "AtkObject::accessible-description").split())
            choices = tuple(plain(item.text or "") for item in control.findall("items/item"))
            found.setdefault(label, Described(label, kind, _group(control), tip, choices))
    return found


def _property(element: etree._Element | None, name: str) -> str:
    value = None if element is None else element.find(f"property[@name='{name}']")
    return "" if value is None else value.text or ""


def _group(control: etree._Element) -> str:
    """The title of the frame around a control, or ""."""
    for above in control.iterancestors("object"):
        if above.get("class") == "GtkFrame":
            title = above.find("child[@type='label']/object[@class='GtkLabel']")
            return plain(_property(title, "label"))
    return ""
