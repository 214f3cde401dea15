"""The menu bar and the toolbars: names read once a window, states asked of the commands themselves.

The buttons on the screen follow a change after up to 0.3 s; a command's own status is true at once.
"""

import tree
import unohelper
from com.sun.star.frame import XStatusListener
from com.sun.star.util import URL

BARS = {"Standard": "standardbar", "Formatting": "textobjectbar"}
COMBO_VALUES = {".uno:StyleApply": "StyleName", ".uno:CharFontName": "Name", ".uno:FontHeight": "Height"}


class Status(unohelper.Base, XStatusListener):
    """Keeps the last status that a command told."""

    event = None

    def statusChanged(self, event):
        self.event = event

    def disposing(self, event):
        pass


def of_window(window):
    parts = [part for _, part in tree.children(window.getAccessibleContext())]
    return [bar for part in parts for _, bar in tree.children(part) if tree.role_of(bar) == "TOOL_BAR"]


def showing(window):
    """The number of the toolbars' buttons that show."""
    buttons = [button for bar in of_window(window) for _, button in tree.children(bar)]
    return sum(tree.STATE.SHOWING in tree.states_of(button) for button in buttons)


class Bars:
    def __init__(self, desk):
        self.desk = desk
        self.urls = desk.service("com.sun.star.util.URLTransformer")
        self.status = Status()
        self.menu_bar = tree.first_of(desk.window.getAccessibleContext(), "MENU_BAR")
        self.menu_nodes = [(menu, menu.getAccessibleName()) for _, menu in tree.children(self.menu_bar)]
        self.items = [item for bar in of_window(desk.window) for item in self.items_of(bar)]

    def items_of(self, bar):
        """(accessible object, role, name, longer name, command's dispatch, its URL) of each button that shows."""
        if bar.getAccessibleName() not in BARS:
            return
        commands = self.commands(BARS[bar.getAccessibleName()])
        for _, button in tree.children(bar):
            name = button.getAccessibleName()
            at = next((at for at, (_, short, _) in enumerate(commands) if short == name), None)
            if not name or at is None:
                continue
            command, _, long_name = commands[at]
            del commands[: at + 1]  # both go in the same order
            dispatch, url = self.dispatch(command)
            if tree.STATE.SHOWING in tree.states_of(button) and dispatch is not None:
                yield button, tree.role_of(button), name, long_name, dispatch, url

    def commands(self, bar_name):
        """(command, the button's name, a longer name) of a toolbar's buttons in order."""
        labels = self.desk.service("com.sun.star.frame.UICommandDescription").getByName(
            "com.sun.star.text.TextDocument"
        )
        settings = self.desk.frame.LayoutManager.getElement("private:resource/toolbar/" + bar_name).getSettings(True)
        found = []
        for index in range(settings.getCount()):
            command = next((value.Value for value in settings.getByIndex(index) if value.Name == "CommandURL"), "")
            if command and labels.hasByName(command):
                label = {value.Name: value.Value for value in labels.getByName(command)}
                long_name = (label.get("TooltipLabel") or label.get("Label", "")).replace("~", "").rstrip(".")
                found.append((command, label.get("Name", ""), long_name))
        return found

    def dispatch(self, command):
        url = URL()
        url.Complete = command
        _, url = self.urls.parseStrict(url)
        return self.desk.frame.queryDispatch(url, "", 0), url

    def menus(self):
        return [
            {"handle": self.desk.handle(menu), "role": "MENU", "name": name, "enabled": True}
            for menu, name in self.menu_nodes
        ]

    def controls(self):
        nodes = []
        for button, role, name, long_name, dispatch, url in self.items:
            self.status.event = None
            dispatch.addStatusListener(self.status, url)
            dispatch.removeStatusListener(self.status, url)
            event = self.status.event
            found = {
                "handle": self.desk.handle(button),
                "role": role,
                "name": name,
                "long_name": long_name,
                "command": url.Complete,
                "enabled": event is not None and event.IsEnabled,
            }
            state = event.State if event is not None else None
            if isinstance(state, bool):
                found["checked"] = state
            if url.Complete in COMBO_VALUES:
                found["role"] = "COMBO_BOX"
                found["text"] = value_text(getattr(state, COMBO_VALUES[url.Complete], ""))
            nodes.append(found)
        return nodes


def value_text(value):
    return f"{value:g}" if isinstance(value, float) else str(value)
