"""What the walk knows before Writer runs: registry, menus, dialogs, from files as LibreOffice writes them."""

from pathlib import Path

import pytest

from lam_train.apps.writer.walk.commands import Registry, plain
from lam_train.apps.writer.walk.dialogs import DialogDefinitions, read_definition
from lam_train.apps.writer.walk.menus import MENU_BAR, TOOLBARS, open_entries
from lam_train.errors import UserError

OOR = 'xmlns:oor="http://openoffice.org/2001/registry"'


def labels(name: str, **texts: str) -> str:
    props = "".join(
        f'<prop oor:name="{key}"><value xml:lang="de">falsch</value><value xml:lang="en-US">{text}</value></prop>'
        for key, text in texts.items()
    )
    return f'<node oor:name="{name}">{props}</node>'


def component(name: str, content: str) -> str:
    return f'<oor:component-data oor:name="{name}">{content}</oor:component-data>'


def key(name: str, command: str) -> str:
    return f'<node oor:name="{name}"><prop oor:name="Command"><value xml:lang="en-US">{command}</value></prop></node>'


GENERIC = component(
    "GenericCommands",
    labels(".uno:Bold", Label="Bold", TooltipLabel="Apply Bold")
    + labels(".uno:SelectAll", Label="Select ~All")
    + labels(".uno:Quit", Label="E~xit LibreOffice")
    + labels(".uno:RunMacro", Label="R~un Macro...")
    + labels(".uno:FormatMenu", Label="F~ormat")
    + labels(".uno:PickList", Label="~File"),
)
WRITER = component(
    "WriterCommands", labels(".uno:SelectAll", Label="All", ContextLabel="Select ~All Text...", PopupLabel="All of It")
)
KEYS = component(
    "Accelerators",
    '<node oor:name="PrimaryKeys"><node oor:name="Global">'
    + key("B_MOD1", ".uno:Open")
    + key("Q_MOD1", ".uno:Quit")
    + key("F12_SHIFT_MOD1", ".uno:SelectAll")
    + key("ADD_MOD1", ".uno:SelectAll")
    + key("HANGUL_HANJA", ".uno:SelectAll")
    + '</node><node oor:name="Modules"><node oor:name="com.sun.star.text.TextDocument">'
    + key("B_MOD1", ".uno:Bold")
    + '</node><node oor:name="com.sun.star.sheet.SpreadsheetDocument">'
    + key("J_MOD1", ".uno:Bold")
    + "</node></node></node>",
)
MENUS = """<menu:menubar xmlns:menu="http://openoffice.org/2001/menu">
<menu:menu menu:id=".uno:PickList"><menu:menupopup><menu:menuitem menu:id=".uno:Quit"/></menu:menupopup></menu:menu>
<menu:menu menu:id=".uno:FormatMenu"><menu:menupopup>
  <menu:menuitem menu:id=".uno:Bold"/><menu:menuseparator/><menu:menuitem menu:id=".uno:RunMacro"/>
  <menu:menu menu:id=".uno:Sub" menu:label="~More"><menu:menupopup>
    <menu:menuitem menu:id=".uno:SelectAll"/></menu:menupopup></menu:menu>
</menu:menupopup></menu:menu></menu:menubar>"""
BAR = """<t:toolbar xmlns:t="http://openoffice.org/2001/toolbar" xmlns:xlink="http://www.w3.org/1999/xlink">
<t:toolbaritem xlink:href=".uno:Bold"/><t:toolbaritem xlink:href=".uno:SelectAll" t:visible="false"/></t:toolbar>"""
PAGE = """<interface><object class="GtkDialog"><child><object class="GtkFrame">
<child type="label"><object class="GtkLabel"><property name="label">_Spacing</property></object></child>
<child><object class="GtkCheckButton" id="keep"><property name="label">_Keep together</property>
  <child internal-child="accessible"><object class="AtkObject">
    <property name="AtkObject::accessible-description">Keeps the lines
      together.</property></object></child></object></child>
<child><object class="GtkLabel"><property name="label">_Above:</property>
  <property name="mnemonic_widget">above</property></object></child>
<child><object class="GtkSpinButton" id="above"/></child>
<child><object class="GtkComboBoxText" id="line">
  <items><item>Single</item><item>Double</item></items>
  <child internal-child="accessible"><object class="AtkObject">
    <property name="AtkObject::accessible-name">Line</property></object></child></object></child>
</object></child></object></interface>"""


