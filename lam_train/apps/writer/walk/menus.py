"""Writer's menu bar as its own definition gives it: every entry with its path and its command."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lxml import etree

from lam_train.apps.writer.walk.commands import Registry, plain
from lam_train.errors import UserError

MENU_BAR = Path("share/config/soffice.cfg/modules/swriter/menubar/menubar.xml")
_MENU = "{http://openoffice.org/2001/menu}"

# Menus that reach out of the document (files, network, printing, macros, help) are not walked; the environment
# refuses what they do.
CLOSED_MENUS = ("File", "Window", "Help")
CLOSED_COMMANDS = frozenset(
    f".uno:{name}"
    for name in """
    InsertGraphic InsertAVMedia InsertObject InsertDoc Scan TwainSelect TwainTransfer InsertObjectFloatingFrame
    InsertSignatureLine CompareDocuments MergeDocuments LoadStyles ChangePicture SaveGraphic ExternalEdit LinkDialog
    MailMergeWizard AddressBookSource BibliographyComponent MacrosMenu MacroRecorder RunMacro BasicIDEAppear
    ScriptOrganizer MacroSignature OpenXMLFilterSettings DevelopmentToolsDockingWindow MoreDictionaries
    ViewDataSourceBrowser ToolbarModeUI FullScreen EditDoc RedactDoc AutoRedactDoc ExtendedHelp EditGlossary
    UpdateAllLinks InsertEnvelope NewGlobalDoc OpenReadOnly InsertObjectChart InsertObjectStarMath ImageControl
    FileControl Grid ShowFmExplorer NavigationBar ProtectTraceChangeMode SendFeedback ConfigureDialog InsertQrCode
    """.split()
) | {"service:com.sun.star.deployment.ui.PackageManagerDialog"}


@dataclass(frozen=True)
class MenuEntry:
    """An entry of the menu bar: the labels from the menu down to it, and the command that it gives."""

    path: tuple[str, ...]
    command: str

    def __str__(self) -> str:
        return " > ".join(self.path)


def menu_entries(installation: Path, registry: Registry) -> list[MenuEntry]:
    """All entries of Writer's menu bar that have a command, in order. Raises UserError where it cannot be read."""
    file = installation / MENU_BAR
    try:
        root = etree.parse(str(file)).getroot()
    except (OSError, etree.XMLSyntaxError) as error:
        raise UserError(f"{file}: Writer's menu bar cannot be read: {error}") from None
    return list(_entries(root, (), registry))


def is_open(entry: MenuEntry) -> bool:
    """Whether the walk may choose it: it stays within the document."""
    macro = entry.command.startswith(".uno:MacroOrganizer")
    return entry.path[0] not in CLOSED_MENUS and entry.command not in CLOSED_COMMANDS and not macro


def _entries(element: etree._Element, path: tuple[str, ...], registry: Registry) -> Iterator[MenuEntry]:
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
            yield MenuEntry((*path, label), name)


def _label(name: str, registry: Registry) -> str:
    """The label that the menu shows for a command; popup menus have labels of their own in the registry."""
    command = registry.commands.get(name)
    return command.label if command else name
