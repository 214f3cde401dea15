"""Writer's commands as LibreOffice's own registry names them: labels, tooltips, keyboard shortcuts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lxml import etree

from lam_train.errors import UserError

_OOR = "{http://openoffice.org/2001/registry}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_FILES = ("main.xcd", "writer.xcd")
_MODULE = "com.sun.star.text.TextDocument"
_KEYS = {"DELETE": "{DELETE}", "RETURN": "{ENTER}", "BACKSPACE": "{BACKSPACE}", "SPACE": "{SPACE}", "TAB": "{TAB}"}
_SHOWN = {"DELETE": "Delete", "RETURN": "Enter", "BACKSPACE": "Backspace", "SPACE": "Space", "TAB": "Tab"}
_SIGNS = {"ADD": "+", "SUBTRACT": "-", "MULTIPLY": "*", "DIVIDE": "/", "POINT": ".", "COMMA": ",", "EQUAL": "="}
_MODIFIERS = {"MOD1": ("Ctrl", "^"), "SHIFT": ("Shift", "+"), "MOD2": ("Alt", "%")}


@dataclass(frozen=True)
class Command:
    """A command: its name (".uno:Bold"), the label that menus show, that of toolbars, the longer one of its tooltip."""

    name: str
    label: str
    short: str
    tooltip: str
    asks: bool  # it opens a dialog: its label ends with dots


@dataclass(frozen=True)
class Shortcut:
    """Keys that give a command: as documentation writes them ("Ctrl+B") and as `keyboard_input` takes them ("^b")."""

    command: str
    shown: str
    keys: str


class Registry:
    """LibreOffice's registry, in the folder `share/registry` of an installation. Raises UserError where it is none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def commands(self) -> dict[str, Command]:
        """All labelled commands by name; Writer's own labels win over the generic ones."""
        found: dict[str, Command] = {}
        for name in ("GenericCommands", "WriterCommands"):
            for component in self._components(name):
                for node in component.iter("node"):
                    command = _command(node)
                    if command:
                        found[command.name] = command
        return found

    @cached_property
    def shortcuts(self) -> list[Shortcut]:
        """The keyboard shortcuts that hold in a text document, the module's own before the global ones."""
        found: dict[str, Shortcut] = {}
        for module in (True, False):
            for component in self._components("Accelerators"):
                for shortcut in _shortcuts(component, module):
                    found.setdefault(shortcut.shown, shortcut)
        return list(found.values())

    @cached_property
    def _trees(self) -> list[etree._Element]:
        parser = etree.XMLParser(huge_tree=True, resolve_entities=False)
        try:
            return [etree.parse(str(self.folder / file), parser).getroot() for file in _FILES]
        except (OSError, etree.XMLSyntaxError) as error:
            raise UserError(f"{self.folder}: LibreOffice Writer's registry cannot be read: {error}") from None

    def _components(self, name: str) -> Iterator[etree._Element]:
        for tree in self._trees:
            yield from (one for one in tree.iter(f"{_OOR}component-data") if one.get(f"{_OOR}name") == name)


def plain(label: str) -> str:
    """A label without mnemonic marks and trailing dots: "~Paragraph..." and "_Paragraph…" -> "Paragraph"."""
    return re.sub(r"\s*(\.\.\.|…)$", "", re.sub(r"[~_](?=\w)", "", label)).strip().rstrip(":")


def _command(node: etree._Element) -> Command | None:
    name = node.get(f"{_OOR}name", "")
    texts = {prop.get(f"{_OOR}name"): _english(prop) for prop in node.findall("prop")}
    label = texts.get("ContextLabel") or texts.get("Label")
    if not label or ":" not in name:
        return None
    tooltip = texts.get("TooltipLabel") or texts.get("PopupLabel") or texts["Label"] or label
    asks = label.endswith(("...", "…"))
    return Command(name, plain(label), plain(texts.get("Label") or label), plain(tooltip), asks)


def _english(prop: etree._Element) -> str:
    """The property's value in English: the one marked so, else the one without a language."""
    values = {value.get(_LANGUAGE, ""): value.text or "" for value in prop.findall("value")}
    return values.get("en-US") or values.get("") or ""


def _shortcuts(component: etree._Element, module: bool) -> Iterator[Shortcut]:
    where = "node[@oor:name='Modules']/node[@oor:name=$module]/node" if module else "node[@oor:name='Global']/node"
    names = {"oor": _OOR[1:-1]}
    for node in component.xpath(f"node[@oor:name='PrimaryKeys']/{where}", namespaces=names, module=_MODULE):
        command = next((_english(prop) for prop in node.findall("prop")), "")
        shown, keys = _spelled(node.get(f"{_OOR}name", ""))
        if command and keys:
            yield Shortcut(command, shown, keys)


def _spelled(name: str) -> tuple[str, str]:
    """ "B_SHIFT_MOD1" -> ("Ctrl+Shift+B", "^+b"); ("", "") for a key that `keyboard_input` cannot spell."""
    key, *modifiers = name.split("_")
    if key in _KEYS:
        shown, keys = _SHOWN[key], _KEYS[key]
    elif re.fullmatch(r"F\d{1,2}", key):
        shown, keys = key, f"{{{key}}}"
    elif re.fullmatch(r"[A-Z0-9]", key):
        shown, keys = key, key.lower()
    elif key in _SIGNS:
        shown, keys = _SIGNS[key], f"{{{_SIGNS[key]}}}" if _SIGNS[key] in "+" else _SIGNS[key]
    else:
        return "", ""
    if any(modifier not in _MODIFIERS for modifier in modifiers):
        return "", ""
    held = [_MODIFIERS[modifier] for modifier in _MODIFIERS if modifier in modifiers]
    return "+".join([*(word for word, _ in held), shown]), "".join(sign for _, sign in held) + keys
