"""How a user would ask for what a plan does, and how documentation writes the plan's steps.

Tasks are made from LibreOffice's own labels, tooltips and help tips. Which of several phrasings a task gets is
decided by a hash of the plan, so that the same walk gives the same words on every machine.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lam_train.apps.writer.walk.plans import Draft
from lam_train.collect.verbs import VERBS, first_word

# Labels that say nothing without the group they stand in: "Left" of Margins, "Width" of Size.
_NEEDS_GROUP = 2  # words; longer labels stand for themselves
_VAGUE_TIPS = re.compile(
    r"^(specif|select|enter|list|define|click|type|choose|displays? the (available|name)|determine|sets? whether|"
    r"use this|here|mark|check|enable this|indicates|if )",
    re.IGNORECASE,
)
_SAYS_NOTHING = frozenset(("Options", "Properties", "Settings", "Type", "General", "Preview", "Default"))
_KEEPS_CAPITAL = re.compile(r"^(?:[A-Z]{2}|\S*[a-z][A-Z]|PDF|HTML|URL|ID\b)")


def pick(options: Sequence[str], key: str) -> str:
    """One of the options, chosen by the key: the same on every machine."""
    digest = hashlib.sha256(key.encode()).digest()
    return options[int.from_bytes(digest[:4], "big") % len(options)]


def _even(key: str) -> bool:
    return pick(("", "even"), f"half of {key}") == "even"


def lower_first(text: str) -> str:
    """ "Above paragraph" -> "above paragraph"; abbreviations and names of several words keep their capitals."""
    if not text or _KEEPS_CAPITAL.match(text) or re.search(r"\s[A-Z]", text):
        return text
    return text[0].lower() + text[1:]


def sentence(text: str) -> str:
    """With a capital at the start and a full stop at the end."""
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def imperative(tip: str) -> str:
    """A help tip as a request: "Displays all line breaks." -> "Display all line breaks"; "" where it is none.

    Tips that speak of the control instead of its effect ("Specifies whether …", "Enter the …") give "".
    """
    first = re.split(r"(?<=[a-z)])\.\s", tip.strip())[0].rstrip(". ")
    word = first_word(first)
    if _VAGUE_TIPS.match(first) or not 3 <= len(first.split()) <= 16 or "you selected" in first:
        return ""
    for ending, replaced in (("ies", "y"), ("es", ""), ("es", "e"), ("s", "")):
        verb = word.removesuffix(ending) + replaced
        if word.endswith(ending) and verb in VERBS:
            return verb.capitalize() + first[len(word) :]
    return ""


# --- the steps of a plan, in the words of LibreOffice's own documentation


def choose_step(path: Sequence[str]) -> str:
    return f"Choose {' > '.join(path)}."


def tab_step(tab: str) -> str:
    return f"Click the {tab} tab."


def click_step(label: str) -> str:
    return f"Click {label}."


def check_step(label: str, on: bool) -> str:
    return f"{'Select' if on else 'Clear'} the “{label}” check box."


def radio_step(label: str) -> str:
    return f"Select the “{label}” option."


def field_step(label: str, value: str) -> str:
    return f"In the “{label}” box, enter {value}."


def entry_step(label: str, value: str) -> str:
    return f"In the “{label}” box, type “{value}”."


def list_step(label: str, value: str) -> str:
    return f"In the “{label}” list, select “{value}”." if label else f"Select “{value}” in the list."


def toolbar_step(label: str) -> str:
    return f"Click {label} on the toolbar."


def toolbar_box_step(label: str, value: str) -> str:
    return f"In the “{label}” box on the toolbar, enter {value}."


def keys_step(shown: str) -> str:
    return f"Press {shown}."


# --- tasks


def task_of(draft: Draft, variant: str = "") -> str:
    """A request for what the plan does; another variant may give another wording."""
    key = draft.id + variant
    of = "" if draft.of in _WHERE_THE_CURSOR_IS and _menu_of(draft) in _NOT_ABOUT_THE_CURSOR else draft.of
    place = Place(draft.dialog, draft.tab, _opener_of(draft) or draft.group, of)
    if draft.kind == "command":
        return with_way(command_task(draft.path, draft.tooltip, of, key), draft.way, key)
    if draft.kind == "box":
        return box_task(draft.control, draft.value, of, key)
    if draft.kind == "open":
        return with_way(open_task(place, key), draft.way, key)
    if draft.kind == "tab":
        return tab_task(place, key)
    if draft.kind == "check":
        return check_task(place, draft.control, draft.value == "on", draft.tip, key)
    if draft.kind == "radio":
        return radio_task(place, draft.control, draft.tip, key)
    if draft.kind == "list":
        return list_task(place, draft.control, key)
    return value_task(place, draft.control, f"“{draft.value}”" if draft.kind == "text" else draft.value, key)


# What these menus offer is about the document as a whole, wherever the cursor is.
_NOT_ABOUT_THE_CURSOR = ("Insert", "Edit", "View", "Tools")
_WHERE_THE_CURSOR_IS = ("the current paragraph", "the selected text", "the table")


def _menu_of(draft: Draft) -> str:
    """The menu that a plan begins in, or ""."""
    if draft.path:
        return draft.path[0] if draft.path[-1] not in ("Cut", "Copy", "Paste") else ""
    chosen = next((move.text for move in draft.moves if move.text.startswith("Choose ")), "")
    return chosen.removeprefix("Choose ").partition(" > ")[0]


def _opener_of(draft: Draft) -> str:
    """The control that had to be set before the plan's own, or "": "Gradient" of a gradient's steps."""
    openers = draft.moves[len(draft.look) : draft.setting] if draft.wish is not None else []
    return openers[-1].acts[-1].name if openers else ""


@dataclass(frozen=True)
class Place:
    """Where a setting is: the dialog, its tab, the group in it, and what the dialog is about ("the selected text")."""

    dialog: str
    tab: str
    group: str
    of: str

    @property
    def where(self) -> str:
        return f"on the {self.tab} tab of the {self.dialog} dialog" if self.tab else f"in the {self.dialog} dialog"

    @property
    def settings(self) -> str:
        return f"{self.tab} settings of the {self.dialog} dialog" if self.tab else f"{self.dialog} settings"

    @property
    def named(self) -> str:
        return f"{self.dialog} > {self.tab}" if self.tab else self.dialog

    @property
    def for_of(self) -> str:
        return f" for {self.of}" if self.of else ""

    @property
    def of_or_dialog(self) -> str:
        return f"for {self.of}" if self.of else f"in the {self.dialog} settings"

    @property
    def under(self) -> str:
        """Which part of the dialog, where its title says something."""
        return f" under “{self.group}”" if self.group and self.group not in _SAYS_NOTHING else ""

    def thing(self, label: str) -> str:
        """What a label names: "the spacing above paragraph", "the left margin", "“Title” under “Type and Title”"."""
        label, group = label.strip(), self.group
        if group == "Margins" and len(label.split()) == 1:
            return f"the {lower_first(label)} margin"
        if not self.under or len(label.split()) > _NEEDS_GROUP or group.lower() in label.lower():
            return f"the {lower_first(label)}"
        return f"“{label}” under “{group}”" if " " in group else f"the {lower_first(group)} {lower_first(label)}"


def check_task(place: Place, label: str, on: bool, tip: str, key: str) -> str:
    """Turning a check box on or off."""
    asked = imperative(tip)
    if on and asked and _even(key):
        return f"{asked}, {place.of_or_dialog}"
    do = ("Turn on", "Enable", "Activate", "Check") if on else ("Turn off", "Disable", "Deactivate", "Uncheck")
    return pick(
        [
            f"{do[0]} “{label}”{place.under}{place.for_of} in the {place.settings}",
            f"{do[1]} “{label}”{place.under} {place.where}{place.for_of}",
            f"{do[2]} the option “{label}”{place.under}{place.for_of}, in {place.named}",
            f"{place.named}: {do[3].lower()} “{label}”{place.under}{place.for_of}",
        ],
        key,
    )


def radio_task(place: Place, label: str, tip: str, key: str) -> str:
    """Choosing an option of several."""
    asked = imperative(tip)
    if asked and _even(key):
        return f"{asked}, {place.of_or_dialog}"
    group = lower_first(place.group if place.under else place.tab or place.dialog)
    return pick(
        [
            f"Set {group} to “{label}”{place.for_of}, {place.where}",
            f"Choose “{label}” for {group}{place.for_of} in the {place.settings}",
            f"Use the option “{label}” ({group}){place.for_of} in {place.named}",
        ],
        key,
    )


def value_task(place: Place, label: str, value: str, key: str) -> str:
    """Giving a field a value: a number with its unit, a choice of a list, or a text."""
    thing = place.thing(label)
    of = f" of {place.of}" if place.of else ""
    return pick(
        [
            f"Set {thing}{of} to {value} in the {place.settings}",
            f"Change {thing}{of} to {value}, {place.where}",
            f"Set “{label}”{place.under} to {value}{place.for_of} in {place.named}",
            f"Make {thing}{of} {value} ({place.named})",
        ],
        key,
    )


def box_task(label: str, value: str, of: str, key: str) -> str:
    """Giving a toolbar's box a value."""
    what = lower_first(label.lower())
    return pick(
        [
            f"Set the {what} of {of} to {value}",
            f"Change {of} to the {what} {value}",
            f"Use {value} as the {what} of {of}",
            f"Give {of} the {what} {value} with the toolbar",
        ],
        key,
    )


