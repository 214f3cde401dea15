"""What can be asked of Writer from outside: each method is one request, run on the main thread."""

import document
import keys
import mouse
import picture
import state
import toolbars
import tree
import uno
import unohelper
from com.sun.star.beans import NamedValue, PropertyValue
from com.sun.star.task import XInteractionHandler

ABORT, DISAPPROVE = "com.sun.star.task.XInteractionAbort", "com.sun.star.task.XInteractionDisapprove"
CONFIGURATION = "com.sun.star.configuration.ConfigurationUpdateAccess"


def properties(**values):
    return tuple(PropertyValue(Name=name, Value=value) for name, value in values.items())


class Refusal(unohelper.Base, XInteractionHandler):
    """Says no to whatever is asked while a document is loaded: to repair it, for its password, to run its macros."""

    def handle(self, request):
        continuations = request.getContinuations()
        for kind in (ABORT, DISAPPROVE):
            for continuation in continuations:
                if continuation.queryInterface(uno.getTypeByName(kind)) is not None:
                    continuation.select()
                    return


STILL = 3  # looks that must come out the same


class Desk:
    """The one document that is open, its window, and the controls of the last observation by number."""

    def __init__(self, context):
        self.context = context
        self.toolkit = self.service("com.sun.star.awt.Toolkit")
        self.desktop = self.service("com.sun.star.frame.Desktop")
        self.dispatcher = self.service("com.sun.star.frame.DispatchHelper")
        self.document = None
        self.handles = []
        self.dialog = None  # title and names of the dialog that was observed last
        self.menu = []  # accessible objects of the open menus, outermost first

    def service(self, name):
        return self.context.ServiceManager.createInstanceWithContext(name, self.context)

    # --- the document

    def open(self, url, width, height):
        """Opens the document and shows it, macros off and links not followed; closes what was open."""
        self.close_document()
        how = properties(MacroExecutionMode=0, UpdateDocMode=0, Silent=True, InteractionHandler=Refusal())
        try:
            loaded = self.desktop.loadComponentFromURL(url, "_blank", 0, how)
        except Exception:  # LibreOffice raises it for what it cannot read
            return False
        if loaded is None or not loaded.supportsService("com.sun.star.text.TextDocument"):
            if loaded is not None:
                loaded.close(True)
            return False
        self.document = loaded
        self.frame = loaded.CurrentController.Frame
        self.window = self.frame.ContainerWindow
        self.window.setPosSize(0, 0, width, height, 15)
        self.toolkit.processEventsToIdle()  # the window is laid out
        self.frame.ComponentWindow.setFocus()
        self.forget_dialogs()
        self.text = document.Text(loaded)
        self.bars = None
        return True

    def say_no(self):
        """Closes a message box that stands before all else."""
        window, accessible = self.tops()[0]
        if accessible is not None and accessible.getAccessibleRole() == tree.ROLE.ALERT:
            keys.press(self.toolkit, window, [["ESCAPE", "", 0]])

    def close_document(self):
        if self.document is not None:
            self.document.setModified(False)
            self.document.close(True)
            self.document = None

    def store(self, url):
        self.document.storeToURL(url, properties(FilterName="MS Word 2007 XML", Overwrite=True))

    # --- starting again

    def remember(self, path):
        """Keeps what the document is now, so that `restore` can tell whether it is that again; gives the switches
        of the view, which Writer keeps from one document to the next."""
        self.store(uno.systemPathToFileUrl(path))
        view = state.of_view(self.document.CurrentController)
        self.first = (state.of_file(path), view)
        return [switch for switch in view if switch[1] in ("True", "False")]

    def restore(self, path):
        """Undoes everything; says whether the document and its view are then exactly what was remembered."""
        undo = self.document.UndoManager
        while undo.isUndoPossible():
            undo.undo()
        undo.clear()
        self.document.setModified(False)
        self.store(uno.systemPathToFileUrl(path))
        if (state.of_file(path), state.of_view(self.document.CurrentController)) != self.first:
            return False
        self.forget_dialogs()
        self.frame.ComponentWindow.setFocus()
        self.document.CurrentController.ViewCursor.gotoStart(False)
        return True

    def forget_dialogs(self):
        """A dialog opens as it was left last, in another episode, too: these are the records of it."""
        provider = self.service("com.sun.star.configuration.ConfigurationProvider")
        for kind in ("TabDialogs", "Dialogs", "TabPages"):
            path = NamedValue("nodepath", "/org.openoffice.Office.Views/" + kind)
            records = provider.createInstanceWithArguments(CONFIGURATION, (path,))
            names = records.getElementNames()
            for name in names:
                records.removeByName(name)
            if names:
                records.commitChanges()

    # --- observing

    def tops(self):
        windows = [self.toolkit.getTopWindow(index) for index in range(self.toolkit.getTopWindowCount())]
        return [(window, window.getAccessibleContext()) for window in windows if hasattr(window, "isVisible")]

    def focused(self):
        """("menu" | "dialog" | "document", its top window, its accessible object)."""
        for window, accessible in self.tops():
            if accessible is None:  # a menu has none
                self.menu = tree.open_menus(self.window.getAccessibleContext())
                if self.menu:
                    return "menu", window, self.menu[-1]
            elif tree.stands_before(accessible):
                return "dialog", window, accessible
        self.menu = []
        return "document", self.window, None

    def observe(self):
        """What shows: the open menu, else the dialog in front, else the window with the document's text."""
        kind, _, accessible = self.focused()
        self.handles = []
        if kind == "menu":
            title = " > ".join(menu.getAccessibleName() for menu in self.menu)
            return {"kind": kind, "title": title, "nodes": tree.menu_items(self, accessible), "still": 0}
        if kind == "dialog":
            nodes, messages = tree.dialog(self, accessible)
            title = accessible.getAccessibleName()
            known, self.dialog = self.dialog, (title, [node["name"] for node in nodes])
            still = 1 if known == self.dialog else STILL
            return {"kind": kind, "title": title, "nodes": nodes, "messages": messages, "still": still}
        self.dialog = None
        self.document.CurrentController.getSelection()  # Writer notes at once where the cursor is: commands' states
        if tree.STATE.ACTIVE not in tree.states_of(self.window.getAccessibleContext()):
            self.window.toFront()  # a closed dialog leaves the focus nowhere, and menus would stay shut
        self.bars = self.bars or toolbars.Bars(self)
        nodes = self.bars.menus() + self.bars.controls() + self.text.nodes(self)
        return {"kind": kind, "title": self.frame.Title, "nodes": nodes, "still": 0}

    def lay_out(self):
        """How many buttons of a new window's toolbars have found their place."""
        return {"buttons": toolbars.showing(self.window), "still": STILL}

    def pause(self):
        """Nothing, for the time that the rounds after it take."""

    def handle(self, thing):
        self.handles.append(thing)
        return len(self.handles) - 1

    def picture(self, path):
        """Writes what the window shows, with what stands before it, as one BMP file a window."""
        return picture.write(self, path)

    # --- acting on a control of the last observation

    def click(self, handle):
        self.handles[handle].doAccessibleAction(0)

    def open_menu(self, handle):
        """Opens a menu of the menu bar, or one inside an open menu."""
        self.handles[handle].doAccessibleAction(0)

    def close_menus(self):
        for _ in self.menu:
            keys.press(self.toolkit, self.window, [["ESCAPE", "", 0]])
        self.menu = []

    def tab(self, handle):
        tabs, index = self.handles[handle]
        tabs.selectAccessibleChild(index)

    def choose(self, handle, count=1):
        """Clicks a control of a dialog with the mouse; an entry of a list that is out of sight is selected without."""
        entry = self.handles[handle]
        _, window, _ = self.focused()
        if tree.STATE.SHOWING in tree.states_of(entry):
            mouse.click(self.toolkit, window, entry, count)
        else:
            entry.getAccessibleParent().getAccessibleContext().selectAccessibleChild(entry.getAccessibleIndexInParent())

    def middle(self, handle):
        """Where on the screen the middle of a control is; None when it is out of sight."""
        control = self.handles[handle]
        if tree.STATE.SHOWING not in tree.states_of(control):
            return None
        return mouse.middle(control)

    def choose_text(self, handle, text):
        """Chooses an entry of a drop-down list by its text; says whether there is one."""
        names = self.choices(handle)
        if text not in names:
            return False
        tree.first_of(self.handles[handle], "LIST").selectAccessibleChild(names.index(text))
        return True

    def choices(self, handle):
        """The texts of a drop-down list."""
        entries = tree.first_of(self.handles[handle], "LIST")
        return [entry.getAccessibleName() for _, entry in tree.children(entries)] if entries is not None else []

    def focus(self, handle):
        """Focuses a field; of a combo box, the field inside it."""
        control = self.handles[handle]
        (tree.first_of(control, "TEXT") or control).grabFocus()

    def press(self, keystrokes):
        """Key presses as a keyboard makes them, to the focused window; [key's name, character, modifiers] each."""
        kind, window, _ = self.focused()
        keys.press(self.toolkit, self.window if kind == "menu" else window, keystrokes)

    # --- acting on the document's text

    def select_item(self, handle, text=None):
        self.frame.ComponentWindow.setFocus()
        return self.text.select(self.handles[handle], text)

    def cursor_to(self, handle):
        self.frame.ComponentWindow.setFocus()
        self.text.cursor_to(self.handles[handle])

    def find(self, text):
        self.frame.ComponentWindow.setFocus()
        return self.text.find(text)

    def replace_item(self, handle, text):
        """Types over an item's text; an empty text deletes it."""
        item = self.handles[handle]
        if item.kind == "comment":
            item.thing.Content = text
            return
        self.select_item(handle)
        if text:
            self.dispatch(".uno:InsertText", Text=text)
        elif item.text:
            self.dispatch(".uno:Delete")

    def select_table(self, number):
        self.frame.ComponentWindow.setFocus()
        return self.text.select_table(number)

    def insert_table(self, rows, columns):
        self.dispatch(".uno:InsertTable", Rows=uno.Any("long", rows), Columns=uno.Any("long", columns))

    def scroll(self, lines):
        bar = tree.first_of(self.window.getAccessibleContext(), "SCROLL_BAR")
        line = max(1, (bar.getMaximumValue() - bar.getMinimumValue()) // 100)
        bar.setCurrentValue(bar.getCurrentValue() + lines * line)

    def dispatch(self, command, **arguments):
        self.dispatcher.executeDispatch(self.frame, command, "", 0, properties(**arguments))
