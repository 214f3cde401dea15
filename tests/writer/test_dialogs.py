"""Each dialog and command that a task needs can be worked through its controls, seen in the saved document."""

import pytest
from docx.enum.section import WD_ORIENT
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml.ns import qn
from docx.shared import Inches, Pt

pytestmark = pytest.mark.writer
FOX = "The quick brown fox jumps over the lazy dog."


def runs(paragraph) -> list[tuple[str, bool | None]]:
    return [(run.text, run.bold) for run in paragraph.runs]


def xml(document) -> str:
    return document.element.xml


def test_toolbar_formats_the_selection_and_nothing_else(hand):
    hand.begin()
    hand.select("quick brown")
    hand.click("Bold")
    assert hand.control("Bold").checked
    hand.set("Font Size", "20")
    hand.set("Font Name", "Liberation Mono")
    assert (hand.control("Font Size").value, hand.control("Font Name").value) == ("20", "Liberation Mono")
    paragraph = hand.saved().paragraphs[1]
    run = paragraph.runs[1]
    assert [r.text for r in paragraph.runs] == ["The ", "quick brown", " fox jumps over the lazy dog."]
    assert (run.bold, run.font.size, run.font.name) == (True, Pt(20), "Liberation Mono")
    assert not paragraph.runs[0].bold


def test_character_dialog(hand):
    hand.begin()
    hand.select("lazy dog")
    hand.click("Format", "Character")
    assert hand.observation.modal and hand.observation.window == "Character"
    hand.click("Font Effects")
    hand.set("Underlining", "Single")
    hand.set("Strikethrough", "Single")
    hand.click("Font")
    hand.set("Style", "Italic")
    hand.click("OK")
    assert not hand.observation.modal
    run = next(run for run in hand.saved().paragraphs[1].runs if run.text == "lazy dog")
    assert run.underline and run.font.strike and run.italic


def test_paragraph_dialog(hand):
    hand.begin()
    hand.do("click_input", hand.control(FOX).label)
    hand.click("Format", "Paragraph")
    hand.set("Below paragraph", '0.5"')
    assert hand.control("Below paragraph").value.startswith("0.50")
    hand.set("Before text", '1"')
    hand.set("Line Spacing", "Double")
    hand.click("Alignment", "Center", "OK")
    format_ = hand.saved().paragraphs[1].paragraph_format
    assert (format_.alignment, format_.space_after) == (WD_ALIGN_PARAGRAPH.CENTER, Inches(0.5))
    assert (format_.left_indent, format_.line_spacing) == (Inches(1), 2.0)


def test_paragraph_style_by_the_combo_box(hand):
    hand.begin()
    hand.do("click_input", hand.control("Rivers carry water to the sea. The sea gives it back.").label)
    hand.set("Paragraph Style", "Heading 2")
    assert hand.control("Paragraph Style").value == "Heading 2"
    assert hand.saved().paragraphs[2].style.name == "Heading 2"


def test_page_style(hand):
    hand.begin()
    hand.click("Format", "Page Style", "Page", "Landscape")
    hand.set("Left", '1.5"', "Edit")
    hand.click("OK")
    section = hand.saved().sections[0]
    assert section.orientation == WD_ORIENT.LANDSCAPE
    assert section.left_margin == Inches(1.5)


def test_insert_table_dialog_and_action(hand):
    hand.begin()
    hand.do("click_input", hand.control("After the table.").label)
    hand.click("Table", "Insert Table")
    hand.set("Columns", "4")
    hand.set("Rows", "3")
    hand.click("Insert")
    hand.do("click_input", hand.control(FOX).label)
    hand.do("insert_table", rows=2, columns=5)
    tables = hand.saved().tables
    assert [(len(table.rows), len(table.columns)) for table in tables] == [(2, 5), (3, 2), (3, 4)]


def test_table_rows_cells_and_properties(hand):
    hand.begin()
    hand.set("Cherry", "Plum")
    hand.do("click_input", hand.control("Plum").label)
    hand.click("Table", "Insert", "Rows Below")
    hand.do("click_input", hand.control("Plum").label)
    hand.click("Table", "Delete", "Delete Columns")
    hand.do("click_input", hand.control("Amount").label)
    hand.click("Table", "Properties", "Center", "OK")
    table = hand.saved().tables[0]
    assert [[cell.text for cell in row.cells] for row in table.rows] == [["Amount"], ["30"], [""], ["10"]]
    assert table.alignment == 1


def test_sort_a_table(hand):
    hand.begin()
    hand.do("select_table", number=1)
    hand.click("Tools", "Sort")
    assert hand.observation.window == "Sort"
    hand.click("OK")
    assert sorted(hand.texts()[7:13:2]) == hand.texts()[7:13:2] == ["Apple", "Cherry", "Name"]