def list_task(place: Place, entry: str, key: str) -> str:
    """Selecting an entry of a list."""
    kind = f"{lower_first(place.group)} " if place.under and len(place.group.split()) == 1 else ""
    named = f"the {kind}“{entry}”" if kind else f"“{entry}”"
    return pick(
        [
            f"Select {named} {place.where}{place.for_of}",
            f"Choose {named} in the {place.settings}{place.for_of}",
            f"Use {named}{place.for_of} ({place.named})",
        ],
        key,
    )


def open_task(place: Place, key: str) -> str:
    """Opening a dialog."""
    return pick(
        [f"Open the {place.dialog} dialog{place.for_of}", f"Show the {place.dialog} settings{place.for_of}"], key
    )


def tab_task(place: Place, key: str) -> str:
    """Opening a tab of a dialog."""
    return pick(
        [
            f"Open the {place.tab} tab of the {place.dialog} dialog{place.for_of}",
            f"Show the {lower_first(place.tab)} settings in the {place.dialog} dialog{place.for_of}",
            f"Go to {place.tab} in {place.dialog}{place.for_of}",
        ],
        key,
    )


def command_task(path: Sequence[str], tooltip: str, of: str, key: str) -> str:
    """Giving a command that stands at `path` in the menus, for what `of` names."""
    label = path[-1]
    tooltip = re.split(r"\. |\s*\(", tooltip or label)[0].rstrip(".")
    about = f" for {of}" if of and of.split()[-1] not in tooltip.lower() else ""
    if first_word(tooltip) in VERBS and len(tooltip.split()) > 1:
        return f"{tooltip}{about}"
    rule = next((words for start, words in _BY_MENU if tuple(path[: len(start)]) == start), _OTHERWISE)
    menu = lower_first(path[-2]) if len(path) > 1 else "commands"
    text = pick(rule, key)
    told = text.format(label=label, lower=lower_first(label), menu=menu, of=of or "the document")
    return told if "{of}" in text else f"{told}{about}"


