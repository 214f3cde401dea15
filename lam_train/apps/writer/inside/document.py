"""The document's text as controls: paragraphs, table cells, headers, footers, footnotes, comments."""

import unohelper
from com.sun.star.util import XModifyListener


class Changes(unohelper.Base, XModifyListener):
    """Says whether the document changed since it was last read."""

    def __init__(self):
        self.changed = True

    def modified(self, event):
        self.changed = True

    def disposing(self, event):
        pass


def elements(container):
    """What a UNO enumeration holds, in order."""
    found = []
    enumeration = container.createEnumeration()
    while enumeration.hasMoreElements():
        found.append(enumeration.nextElement())
    return found


class Text:
    """Reads the document whole, and again only after a change."""

    def __init__(self, document):
        self.document = document
        self.changes = Changes()
        document.addModifyListener(self.changes)
        self.style_names = {}
        self.items = []  # (kind, UNO object, text, value)

    def forget(self):
        self.document.removeModifyListener(self.changes)

    def read(self):
        items = []
        self.read_text(self.document.Text, "", items)
        return items

    def read_text(self, text, place, items):
        for element in elements(text):
            if element.supportsService("com.sun.star.text.TextTable"):
                for name in element.CellNames:
                    cell = element.getCellByName(name)
                    items.append(("cell", cell, cell.String, f"{element.Name}.{name}"))
            else:
                items.append(("paragraph", element, element.String, place or self.style(element)))

    def style(self, paragraph):
        """The paragraph style's name as Writer shows it."""
        name = paragraph.ParaStyleName
        if name not in self.style_names:
            styles = self.document.StyleFamilies.getByName("ParagraphStyles")
            self.style_names[name] = styles.getByName(name).DisplayName
        return self.style_names[name]

    def controls(self, desk):
        # The listener hears of a change late when the window is busy; the flag alone is not trusted after an act.
        self.items = self.read()
        here = self.places()
        nodes = []
        for kind, thing, text, value in self.items:
            nodes.append(
                {
                    "handle": desk.handle((kind, thing)),
                    "role": "DOCUMENT",
                    "name": text,
                    "text": value,
                    "enabled": True,
                    "selected": thing in here,
                }
            )
        return nodes

    def places(self):
        """The paragraphs or the cell that hold the cursor or the ends of the selection."""
        cursor = self.document.CurrentController.ViewCursor
        cell = cursor.Cell
        if cell is not None:
            return [cell]
        return [cursor.TextParagraph, cursor.Start.TextParagraph]

    def selection(self):
        return self.document.CurrentController.ViewCursor.String

    def select(self, controller, item, text):
        """Selects an item's content, or the first occurrence of `text` in it; says whether it was there."""
        kind, thing = item
        target = thing.Text if kind == "cell" else thing
        if text is None:
            cursor = thing.createTextCursor() if kind == "cell" else thing.Text.createTextCursorByRange(thing.Start)
            if kind == "cell":
                cursor.gotoStart(False)
                cursor.gotoEnd(True)
            else:
                cursor.gotoRange(thing.End, True)
            controller.select(cursor)
            return True
        start = target.String.find(text)
        if start < 0:
            return False
        cursor = thing.createTextCursor() if kind == "cell" else thing.Text.createTextCursorByRange(thing.Start)
        cursor.collapseToStart()
        cursor.goRight(start, False)
        cursor.goRight(len(text), True)
        controller.select(cursor)
        return True

    def cursor_to(self, controller, item):
        """Puts the cursor at the item's end, nothing selected."""
        _, thing = item
        controller.ViewCursor.gotoRange(thing.End, False)

    def find(self, controller, text):
        search = self.document.createSearchDescriptor()
        search.SearchString = text
        search.SearchCaseSensitive = True
        found = self.document.findFirst(search)
        if found is None:
            return False
        controller.select(found)
        return True

    def select_table(self, controller, number):
        """Selects a table whole, by its number from 1 in the order of the document; says whether there is one."""
        tables = [e for e in elements(self.document.Text) if e.supportsService("com.sun.star.text.TextTable")]
        if not 1 <= number <= len(tables):
            return False
        table = tables[number - 1]
        names = table.CellNames
        controller.select(table.getCellRangeByName(f"{names[0]}:{names[-1]}") if len(names) > 1 else table)
        return True
