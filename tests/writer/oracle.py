"""Does operations in a real Writer through UNO and stores the documents: right answers that the check knows nothing of.

Run by the system's Python, which has `uno`: python3 oracle.py CASES.json. A case is {"template": path, "out": path,
"operations": [[name, parameters], …]}. Prints one JSON object: the cases that failed, by index.
"""

import json
import subprocess
import sys
import tempfile
import time
import traceback
import uuid

import uno
from com.sun.star.awt import Size
from com.sun.star.beans import PropertyValue
from com.sun.star.style.BreakType import PAGE_BEFORE
from com.sun.star.text.ControlCharacter import PARAGRAPH_BREAK

SOFFICE = "/usr/lib/libreoffice/program/soffice.bin"
COLORS = {"red": 0xFF0000, "green": 0x00A933, "blue": 0x2A6099, "orange": 0xFF8000, "purple": 0x800080,
          "brick": 0xFF4000, "teal": 0x158466, "gold": 0xFFBF00, "magenta": 0xBF0041, "yellow": 0xFFFF00,
          "lime": 0x81D41A}  # fmt: skip
PAPERS = {
    "A3": (29700, 42000),
    "A4": (21000, 29700),
    "A5": (14800, 21000),
    "Letter": (21590, 27940),
    "Legal": (21590, 35560),
}
INCH, POINT = 2540, 2540 / 72  # in 1/100 mm


def properties(**values):
    return tuple(PropertyValue(Name=name.replace("__", "."), Value=value) for name, value in values.items())


class Writer:
    """A Writer without a screen, with a profile of its own."""

    def __init__(self, profile: str) -> None:
        pipe = f"oracle{uuid.uuid4().hex[:8]}"
        command = [SOFFICE, f"-env:UserInstallation=file://{profile}", "--headless", "--norestore", "--nologo",
                   f"--accept=pipe,name={pipe};urp;"]  # fmt: skip
        local = uno.getComponentContext()
        resolver = local.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", local)
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                context = resolver.resolve(f"uno:pipe,name={pipe};urp;StarOffice.ComponentContext")
                break
            except Exception:
                if self.process.poll() is not None:  # a fresh profile ends the first start
                    self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(0.05)
        self.desktop = context.ServiceManager.createInstanceWithContext("com.sun.star.frame.Desktop", context)
        self.dispatcher = context.ServiceManager.createInstanceWithContext("com.sun.star.frame.DispatchHelper", context)

    def make(self, case: dict) -> None:
        """Loads the case's template, does its operations and stores the result."""
        document = self.desktop.loadComponentFromURL(f"file://{case['template']}", "_blank", 0, properties(Hidden=True))
        try:
            hand = Hand(document, self.dispatcher)
            for name, parameters in case["operations"]:
                getattr(hand, name)(**parameters)
            document.storeToURL(f"file://{case['out']}", properties(FilterName="MS Word 2007 XML"))
        finally:
            document.close(True)

    def close(self) -> None:
        try:
            self.desktop.terminate()
        except Exception:
            self.process.kill()
        self.process.wait()