def with_way(task: str, way: str, key: str) -> str:
    """The same by a button or by keys: a request that says so."""
    said = {
        "toolbar": ("{} with the toolbar", "Use the toolbar to {}"),
        "keys": ("{} with the keyboard", "Use a keyboard shortcut to {}"),
    }.get(way)
    if said is None:
        return task
    text = pick(said, key)
    return text.format(task if text.startswith("{") else task[:1].lower() + task[1:])


_BY_MENU: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("Insert", "Field"), ("Insert the {lower} field", "Add the {lower} as a field")),
    (("Insert", "Formatting Mark"), ("Insert a {lower}", "Add a {lower} at the cursor")),
    (("Insert", "Shape"), ("Draw a shape: {lower}", "Insert the shape “{label}”")),
    (("Insert", "Header and Footer"), ("Add a {menu}: {lower}", "Turn on {menu}: {lower}")),
    (("Insert",), ("Insert {lower}", "Add {lower} at the cursor")),
    (("Format", "Text"), ("Apply {lower} to {of}", "Format {of}: {lower}")),
    (("Format", "Spacing"), ("Set {lower} for {of}", "Change the {menu} of {of}: {lower}")),
    (("Format", "Align Text"), ("Align {of}: {lower}", "Set the alignment of {of} to {lower}")),
    (("Format", "Lists"), ("Lists, {lower} at {of}", "Use the list command “{label}” on {of}")),
    (("Format", "Wrap"), ("Set the text wrap of {of} to “{label}”", "Wrap text around {of}: {lower}")),
    (("Format", "Anchor"), ("Anchor {of} {lower}", "Set the anchor of {of}: {lower}")),
    (("Format", "Image", "Filter"), ("Apply the {lower} filter to {of}", "Filter {of}: {lower}")),
    (("Format",), ("Format {of}: {lower}", "Use “{label}” ({menu}) on {of}")),
    (("Styles",), ("Apply the {label} style to {of}", "Format {of} with the style “{label}”")),
    (("Table", "Insert"), ("Insert {lower} in the table", "Add {lower} to the table")),
    (("Table", "Delete"), ("Delete the {lower} of the table at the cursor", "Remove the table {lower} at the cursor")),
    (("Table", "Select"), ("Select the {lower} of the table", "Mark the table {lower}")),
    (("Table", "Size"), ("Set the table size: {lower}", "Change the size in the table: {lower}")),
    (("Table",), ("Do this to {of}: {lower}", "Use the table command “{label}”")),
    (("View", "Zoom"), ("Zoom to {lower}", "Set the zoom to {lower}")),
    (("View", "Toolbars"), ("Show or hide the {label} toolbar", "Toggle the toolbar “{label}”")),
    (("View",), ("Show or hide {lower}", "Toggle the view of {lower}")),
    (("Form",), ("Add a form control: {lower}", "Insert a {lower} into the form")),
)
_OTHERWISE = ("Use the command “{label}” ({menu})", "Run “{label}” from the {menu} menu")
