"""Where Writer's commands are found, as its own definitions say: menu bar, toolbars, keys."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lxml import etree

from lam_train.apps.writer.walk.commands import Registry, plain
from lam_train.collect.verbs import word_set
from lam_train.errors import UserError

_WRITER = Path("share/config/soffice.cfg/modules/swriter")
MENU_BAR = _WRITER / "menubar/menubar.xml"
TOOLBARS = (_WRITER / "toolbar/standardbar.xml", _WRITER / "toolbar/textobjectbar.xml")  # those that show
Way = Literal["menu", "toolbar", "box", "keys"]
BOXES = {"Paragraph Style": ".uno:StyleApply", "Font Name": ".uno:CharFontName", "Font Size": ".uno:FontHeight"}
_TOOLBAR = "{http://openoffice.org/2001/toolbar}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_MENU = "{http://openoffice.org/2001/menu}"

# Menus and commands that reach out of the document (files, network, printing, macros, help) are not walked; the
# environment refuses what they do. Nor are those that only begin to draw: what they insert is dragged with a mouse.
CLOSED_MENUS = ("File", "Window", "Help")
CLOSED_COMMANDS = {
    f".uno:{name}"
    for name in word_set("""
    InsertGraphic InsertAVMedia InsertObject InsertDoc Scan TwainSelect TwainTransfer InsertObjectFloatingFrame
    InsertSignatureLine CompareDocuments MergeDocuments LoadStyles ChangePicture SaveGraphic ExternalEdit LinkDialog
    MailMergeWizard AddressBookSource BibliographyComponent MacrosMenu MacroRecorder RunMacro BasicIDEAppear
    ScriptOrganizer MacroSignature OpenXMLFilterSettings DevelopmentToolsDockingWindow MoreDictionaries
    ViewDataSourceBrowser ToolbarModeUI FullScreen EditDoc RedactDoc AutoRedactDoc ExtendedHelp EditGlossary
    UpdateAllLinks InsertEnvelope NewGlobalDoc OpenReadOnly InsertObjectChart InsertObjectStarMath ImageControl
    FileControl Grid ShowFmExplorer NavigationBar ProtectTraceChangeMode SendFeedback ConfigureDialog
    AvailableToolbars InsertQrCode
    InsertFrameInteract DrawText Text Line Freeline Freeline_Unfilled Bezier_Unfilled BezierFill Polygon_Unfilled
    Polygon_Diagonal_Unfilled Polygon_Diagonal BasicShapes ArrowShapes SymbolShapes StarShapes CalloutShapes
    FlowChartShapes Label Edit CheckBox RadioButton ListBox ComboBox Pushbutton Imagebutton FormattedField DateField
    TimeField NumericField CurrencyField PatternField GroupBox ColorSettings SetLanguageAllTextMenu
""")
} | {"service:com.sun.star.deployment.ui.PackageManagerDialog"}


# In menus that Writer fills while it runs.
CLOSED_LABELS = frozenset(("Customize", "More Dictionaries Online", "Form Design", "Form Controls", "Form Navigation"))


# Keys that end, open or leave something instead of acting on the document.
CLOSED_KEYS = frozenset(("F1", "Ctrl+Q", "Ctrl+W", "Ctrl+F4", "F10", "Ctrl+Shift+I", "Ctrl+Shift+J", "Shift+F10", "F4"))


@dataclass(frozen=True)
class Entry:
    """A way to a command: the menu bar's labels down to it, a toolbar's button or box, or keys ("Ctrl+B", "^b")."""

    way: Way
    path: tuple[str, ...]
    command: str

    def __str__(self) -> str:
        return " > ".join(self.path) if self.way == "menu" else f"{self.way}: {self.path[0]}"


def open_entries(installation: Path, registry: Registry) -> list[Entry]:
    """All entries that the walk may choose: those that stay within the document."""
    menu = [entry for entry in menu_entries(installation, registry) if entry.path[0] not in CLOSED_MENUS]
    buttons = toolbar_entries(installation, registry)
    boxes = [Entry("box", (name,), command) for name, command in BOXES.items()]
    keys = [Entry("keys", (s.shown, s.keys), s.command) for s in registry.shortcuts if s.shown not in CLOSED_KEYS]
    closed = {entry.command for entry in menu_entries(installation, registry) if entry.path[0] in CLOSED_MENUS}
    others = (entry for entry in (*buttons, *boxes, *keys) if is_open(entry) and entry.command not in closed)
    return [*filter(is_open, menu), *others]


def menu_entries(installation: Path, registry: Registry) -> list[Entry]:
    """All entries of Writer's menu bar that have a command, in order. Raises UserError where it cannot be read."""
    return list(_entries(_parsed(installation / MENU_BAR), (), registry))


def toolbar_entries(installation: Path, registry: Registry) -> list[Entry]:
    """The buttons of the toolbars that show when Writer starts."""
    items = (item for file in TOOLBARS for item in _parsed(installation / file).iter(f"{_TOOLBAR}toolbaritem"))
    shown = [item.get(_LINK, "") for item in items if item.get(f"{_TOOLBAR}visible") != "false"]
    shown = [name for name in dict.fromkeys(shown) if name in registry.commands and name not in BOXES.values()]
    commands = [registry.commands[name] for name in shown]
    times = Counter(command.short for command in commands)
    names = [command.short if times[command.short] == 1 else command.tooltip for command in commands]
    return [Entry("toolbar", (name,), command.name) for name, command in zip(names, commands, strict=True)]


def is_open(entry: Entry) -> bool:
    """Whether its command stays within the document."""
    return entry.command not in CLOSED_COMMANDS and not entry.command.startswith(".uno:MacroOrganizer")


def _parsed(file: Path) -> etree._Element:
    try:
        return etree.parse(str(file)).getroot()
    except (OSError, etree.XMLSyntaxError) as error:
        raise UserError(f"{file}: Writer's definition cannot be read: {error}") from None


def _entries(element: etree._Element, path: tuple[str, ...], registry: Registry) -> Iterator[Entry]:
    for child in element:
        if child.tag == f"{_MENU}menupopup":
            yield from _entries(child, path, registry)
            continue
        name = child.get(f"{_MENU}id")
        if name is None:
            continue
        label = plain(child.get(f"{_MENU}label") or _label(name, registry))
        if child.tag == f"{_MENU}menu":
            yield from _entries(child, (*path, label), registry)
        elif child.tag == f"{_MENU}menuitem":
            yield Entry("menu", (*path, label), name)


def _label(name: str, registry: Registry) -> str:
    """The label that the menu shows for a command; popup menus have labels of their own in the registry."""
    command = registry.commands.get(name)
    return command.label if command else name
