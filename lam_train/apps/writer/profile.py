"""A throw-away LibreOffice profile: what Writer may do, and nothing that depends on when or where it runs."""

import shutil
from pathlib import Path
from xml.sax.saxutils import quoteattr

INSIDE = Path(__file__).parent / "inside"

REFUSED = (
    # files
    "AddDirect", "NewDoc", "Open", "OpenFromWriter", "OpenRemote", "OpenUrl", "OpenFromCalc", "OpenTemplate", "Save",
    "SaveAs", "SaveAsRemote", "SaveACopy", "SaveAll", "SaveAsTemplate", "SaveSimple", "ExportTo", "ExportToPDF",
    "ExportDirectToPDF", "ExportDirectToEPUB", "ExportToEPUB", "Print", "PrintDefault", "PrinterSetup",
    "PrintPreview", "Reload", "VersionDialog", "SendMail", "SendMailDocAsPDF", "SendMailDocAsMS", "SendMailDocAsOOo",
    "SendFax", "CloseDoc", "CloseWin", "CloseWinDoc", "Quit", "CloseFrag", "NewWindow", "RecentFileList",
    "ClearRecentFileList", "InsertDoc", "InsertGraphic", "InsertGraphicLink", "InsertObject", "InsertPlugin",
    "InsertAVMedia", "InsertObjectFloatingFrame", "InsertObjectChart", "Gallery", "ImportFromFile",
    "CompareDocuments", "MergeDocuments", "NewGlobalDoc", "NewHtmlDoc", "Scan", "TwainSelect", "TwainTransfer",
    "ManageTemplates", "TemplateManager", "NewDocFromTemplate", "AutoPilotMenu", "LoadStyles", "FileDocument",
    "Signature", "SignPDF", "SetDocumentProperties", "WebHtml", "EditLinks", "ManageLinks", "MailMergeWizard",
    "MergeDialog",
    # code and the application itself
    "MacroDialog", "RunMacro", "MacroRecorder", "MacroOrganizer", "ScriptOrganizer", "BasicIDEAppear", "RunBasic",
    "StopRecording", "OpenXMLFilterSettings", "OptionsTreeDialog", "ConfigureDialog", "ToolbarMode", "ToolbarModeUI",
    "SafeMode", "FullScreen", "AutoCorrectDlg", "ViewDataSourceBrowser", "ExchangeDatabase", "DatabaseDialog",
    "AddressBookSource",
    # the document's mode, which opens it anew
    "EditDoc", "ReadOnlyDoc",
    # windows that stay open from one document to the next
    "Navigator", "DesignerDialog", "Sidebar", "SidebarMenu", "SidebarDeck.StyleListDeck", "SidebarDeck.PropertyDeck",
    "SidebarDeck.NavigatorDeck", "SidebarDeck.GalleryDeck", "InsertFormula", "EditFormula", "BibliographyComponent",
    # the outside world
    "HelpIndex", "HelpOnHelp", "ExtendedHelp", "HelpSupport", "QuickStart", "HelperDialog", "OnlineUpdate",
    "CheckForUpdates", "SendFeedback", "ShowLicense", "About", "TipOfTheDay", "Documentation", "QuestionAnswers",
    "GetInvolved", "Donation", "MoreDictionaries", "WhatsNew", "OnlineHelp", "StarMath", "Translate", "SearchMore",
    "AdditionsDialog", "BrowseMore", "OpenHyperlinkOnCursor",
)  # fmt: skip