def test_find_and_replace(hand):
    hand.begin()
    hand.click("Edit", "Find and Replace")
    hand.set("Find", "quick brown")
    hand.set("Replace", "slow red")
    hand.click("Replace All")
    for _ in range(3):  # the count of replacements, where it is told in a box of its own, then the dialog
        if not hand.observation.modal:
            break
        names = [control.control_text for control in hand.observation.controls]
        hand.click("OK" if "OK" in names else "Close")
    assert "The slow red fox jumps over the lazy dog." in hand.texts()
    assert "A last line, with the slow red fox again." in hand.texts()
    assert not any("quick" in paragraph.text for paragraph in hand.saved().paragraphs)


def test_breaks_and_columns(hand):
    hand.begin()
    hand.do("keyboard_input", hand.control("Summary").label, keys="{HOME}")
    hand.click("Page Break")
    assert 'w:br w:type="page"' in xml(hand.saved()) or "pageBreakBefore" in xml(hand.saved())
    hand.begin()
    hand.click("Format", "Columns", "2 columns with equal size", "OK")
    assert 'w:num="2"' in hand.saved().sections[0]._sectPr.xml


def test_lists(hand):
    hand.begin()
    hand.do("click_input", hand.control(FOX).label)
    hand.click("Ordered List")
    assert hand.control("Ordered List").checked
    hand.do("click_input", hand.control("Rivers carry water to the sea. The sea gives it back.").label)
    hand.click("Format", "Bullets and Numbering", "Unordered", "Check mark bullets", "OK")
    paragraphs = hand.saved().paragraphs
    assert all(paragraph._p.pPr.numPr is not None for paragraph in paragraphs[1:3])


def test_header_footer_page_number(hand):
    hand.begin()
    hand.click("Insert", "Header and Footer", "Footer", "Default Page Style")
    assert hand.observation.controls[-1].value == "Footer"
    hand.do("set_edit_text", hand.observation.controls[-1].label, text="Page ")
    hand.do("keyboard_input", hand.observation.controls[-1].label, keys="{END}")
    hand.click("Insert", "Page Number")
    footer = hand.saved().sections[0].footer
    assert footer.paragraphs[0].text.startswith("Page ")
    assert "PAGE" in footer._element.xml


def test_footnote_comment_bookmark_hyperlink(hand):
    hand.begin()
    hand.do("click_input", hand.control(FOX).label)
    hand.click("Footnote")
    hand.keys("A note about foxes.")
    assert any(c.value == "Footnote 1" and c.control_text == "A note about foxes." for c in hand.observation.controls)
    hand.select("Rivers")
    hand.click("Comment")
    hand.keys("Which ones?")
    hand.keys("{ESC}")
    assert any(c.value == "Comment 1" and c.control_text == "Which ones?" for c in hand.observation.controls)
    hand.select("lazy")
    hand.click("Insert", "Bookmark")
    hand.set("Name", "dog")
    hand.click("Insert")
    hand.select("sea")
    hand.click("Insert", "Hyperlink")
    assert "Events" not in {c.control_text for c in hand.observation.controls}  # they are macros
    hand.set("URL", "https://example.org/sea")
    hand.click("OK")
    saved = hand.saved()
    parts = {
        part.partname: part.blob.decode("utf8")
        for part in saved.part.package.iter_parts()
        if part.partname.ext == "xml"
    }
    assert "A note about foxes." in parts["/word/footnotes.xml"]
    assert "Which ones?" in parts["/word/comments.xml"]
    assert 'w:name="dog"' in xml(saved)
    links = [r.target_ref for r in saved.part.rels.values() if r.is_external]
    assert links == ["https://example.org/sea"]


def test_date_field_and_case(hand):
    hand.begin()
    hand.do("click_input", hand.control("After the table.").label)
    hand.click("Insert", "Field", "Date")
    hand.select("Summary")
    hand.click("Format", "Text", "UPPERCASE")
    saved = hand.saved()
    assert saved.paragraphs[3].text == "SUMMARY"
    assert "DATE" in xml(saved)


def test_track_changes(hand):
    hand.begin()
    hand.click("Edit", "Track Changes", "Record")
    hand.set("Summary", "Conclusion")
    text = xml(hand.saved())
    assert "w:ins " in text and "w:del " in text


def test_word_count_is_read(hand):
    hand.begin()
    hand.click("Tools", "Word Count")
    assert "Words" in hand.observation.window
    hand.click("Close")
    assert not hand.observation.modal


def test_highlight_and_colour_by_the_dialog(hand):
    hand.begin()
    hand.select("quick brown")
    hand.click("Format", "Character", "Highlighting", "Color", "Yellow", "OK")
    run = next(run for run in hand.saved().paragraphs[1].runs if run.text == "quick brown")
    assert run._r.rPr.find(qn("w:highlight")) is not None or run._r.rPr.find(qn("w:shd")) is not None