@pytest.fixture
def installation(tmp_path) -> Path:
    registry = tmp_path / "share/registry"
    registry.mkdir(parents=True)
    for file, content in (("main.xcd", GENERIC + KEYS), ("writer.xcd", WRITER)):
        (registry / file).write_text(f"<oor:data {OOR}>{content}</oor:data>", encoding="utf-8")
    for path, content in ((MENU_BAR, MENUS), (TOOLBARS[0], BAR), (TOOLBARS[1], BAR)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content, encoding="utf-8")
    return tmp_path


def test_commands_have_their_english_labels_and_writers_own_win(installation):
    commands = Registry(installation / "share/registry").commands
    bold, everything = commands[".uno:Bold"], commands[".uno:SelectAll"]
    assert (bold.label, bold.short, bold.tooltip) == ("Bold", "Bold", "Apply Bold")
    assert (everything.label, everything.short, everything.tooltip) == ("Select All Text", "All", "All of It")


def test_shortcuts_are_spelled_both_ways_and_the_modules_own_win(installation):
    shortcuts = {s.shown: (s.keys, s.command) for s in Registry(installation / "share/registry").shortcuts}
    assert shortcuts["Ctrl+B"] == ("^b", ".uno:Bold")  # not the global .uno:Open
    assert shortcuts["Ctrl+Shift+F12"] == ("^+{F12}", ".uno:SelectAll")
    assert shortcuts["Ctrl++"] == ("^{+}", ".uno:SelectAll")
    assert len(shortcuts) == 4  # no spreadsheet's, none that cannot be spelled


def test_only_entries_that_stay_within_the_document_are_walked(installation):
    entries = [str(entry) for entry in open_entries(installation, Registry(installation / "share/registry"))]
    assert entries[:2] == ["Format > Bold", "Format > More > Select All Text"]  # neither File nor macros
    assert "toolbar: Bold" in entries and "toolbar: All" not in entries  # a hidden button
    assert "keys: Ctrl+B" in entries and "keys: Ctrl+Q" not in entries


def test_a_folder_that_is_no_installation_is_named(tmp_path):
    with pytest.raises(UserError, match=r"registry cannot be read.*main\.xcd"):
        _ = Registry(tmp_path).commands
    with pytest.raises(UserError, match=r"menubar\.xml"):
        open_entries(tmp_path, Registry(tmp_path))


def test_a_definition_gives_groups_tips_and_choices(tmp_path):
    (tmp_path / "page.ui").write_text(PAGE, encoding="utf-8")
    controls = read_definition(tmp_path / "page.ui")
    assert controls["Keep together"].tip == "Keeps the lines together."
    assert controls["Keep together"].kind == "check" and controls["Above"].kind == "number"
    assert controls["Line"].choices == ("Single", "Double")
    assert {control.group for control in controls.values()} == {"Spacing"}
    (tmp_path / "broken.ui").write_text("<interface>", encoding="utf-8")
    assert read_definition(tmp_path / "broken.ui") == {}


def test_a_page_takes_the_definition_that_has_most_of_its_labels(tmp_path):
    folder = tmp_path / "share/config/soffice.cfg/cui/ui"
    folder.mkdir(parents=True)
    (folder / "a.ui").write_text(PAGE, encoding="utf-8")
    (folder / "b.ui").write_text(PAGE.replace("_Keep together", "Other"), encoding="utf-8")
    definitions = DialogDefinitions(tmp_path)
    assert "Keep together" in definitions.page(["Keep together", "Above:", "Line"])
    assert "Other" in definitions.page(["Other", "Above:", "Line"])
    assert definitions.page(["Nothing", "of", "this"]) == {}
    assert definitions.page(["Above", "and", "four", "other", "labels"]) == {}  # too few to be the same page


def test_labels_lose_their_marks_only():
    assert plain("~Paragraph...") == "Paragraph" and plain("_Width:") == "Width" and plain("A…") == "A"
    assert plain("1.5 Lines") == "1.5 Lines"