VALUES = (
    ("/org.openoffice.Office.Common/Misc", "FirstRun", "boolean", "false"),
    ("/org.openoffice.Office.Common/Misc", "ShowTipOfTheDay", "boolean", "false"),
    ("/org.openoffice.Office.Common/Misc", "UseSystemFileDialog", "boolean", "false"),
    ("/org.openoffice.Office.Common/Misc", "CollectUsageInformation", "boolean", "false"),
    ("/org.openoffice.Office.Common/Misc", "CrashReport", "boolean", "false"),
    ("/org.openoffice.Office.Common/Misc", "PerformFileExtCheck", "boolean", "false"),
    ("/org.openoffice.Setup/Product", "ooSetupLastVersion", "string", "99.9"),
    ("/org.openoffice.Setup/Office", "ooSetupInstCompleted", "boolean", "true"),
    ("/org.openoffice.Setup/Office", "LastCompatibilityCheckID", "string", "none"),
    ("/org.openoffice.Setup/L10N", "ooLocale", "string", "en-US"),
    ("/org.openoffice.Setup/L10N", "ooSetupSystemLocale", "string", "en-US"),
    # macros: never, and nobody is asked
    ("/org.openoffice.Office.Common/Security/Scripting", "MacroSecurityLevel", "int", "3"),
    ("/org.openoffice.Office.Common/Security/Scripting", "DisableMacrosExecution", "boolean", "true"),
    ("/org.openoffice.Office.Common/Security/Scripting", "DisableActiveContent", "boolean", "true"),
    ("/org.openoffice.Office.Common/Security/Scripting", "BlockUntrustedRefererLinks", "boolean", "true"),
    ("/org.openoffice.Office.Common/Security/Scripting", "HyperlinksWithCtrlClick", "boolean", "true"),
    # no saving behind the scenes
    ("/org.openoffice.Office.Recovery/AutoSave", "Enabled", "boolean", "false"),
    ("/org.openoffice.Office.Recovery/RecoveryInfo", "Enabled", "boolean", "false"),
    ("/org.openoffice.Office.Common/Save/Document", "WarnAlienFormat", "boolean", "false"),
    ("/org.openoffice.Office.Common/Save/Document", "UseUserData", "boolean", "false"),
    ("/org.openoffice.Office.Common/Save/Document", "CreateBackup", "boolean", "false"),
    ("/org.openoffice.Office.Common/History", "Size", "int", "0"),
    ("/org.openoffice.Office.Writer/Content/Update", "Link", "int", "1"),  # links are never updated
    # what is typed is what is written
    ("/org.openoffice.Office.Writer/AutoFunction/Completion", "Enable", "boolean", "false"),
    ("/org.openoffice.Office.Common/AutoCorrect", "Exceptions/TwoCapitalsAtStart", "boolean", "false"),
    ("/org.openoffice.Office.Common/AutoCorrect", "CapitalAtStartSentence", "boolean", "false"),
    ("/org.openoffice.Office.Common/AutoCorrect", "TwoCapitalsAtStart", "boolean", "false"),
    ("/org.openoffice.Office.Common/AutoCorrect", "UseReplacementTable", "boolean", "false"),
    ("/org.openoffice.Office.Common/AutoCorrect", "ReplaceSingleQuote", "boolean", "false"),
    ("/org.openoffice.Office.Common/AutoCorrect", "ReplaceDoubleQuote", "boolean", "false"),
    ("/org.openoffice.Office.Common/AutoCorrect", "SetInetAttribute", "boolean", "false"),
    ("/org.openoffice.Office.Common/AutoCorrect", "ChangeOrdinalNumber", "boolean", "false"),
    ("/org.openoffice.Office.Common/AutoCorrect", "ChangeDash", "boolean", "false"),
    ("/org.openoffice.Office.Common/AutoCorrect", "AddNonBrkSpace", "boolean", "false"),
    ("/org.openoffice.Office.Common/AutoCorrect", "RemoveDoubleSpaces", "boolean", "false"),
    ("/org.openoffice.Office.Common/AutoCorrect", "CorrectAccidentalCapsLock", "boolean", "false"),
    ("/org.openoffice.Office.Writer/AutoFunction/Format/ByInput", "Enable", "boolean", "false"),
    ("/org.openoffice.Office.Linguistic/SpellChecking", "IsSpellAuto", "boolean", "false"),
    ("/org.openoffice.Office.Common/Undo", "Steps", "int", "10000"),
    # a window without what no task needs
    ("/org.openoffice.Office.Common/View/Menu", "ShowIconsInMenues", "boolean", "false"),
    ("/org.openoffice.Office.Writer/Layout/Window", "HorizontalRuler", "boolean", "false"),
)


NO_SIDEBAR = (
    '<item oor:path="/org.openoffice.Office.Views/Windows"><node oor:name="swriter/10336" oor:op="replace">'
    '<prop oor:name="Visible" oor:op="fuse"><value>false</value></prop></node></item>'
)


def write_profile(folder: Path) -> None:
    """Makes a profile in an empty folder: the registry's differences from the defaults, and our script."""
    scripts = folder / "user" / "Scripts" / "python"
    scripts.mkdir(parents=True)
    shutil.copy(INSIDE / "macro.py", scripts)
    modules = scripts / "pythonpath"
    modules.mkdir()
    for module in INSIDE.glob("*.py"):
        if module.name not in ("macro.py", "__init__.py"):
            shutil.copy(module, modules)
    (folder / "user" / "registrymodifications.xcu").write_text(registry(), encoding="utf-8")


def registry() -> str:
    """The registry's differences as XML."""
    items = [NO_SIDEBAR] + [value_item(*value) for value in VALUES] + [refused_item(command) for command in REFUSED]
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<oor:items xmlns:oor="http://openoffice.org/2001/registry" '
        'xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
    )
    return "\n".join([head, *items, "</oor:items>\n"])


def value_item(path: str, name: str, kind: str, value: str) -> str:
    return (
        f'<item oor:path={quoteattr(path)}><prop oor:name={quoteattr(name)} oor:op="fuse">'
        f"<value>{value}</value></prop></item>"
    )


def refused_item(command: str) -> str:
    """Commands can be switched off for good: by key, menu, toolbar or dispatch, they do nothing."""
    return (
        '<item oor:path="/org.openoffice.Office.Commands/Execute/Disabled">'
        f'<node oor:name={quoteattr(command)} oor:op="replace"><prop oor:name="Command" oor:op="fuse">'
        f"<value>{command}</value></prop></node></item>"
    )
