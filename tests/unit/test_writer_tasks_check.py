"""The check without a Writer: what the comparison sees, what the reader reads, what a verdict says."""

import copy
import zipfile
from dataclasses import fields, replace
from pathlib import Path

import docx
import pytest
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_COLOR_INDEX, WD_UNDERLINE
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Pt, RGBColor

from lam_train.apps.writer.tasks import docx_reader
from lam_train.apps.writer.tasks.check import check_document
from lam_train.apps.writer.tasks.comparison import ANYTHING, OneOf, compare, fits
from lam_train.apps.writer.tasks.document_model import Cell, Document, Format, Mark, Paragraph, Section, Table
from lam_train.apps.writer.tasks.docx_reader import read_document
from lam_train.apps.writer.templates import template_path
from lam_train.errors import UserError
from lam_train.records import Operation, Task

LETTER = template_path("letter")


def task(*operations: tuple[str, dict]) -> Task:
    listed = [Operation(name=name, parameters=parameters) for name, parameters in operations]
    return Task(task_id="t", request="A request.", template="letter", operations=listed)


def edited(path: Path, change) -> Path:
    """The letter after `change(document)`, saved at `path`."""
    document = docx.Document(str(LETTER))
    change(document)
    document.save(str(path))
    return path


def paragraph_with(document, text: str):
    return next(p for p in document.paragraphs if text in p.text)


def split_run(paragraph, phrase: str):
    """The run that holds just this phrase, cut out of the run that it is in."""
    run = next(r for r in paragraph.runs if phrase in r.text)
    before, after = run.text.split(phrase)
    middle, last = copy.deepcopy(run._r), copy.deepcopy(run._r)
    run._r.addnext(middle)
    middle.addnext(last)
    cut = [r for r in paragraph.runs if r._r in (run._r, middle, last)]
    for piece, text in zip(cut, (before, phrase, after), strict=True):
        piece.text = text
    return cut[1]


BOLD = task(("bold", {"phrase": "wrinkled pages"}))


def make_bold(document, phrase: str = "wrinkled pages") -> None:
    split_run(paragraph_with(document, phrase), phrase).bold = True


def test_right_and_untouched(tmp_path):
    assert check_document(BOLD, LETTER, edited(tmp_path / "right.docx", make_bold)).complete == "yes"
    verdict = check_document(BOLD, LETTER, LETTER)
    assert verdict.complete == "no"
    assert verdict.reason.startswith('not done: "wrinkled pages" in the paragraph "Two of the books')
    assert "also changed" not in verdict.reason


def test_a_character_style_is_bold_too(tmp_path):
    def change(document):
        style = document.styles.add_style("Strong Emphasis", docx.enum.style.WD_STYLE_TYPE.CHARACTER)
        style.font.bold = True
        split_run(paragraph_with(document, "wrinkled pages"), "wrinkled pages").style = style

    assert check_document(BOLD, LETTER, edited(tmp_path / "style.docx", change)).complete == "yes"


def set_whole_paragraph_bold(document) -> None:
    paragraph_with(document, "wrinkled pages").runs[0].bold = True


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: make_bold(d, "atlas has wrinkled pages"), 'also changed: "atlas has"'),
        (lambda d: make_bold(d, "pages throughout"), "not done"),
        (set_whole_paragraph_bold, "also changed"),
        (lambda d: (make_bold(d), make_bold(d, "four books")), 'also changed: "four books"'),
        (lambda d: (make_bold(d), paragraph_with(d, "Dear").add_run("!")), "text is"),
        (lambda d: (make_bold(d), setattr(d.sections[0], "left_margin", Pt(60))), "also changed: the page: left"),
        (lambda d: (make_bold(d), d.add_paragraph("More.")), 'also changed: the paragraph "More."'),
        (
            lambda d: (make_bold(d), setattr(paragraph_with(d, "Dear"), "alignment", WD_ALIGN_PARAGRAPH.CENTER)),
            "alignment",
        ),
        (lambda d: (make_bold(d), setattr(d.core_properties, "title", "T")), "also changed: the document: title"),
    ],
)
def test_wrong_documents(tmp_path, change, reason):
    verdict = check_document(BOLD, LETTER, edited(tmp_path / "wrong.docx", change))
    assert verdict.complete == "no"
    assert reason in verdict.reason


def test_both_operations_of_a_composition_are_needed(tmp_path):
    both = task(("bold", {"phrase": "wrinkled pages"}), ("italic", {"phrase": "wrinkled pages"}))
    half = edited(tmp_path / "half.docx", make_bold)
    assert check_document(both, LETTER, half).complete == "no"

    def change(document):
        make_bold(document)
        next(r for r in paragraph_with(document, "wrinkled").runs if r.bold).italic = True

    assert check_document(both, LETTER, edited(tmp_path / "whole.docx", change)).complete == "yes"


def test_files_that_are_no_documents(tmp_path, monkeypatch):
    text = tmp_path / "text.docx"
    text.write_text("no zip")
    cut = tmp_path / "cut.docx"
    cut.write_bytes(LETTER.read_bytes()[:2000])
    empty = tmp_path / "empty.docx"
    with zipfile.ZipFile(empty, "w") as file:
        file.writestr("a.txt", "a")
    for saved in (text, cut, empty, tmp_path / "missing.docx"):
        verdict = check_document(BOLD, LETTER, saved)
        assert verdict.complete == "no" and str(saved) in verdict.reason
        with pytest.raises(UserError):
            read_document(saved)
    monkeypatch.setattr(docx_reader, "MOST_BYTES", 1000)
    with pytest.raises(UserError, match="unpacks to"):
        read_document(LETTER)