class Hand:
    """One method a family: what a user's hand would do, in UNO's calls and Writer's commands."""

    def __init__(self, document, dispatcher) -> None:
        self.document, self.dispatcher = document, dispatcher
        self.controller = document.CurrentController
        self.page = document.StyleFamilies.getByName("PageStyles").getByName(
            self.controller.ViewCursor.PageStyleName or "Standard"
        )

    def do(self, command: str, **arguments) -> None:
        self.dispatcher.executeDispatch(self.controller.Frame, f".uno:{command}", "", 0, properties(**arguments))

    def found(self, text: str):
        search = self.document.createSearchDescriptor()
        search.SearchString, search.SearchCaseSensitive = text, True
        return self.document.findFirst(search)

    def select(self, text: str):
        place = self.found(text)
        self.controller.select(place)
        return place

    def cursor(self, text: str):
        """A cursor over the whole paragraph with this text."""
        cells = []
        for item in self.blocks():
            if item.supportsService("com.sun.star.text.Paragraph") and item.String == text:
                cells.append(item)
        place = cells[0].Text.createTextCursorByRange(cells[0].Start)
        place.gotoEndOfParagraph(True)
        return place

    def blocks(self):
        items = self.document.Text.createEnumeration()
        while items.hasMoreElements():
            yield items.nextElement()

    def into(self, paragraph: str) -> None:
        place = self.cursor(paragraph)
        self.controller.ViewCursor.gotoRange(place.Start, False)

    # characters

    def bold(self, phrase):
        self.select(phrase)
        self.do("Bold")

    def italic(self, phrase):
        self.select(phrase)
        self.do("Italic")

    def underline(self, phrase):
        self.select(phrase)
        self.do("Underline")

    def strikethrough(self, phrase):
        self.select(phrase)
        self.do("Strikeout")

    def superscript(self, phrase):
        self.select(phrase)
        self.do("SuperScript")

    def subscript(self, phrase):
        self.select(phrase)
        self.do("SubScript")

    def small_capitals(self, phrase):
        self.select(phrase)
        self.do("SmallCaps")

    def font_name(self, phrase, font):
        self.select(phrase)
        self.do("CharFontName", CharFontName__FamilyName=font)

    def font_size(self, phrase, size):
        self.select(phrase)
        self.do("FontHeight", FontHeight__Height=float(size))

    def font_color(self, phrase, color):
        self.select(phrase)
        self.do("Color", Color=COLORS[color])

    def highlight(self, phrase, color):
        self.select(phrase)
        self.select(phrase).CharBackColor = COLORS[color]

    def clear_formatting(self, phrase, attribute):
        self.select(phrase)
        self.do("ResetAttributes")

    # paragraphs

    def style(self, paragraph, name):
        self.into(paragraph)
        self.do("StyleApply", Style=name, FamilyName="ParagraphStyles")

    def heading(self, paragraph, level):
        self.style(paragraph, f"Heading {level}")

    def paragraph_style(self, paragraph, style):
        self.style(paragraph, style)

    def alignment(self, paragraph, alignment):
        self.into(paragraph)
        self.do({"left": "LeftPara", "center": "CenterPara", "right": "RightPara", "justify": "JustifyPara"}[alignment])

    def line_spacing(self, paragraph, spacing):
        self.into(paragraph)
        self.do({"single": "SpacePara1", "1.15": "SpacePara115", "1.5": "SpacePara15", "double": "SpacePara2"}[spacing])

    def set_paragraph(self, paragraph, **values):
        place = self.cursor(paragraph)
        for name, value in values.items():
            setattr(place, name, value)

    def space_above(self, paragraph, points):
        self.set_paragraph(paragraph, ParaTopMargin=round(points * POINT))

    def space_below(self, paragraph, points):
        self.set_paragraph(paragraph, ParaBottomMargin=round(points * POINT))

    def indent_left(self, paragraph, inches):
        self.set_paragraph(paragraph, ParaLeftMargin=round(float(inches) * INCH))

    def indent_right(self, paragraph, inches):
        self.set_paragraph(paragraph, ParaRightMargin=round(float(inches) * INCH))

    def indent_first_line(self, paragraph, inches):
        self.set_paragraph(paragraph, ParaFirstLineIndent=round(float(inches) * INCH))

    def bullets(self, paragraph):
        self.into(paragraph)
        self.do("DefaultBullet")

    def numbering(self, paragraph):
        self.into(paragraph)
        self.do("DefaultNumbering")

    def remove_list(self, paragraph):
        self.into(paragraph)
        self.do("RemoveBullets")

    def page_break(self, paragraph):
        self.into(paragraph)
        self.do("InsertPagebreak")

    def page_break_by_dialog(self, paragraph):
        self.cursor(paragraph).BreakType = PAGE_BEFORE

    # tables

    def insert_table(self, rows, columns, place, paragraph=None):
        if place == "after":
            self.controller.ViewCursor.gotoRange(self.cursor(paragraph).End, False)
        elif place == "end":
            self.controller.ViewCursor.gotoEnd(False)
        else:
            self.controller.ViewCursor.gotoStart(False)
        self.do("InsertTable", Columns=columns, Rows=rows)

    def table(self):
        return self.document.TextTables.getByIndex(0)

    def into_cell(self, row, column):
        cell = self.table().getCellByPosition(column, row)
        self.controller.select(cell)
        self.controller.ViewCursor.gotoRange(cell.Text.Start, False)

    def row_of(self, label):
        table = self.table()
        return next(r for r in range(table.Rows.Count) if table.getCellByPosition(0, r).String == label)

    def column_of(self, header):
        table = self.table()
        return next(c for c in range(table.Columns.Count) if table.getCellByPosition(c, 0).String == header)

    def delete_table(self):
        self.into_cell(0, 0)
        self.do("DeleteTable")

    def insert_row(self, side, row=None):
        index = self.table().Rows.Count - 1 if side == "end" else self.row_of(row)
        self.into_cell(index, 0)
        self.do("InsertRowsBefore" if side == "above" else "InsertRowsAfter")

    def delete_row(self, row):
        self.into_cell(self.row_of(row), 0)
        self.do("DeleteRows")

    def insert_column(self, side, column=None):
        index = self.table().Columns.Count - 1 if side == "end" else self.column_of(column)
        self.into_cell(0, index)
        self.do("InsertColumnsBefore" if side == "before" else "InsertColumnsAfter")

    def delete_column(self, column):
        self.into_cell(0, self.column_of(column))
        self.do("DeleteColumns")

    def set_cell(self, row, column, text):
        self.table().getCellByPosition(column, row).String = text

    # page and document

    def orientation(self, landscape):
        width, height = self.page.Width, self.page.Height
        self.page.IsLandscape = landscape
        self.page.Width, self.page.Height = height, width

    def paper_size(self, paper):
        self.page.Size = Size(*PAPERS[paper])

    def margins(self, side, inches):
        for name in ("Left", "Right", "Top", "Bottom") if side == "all" else (side.capitalize(),):
            setattr(self.page, f"{name}Margin", round(float(inches) * INCH))

    def columns(self, columns):
        value = self.page.TextColumns
        value.setColumnCount(columns)
        self.page.TextColumns = value

    def header(self, text):
        self.page.HeaderIsOn = True
        self.page.HeaderText.String = text

    def footer(self, text):
        self.page.FooterIsOn = True
        self.page.FooterText.String = text

    def page_number(self, part):
        setattr(self.page, f"{part.capitalize()}IsOn", True)
        text = getattr(self.page, f"{part.capitalize()}Text")
        self.controller.ViewCursor.gotoRange(text.Start, False)
        self.do("InsertPageNumberField")

    def track_changes(self, on):
        self.do("TrackChanges", TrackChanges=on)

    def document_title(self, title):
        self.document.DocumentProperties.Title = title

    # what is attached to a place

    def behind(self, phrase):
        self.controller.ViewCursor.gotoRange(self.found(phrase).End, False)

    def footnote(self, phrase, text):
        self.behind(phrase)
        self.do("InsertFootnote")
        self.do("InsertText", Text=text)

    def comment(self, phrase, text):
        note = self.document.createInstance("com.sun.star.text.textfield.Annotation")
        note.Content = text
        self.document.Text.insertTextContent(self.found(phrase), note, True)

    def hyperlink(self, phrase, url):
        self.select(phrase)
        self.do("SetHyperlink", Hyperlink__Text=phrase, Hyperlink__URL=url, Hyperlink__Type=1)

    def bookmark(self, phrase, bookmark):
        self.select(phrase)
        self.do("InsertBookmark", Bookmark=bookmark)

    def date_field(self, phrase):
        self.behind(phrase)
        self.do("InsertDateField")

    # text

    def change_case(self, phrase, case):
        self.select(phrase)
        self.do({"upper": "ChangeCaseToUpper", "lower": "ChangeCaseToLower", "title": "ChangeCaseToTitleCase"}[case])

    def find_replace(self, find, replace):
        search = self.document.createReplaceDescriptor()
        search.SearchString, search.ReplaceString = find, replace
        self.document.replaceAll(search)

    def replace_phrase(self, old, new):
        self.select(old)
        self.do("InsertText", Text=new)

    def type(self, before, text):
        """Types at a phrase's beginning: what no task asks for."""
        self.controller.ViewCursor.gotoRange(self.found(before).Start, False)
        self.do("InsertText", Text=text)

    def delete_paragraph(self, paragraph):
        place = self.cursor(paragraph)
        self.controller.ViewCursor.gotoRange(place.Start, False)
        self.do("DelToEndOfPara")
        self.do("Delete")

    def empty_paragraph(self, paragraph):
        """The paragraph's text deleted, its line left."""
        self.controller.select(self.cursor(paragraph))
        self.do("Delete")

    def append_paragraph(self, text):
        body = self.document.Text
        body.insertControlCharacter(body.End, PARAGRAPH_BREAK, False)
        body.insertString(body.End, text, False)

    def insert_paragraph(self, text, heading):
        self.controller.ViewCursor.gotoRange(self.cursor(heading).End, False)
        self.do("InsertPara")
        self.do("InsertText", Text=text)

    def sort_list(self, items):
        first, last = self.cursor(items[0]), self.cursor(items[-1])
        view = self.controller.ViewCursor
        view.gotoRange(first.Start, False)
        view.gotoRange(last.End, True)
        place = self.document.Text.createTextCursorByRange(view)
        descriptor = place.createSortDescriptor()
        for item in descriptor:
            if item.Name == "IsSortInTable":
                item.Value = False
        place.sort(descriptor)


def main(file: str) -> None:
    with open(file, encoding="utf-8") as opened:
        cases = json.load(opened)
    failed = {}
    with tempfile.TemporaryDirectory(prefix="oracle-profile-") as profile:
        writer = Writer(profile)
        try:
            for index, case in enumerate(cases):
                try:
                    writer.make(case)
                except Exception:
                    failed[index] = traceback.format_exc(limit=-2)
        finally:
            writer.close()
    print(json.dumps(failed))


if __name__ == "__main__":
    main(sys.argv[1])
