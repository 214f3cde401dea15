"""What can be asked of Writer from outside: each method is one request, run on the main thread."""

import document
import keys
import toolbars
import tree
import uno
from com.sun.star.beans import PropertyValue


def properties(**values):
    return tuple(PropertyValue(Name=name, Value=value) for name, value in values.items())


class Desk:
    """The one document that is open, its window, and the controls of the last observation by number."""

    def __init__(self, context):
        self.context = context
        self.toolkit = self.service("com.sun.star.awt.Toolkit")
        self.desktop = self.service("com.sun.star.frame.Desktop")
        self.dispatcher = self.service("com.sun.star.frame.DispatchHelper")
        self.document = None
        self.handles = []
        self.menu = []  # accessible objects of the open menus, outermost first

    def service(self, name):
        return self.context.ServiceManager.createInstanceWithContext(name, self.context)

    # --- the document

    def open(self, url, width, height):
        """Opens the document and shows it, macros off and links not followed; closes what was open."""
        self.close_document()
        loaded = self.desktop.loadComponentFromURL(
            url, "_blank", 0, properties(MacroExecutionMode=0, UpdateDocMode=0, Silent=True)
        )
        if loaded is None or not loaded.supportsService("com.sun.star.text.TextDocument"):
            if loaded is not None:
                loaded.close(True)
            return False
        self.document = loaded
        self.controller = loaded.CurrentController
        self.frame = self.controller.Frame
        self.window = self.frame.ContainerWindow
        self.window.setPosSize(0, 0, width, height, 15)
        self.toolkit.processEventsToIdle()  # the window is laid out
        self.text = document.Text(loaded)
        self.bars = toolbars.Bars(self)
        return True

    def close_document(self):
        if self.document is not None:
            self.text.forget()
            self.document.setModified(False)
            self.document.close(True)
            self.document = None

    def store(self, url):
        self.document.storeToURL(url, properties(FilterName="MS Word 2007 XML", Overwrite=True))

    # --- observing

    def tops(self):
        windows = [self.toolkit.getTopWindow(index) for index in range(self.toolkit.getTopWindowCount())]
        return [(window, window.getAccessibleContext()) for window in windows]

    def focused(self):
        """("menu" | "dialog" | "document", its top window or None, its accessible object or None)."""
        for window, accessible in self.tops():
            if accessible is None:
                if self.menu:
                    return "menu", window, self.menu[-1]
                continue
            if tree.is_dialog(accessible):
                return "dialog", window, accessible
        return "document", self.window, None

    def observe(self):
        kind, _, accessible = self.focused()
        if kind != "menu":
            self.menu = []
        self.handles = []
        if kind == "menu":
            return {"kind": kind, "title": accessible.getAccessibleName(), "nodes": tree.menu_items(self, accessible)}
        if kind == "dialog":
            return {"kind": kind, "title": accessible.getAccessibleName(), "nodes": tree.dialog(self, accessible)}
        nodes = self.bars.menus() + self.bars.controls() + self.text.controls(self)
        return {"kind": kind, "title": self.frame.Title, "nodes": nodes, "selection": self.text.selection()}

    def handle(self, thing):
        self.handles.append(thing)
        return len(self.handles) - 1

    # --- acting on a control of the last observation

    def click(self, handle):
        self.handles[handle].doAccessibleAction(0)

    def open_menu(self, handle):
        """Opens a menu of the menu bar, or one inside an open menu."""
        menu = self.handles[handle]
        menu.doAccessibleAction(0)
        self.menu.append(menu)

    def close_menus(self):
        for _ in range(len(self.menu)):
            self.press([["ESCAPE", "", 0]])
        self.menu = []

    def tab(self, handle):
        page, index = self.handles[handle]
        page.selectAccessibleChild(index)

    def focus(self, handle):
        self.handles[handle].grabFocus()

    def focus_inner(self, handle):
        """Focuses the field inside a toolbar's combo box."""
        tree.first_of(self.handles[handle], "TEXT").grabFocus()

    def focus_document(self):
        self.frame.ComponentWindow.setFocus()

    def press(self, keystrokes):
        """Key presses as a keyboard makes them, to the focused window; [key's name, character, modifiers] each."""
        kind, window, _ = self.focused()
        keys.press(self.toolkit, self.window if kind == "menu" or window is None else window, keystrokes)

    # --- acting on the document's text

    def select_item(self, handle, text=None):
        return self.text.select(self.controller, self.handles[handle], text)

    def cursor_to(self, handle):
        self.text.cursor_to(self.controller, self.handles[handle])

    def find(self, text):
        return self.text.find(self.controller, text)

    def replace_item(self, handle, text):
        self.text.select(self.controller, self.handles[handle], None)
        self.dispatch(".uno:InsertText", Text=text) if text else self.dispatch(".uno:Delete")

    def select_table(self, number):
        return self.text.select_table(self.controller, number)

    def insert_table(self, rows, columns):
        self.dispatch(".uno:InsertTable", Rows=uno.Any("long", rows), Columns=uno.Any("long", columns))

    def dispatch(self, command, **arguments):
        self.dispatcher.executeDispatch(self.frame, command, "", 0, properties(**arguments))