def test_a_task_without_operations_is_unsure():
    verdict = check_document(Task(task_id="t", request="Make it nicer."), LETTER, LETTER)
    assert verdict.complete == "unsure"


def sample() -> Document:
    look = Format(font="Liberation Serif")
    paragraph = Paragraph("Some text", formats=[look] * 9, marks=[Mark("comment", 0, 4, "Why?")])
    cell = Cell([Paragraph("A", formats=[look])])
    return Document([paragraph, Table([[cell]])], [Section(header=(copy.deepcopy(paragraph),))])


def other_value(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 100
    return (*value, "other") if isinstance(value, tuple) else f"{value}other"


@pytest.mark.parametrize("kind", [Paragraph, Format, Mark, Table, Cell, Section, Document])
def test_no_property_is_overlooked(kind):
    """Whatever of the model is changed, the comparison sees it, in both directions."""
    skipped = {"optional", "formats", "marks", "blocks", "sections", "rows", "paragraphs", "header", "footer", "end"}
    for item in fields(kind):
        if item.name in skipped:
            continue
        changed = sample()
        paragraph, table = changed.blocks
        owner = {
            Paragraph: paragraph,
            Table: table,
            Cell: table.rows[0][0],
            Section: changed.sections[0],
            Document: changed,
        }
        if kind is Format:
            value = other_value(getattr(paragraph.formats[3], item.name))
            paragraph.formats[3] = replace(paragraph.formats[3], **{item.name: value})
        elif kind is Mark:
            paragraph.marks[0] = replace(
                paragraph.marks[0], **{item.name: other_value(getattr(paragraph.marks[0], item.name))}
            )
        else:
            setattr(owner[kind], item.name, other_value(getattr(owner[kind], item.name)))
        assert compare(sample(), changed), item.name
        assert compare(changed, sample()), item.name


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.blocks.pop(0),
        lambda d: d.blocks.reverse(),
        lambda d: d.blocks.append(Paragraph("")),
        lambda d: d.sections.append(Section()),
        lambda d: d.blocks[0].marks.clear(),
        lambda d: d.blocks[1].rows.append([Cell([Paragraph("")])]),
        lambda d: d.blocks[1].rows[0][0].paragraphs.append(Paragraph("")),
        lambda d: setattr(d.sections[0], "header", ()),
        lambda d: setattr(d.sections[0], "footer", (Paragraph("x", formats=[Format()]),)),
    ],
)
def test_no_change_of_structure_is_overlooked(change):
    changed = sample()
    change(changed)
    assert compare(sample(), changed)
    assert compare(changed, sample())
    assert compare(sample(), sample()) == compare(changed, changed) == []


def test_tolerances():
    assert fits(1440, 1437) and not fits(1440, 1400)
    assert fits(ANYTHING, "x") and fits(OneOf(("a", "b")), "b") and not fits(OneOf(("a", "b")), "c")
    assert fits(("auto", 276), ("auto", 277), 3) and not fits(("auto", 276), ("exact", 276), 3)
    assert not fits(True, False) and not fits(False, 1.5)


def test_bold_on_a_space_does_not_matter_but_underline_does():
    for name, value, seen in (("bold", True, False), ("underline", "single", True)):
        changed = sample()
        changed.blocks[0].formats[4] = replace(changed.blocks[0].formats[4], **{name: value})
        assert bool(compare(sample(), changed)) == seen, name


def test_the_reader_resolves_styles_and_reads_what_word_writes(tmp_path):
    document = docx.Document()
    heading = document.add_heading("Title of a part", level=2)
    paragraph = document.add_paragraph(style="List Number")
    run = paragraph.add_run("red")
    run.font.color.rgb, run.font.highlight_color = RGBColor(255, 0, 0), WD_COLOR_INDEX.YELLOW
    run.font.underline, run.font.strike, run.font.size = WD_UNDERLINE.DOUBLE, True, Pt(17)
    paragraph.add_run("\tand\n")
    add_field(paragraph, ' HYPERLINK "https://example.com/a" ', "linked")
    add_field(paragraph, " PAGE ", "7")
    document.sections[0].header.paragraphs[0].text = "Top"
    document.save(str(tmp_path / "word.docx"))
    model = read_document(tmp_path / "word.docx")
    first, second = model.blocks
    assert (first.text, first.style, first.outline, first.is_heading) == (heading.text, "Heading 2", 1, True)
    assert first.formats[0].bold and first.formats[0].size == 13.0
    assert second.text == "red\tand\nlinked" and second.list_kind == "number"
    look = second.formats[0]
    assert (look.color, look.background, look.underline, look.strike, look.size) == (
        "FF0000",
        "FFFF00",
        "double",
        "single",
        17,
    )
    assert second.formats[3].color == "auto" and second.formats[-1].link == "https://example.com/a"
    assert second.marks == [Mark("field", 14, 14, "PAGE")]
    assert [p.text for p in model.sections[0].header] == ["Top"]


def add_field(paragraph, instruction: str, result: str) -> None:
    for kind in ("begin", instruction, "separate", result, "end"):
        run = paragraph.add_run(kind if kind == result else "")
        if kind == instruction:
            code = OxmlElement("w:instrText")
            code.text = instruction
            run._r.append(code)
        elif kind != result:
            character = OxmlElement("w:fldChar")
            character.set(qn("w:fldCharType"), kind)
            run._r.append(character)
