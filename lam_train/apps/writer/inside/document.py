"""The document's text as controls: paragraphs, table cells, headers, footers, notes, frames, comments."""

import functools

TABLE = "com.sun.star.text.TextTable"


def elements(container):
    """What a UNO enumeration holds, in order."""
    found = []
    enumeration = container.createEnumeration()
    while enumeration.hasMoreElements():
        found.append(enumeration.nextElement())
    return found


def indexed(container):
    return [container.getByIndex(index) for index in range(container.getCount())]


class Item:
    """A piece of text: its kind, its UNO object, and what the observation shows of it."""

    def __init__(self, kind, thing, text, value):
        self.kind = kind  # "paragraph", "cell" or "comment"
        self.thing = thing
        self.text = text
        self.value = value

    def cursor(self):
        """A text cursor over the whole of it."""
        if self.kind == "cell":
            cursor = self.thing.createTextCursor()
            cursor.gotoStart(False)
            cursor.gotoEnd(True)
        else:
            cursor = self.thing.Text.createTextCursorByRange(self.thing.Start)
            cursor.gotoRange(self.thing.End, True)
        return cursor


class Text:
    def __init__(self, document):
        self.document = document
        self.style_names = {}

    # --- reading

    def items(self):
        """The whole document: the body first, in its order, then what stands apart from it."""
        found = self.of_text(self.document.Text, None)
        for part in ("Header", "Footer"):
            found += self.of_page_parts(part)
        for name, notes in (("Footnote", self.document.Footnotes), ("Endnote", self.document.Endnotes)):
            for number, note in enumerate(indexed(notes), start=1):
                found += self.of_text(note, f"{name} {number}")
        for frame in indexed(self.document.TextFrames):
            found += self.of_text(frame, frame.Name)
        for number, comment in enumerate(self.comments(), start=1):
            found.append(Item("comment", comment, comment.Content, f"Comment {number}"))
        return found

    def of_text(self, text, place):
        """Paragraphs and table cells; their value is the style or the cell's name, or else the place they are in."""
        found = []
        for element in elements(text):
            if element.supportsService(TABLE):
                for name in element.CellNames:
                    cell = element.getCellByName(name)
                    found.append(Item("cell", cell, cell.String, f"{element.Name}.{name}"))
            elif element.supportsService("com.sun.star.text.Paragraph"):
                found.append(Item("paragraph", element, element.String, place or self.style(element)))
        return found

    def of_page_parts(self, part):
        """The headers or footers of the page styles in use: of all pages, else of right, left and first pages."""
        found = []
        for style in indexed(self.document.StyleFamilies.getByName("PageStyles")):
            if not style.isInUse() or not style.getPropertyValue(part + "IsOn"):
                continue
            texts = [(part, style.getPropertyValue(part + "Text"))]
            if not style.getPropertyValue(part + "IsShared"):
                texts.append((part + " (left pages)", style.getPropertyValue(part + "TextLeft")))
            if not style.getPropertyValue("FirstIsShared"):
                texts.append((part + " (first page)", style.getPropertyValue(part + "TextFirst")))
            for place, text in texts:
                if text is not None:
                    found += self.of_text(text, place)
        return found

    def comments(self):
        fields = elements(self.document.TextFields)
        comments = [f for f in fields if f.supportsService("com.sun.star.text.textfield.Annotation")]
        return sorted(comments, key=functools.cmp_to_key(self.before))

    def before(self, one, other):
        try:
            return -self.document.Text.compareRegionStarts(one.Anchor, other.Anchor)
        except Exception:  # in different texts: a table's cell, a footnote
            return 0

    def style(self, paragraph):
        """The paragraph style's name as Writer shows it."""
        name = paragraph.ParaStyleName
        if name not in self.style_names:
            styles = self.document.StyleFamilies.getByName("ParagraphStyles")
            self.style_names[name] = styles.getByName(name).DisplayName
        return self.style_names[name]

    def nodes(self, desk):
        places = self.places()
        return [
            {
                "handle": desk.handle(item),
                "role": "DOCUMENT",
                "name": item.text,
                "text": item.value,
                "enabled": True,
                "selected": item.thing in places,
            }
            for item in self.items()
        ]

    # --- the cursor and the selection

    def places(self):
        """The paragraphs that hold the ends of the selection, or the cell they are in."""
        try:
            cursor = self.document.CurrentController.ViewCursor
            if cursor.Cell is not None:
                return [cursor.Cell]
            return [cursor.getStart().TextParagraph, cursor.getEnd().TextParagraph]
        except Exception:  # the cursor is in no text: a drawing is selected, or a comment is written
            return []

    def select(self, item, text):
        """Selects an item's content, or the first occurrence of `text` in it; says whether it was there."""
        cursor = item.cursor()
        if text is not None:
            start = cursor.String.find(text)
            if start < 0:
                return False
            cursor.collapseToStart()
            move(cursor, start, False)
            move(cursor, len(text), True)
        self.document.CurrentController.select(cursor)
        return True

    def cursor_to(self, item):
        """Puts the cursor at the item's end, nothing selected."""
        cursor = item.cursor()
        self.document.CurrentController.ViewCursor.gotoRange(cursor.getEnd(), False)

    def find(self, text):
        """Selects the first occurrence of `text` in the document; says whether there is one."""
        search = self.document.createSearchDescriptor()
        search.SearchString = text
        search.SearchCaseSensitive = True
        found = self.document.findFirst(search)
        if found is None:
            return False
        self.document.CurrentController.select(found)
        return True

    def select_table(self, number):
        """Selects a table whole, by its number from 1 in the order of the document; says whether there is one."""
        tables = [element for element in elements(self.document.Text) if element.supportsService(TABLE)]
        if not 1 <= number <= len(tables):
            return False
        table = tables[number - 1]
        names = table.CellNames
        whole = table.createCursorByCellName(names[0])
        whole.gotoEnd(True)
        self.document.CurrentController.select(table.getCellRangeByName(whole.RangeName) if len(names) > 1 else table)
        return True


def move(cursor, count, extend):
    """`goRight` takes a short."""
    while count > 0:
        step = min(count, 30_000)
        cursor.goRight(step, extend)
        count -= step
