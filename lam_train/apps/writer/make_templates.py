"""Makes the template documents: `source/*.md` -> python-docx -> Writer -> `templates/*.docx` and `description.json`.

Each document goes through Writer until Writer changes nothing more, so that what a task changes is all that differs
between the template and a saved result. Usage: python -m lam_train.apps.writer.make_templates [NAME ...]

The source is Markdown of a few marks: `#`, `##`, `###` title and headings, `- ` bullets, `1. ` numbers, `|` tables,
`**bold**`, `*italic*`, `{right}`, `{center}`, `{subtitle}`, `{quote}`, `{caption}` before a paragraph, and
`![text](bars: NAME VALUE, …)` for a bar chart. Before it stand, in YAML, kind, description, font, size and page.
"""

import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from datetime import datetime
from pathlib import Path

import yaml
from docx import Document
from docx.document import Document as DocumentType
from docx.enum.style import WD_STYLE_TYPE
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml.ns import qn
from docx.shared import Inches, Mm, Pt, RGBColor

from lam_train.apps.writer.tasks.docx_reader import read_document
from lam_train.apps.writer.templates import FOLDER
from lam_train.errors import Fault

PAGES = {"letter": (Inches(8.5), Inches(11)), "a4": (Mm(210), Mm(297)), "a5": (Mm(148), Mm(210))}
STYLES = (
    "Normal",
    "Default Paragraph Font",
    "Normal Table",
    "No List",
    "Table Grid",
    "Header",
    "Footer",
    "Title",
    "Subtitle",
    "Heading 1",
    "Heading 2",
    "Heading 3",
    "List Bullet",
    "List Number",
    "Quote",
    "Caption",
)
HEADINGS = {"Title": 20, "Subtitle": 12, "Heading 1": 14, "Heading 2": 12, "Heading 3": 11}
MOST_PASSES = 4
EPOCH = (2025, 1, 1, 0, 0, 0)


def main(names: list[str]) -> None:
    """Makes the named templates, or all, and the description of all."""
    sources = sorted((FOLDER / "source").glob("*.md"))
    make([source for source in sources if not names or source.stem in names], FOLDER)
    described = {f"{source.stem}.docx": front_matter(source)[0]["description"] for source in sources}
    (FOLDER / "description.json").write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", "utf-8")


def make(sources: list[Path], target: Path) -> None:
    """Makes the documents of these sources in the folder `target`."""
    with tempfile.TemporaryDirectory(prefix="templates-") as folder:
        files = [Path(folder) / f"{source.stem}.docx" for source in sources]
        for source, file in zip(sources, files, strict=True):
            build(source).save(str(file))
        for file in settle(files, Path(folder)):
            pack(file, target / file.name)


def front_matter(source: Path) -> tuple[dict, str]:
    """What stands between the `---` lines, and the text after them."""
    _, head, body = source.read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


def build(source: Path) -> DocumentType:
    """The document that a source describes, as python-docx makes it."""
    about, body = front_matter(source)
    document = Document()
    style_document(document, about)
    for block in re.split(r"\n\s*\n", body.strip()):
        lines = block.splitlines()
        if lines[0].startswith("|"):
            add_table(document, lines)
        elif lines[0].startswith("!["):
            add_chart(document, lines[0], about["font"])
        elif re.match(r"- |\d+\. ", lines[0]):
            for line in lines:
                style = "List Bullet" if line.startswith("- ") else "List Number"
                add_runs(document.add_paragraph(style=style), re.sub(r"^(- |\d+\. )", "", line))
        else:
            add_paragraph(document, " ".join(lines))
    for ours, writers in (("Quote", "Quotations"), ("Caption", "Caption")):  # the names that Writer itself has
        document.styles[ours].name = writers
    return document


def style_document(document: DocumentType, about: dict) -> None:
    """Page, fonts and spacing: few and plain, with fonts that a Linux installation has."""
    section = document.sections[0]
    section.page_width, section.page_height = PAGES[about["page"]]
    margin = Mm(15) if about["page"] == "a5" else Inches(1)
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = margin
    for style in list(document.styles):
        if style.name not in STYLES:
            style.delete()
    for latent in document.styles.element.findall(qn("w:latentStyles")):
        document.styles.element.remove(latent)
    defaults = document.styles.element.find(
        f"{qn('w:docDefaults')}/{qn('w:rPrDefault')}/{qn('w:rPr')}/{qn('w:rFonts')}"
    )
    set_font(defaults, about["font"])
    for style in document.styles:
        if style.type in (WD_STYLE_TYPE.PARAGRAPH, WD_STYLE_TYPE.CHARACTER):
            set_font(style.element.get_or_add_rPr().get_or_add_rFonts(), about["font"])
    normal = document.styles["Normal"]
    normal.font.size = Pt(about["size"])
    normal.paragraph_format.space_after, normal.paragraph_format.line_spacing = Pt(6), 1.0
    for name, size in HEADINGS.items():
        style = document.styles[name]
        style.font.size, style.font.bold = Pt(size), name != "Subtitle"
        style.font.color.rgb = RGBColor(0x1F, 0x38, 0x64)
        style.paragraph_format.space_before = Pt(0 if name in ("Title", "Subtitle") else 10)
        style.paragraph_format.space_after = Pt(6)
    document.styles["Caption"].font.color.rgb = RGBColor(0x59, 0x59, 0x59)
    for border in document.styles["Title"].element.iter(qn("w:pBdr")):
        border.getparent().remove(border)
    document.core_properties.author, document.core_properties.title = "", ""
    document.core_properties.comments = ""
    document.core_properties.created = document.core_properties.modified = datetime(*EPOCH)


def set_font(fonts, name: str) -> None:
    """One font for all scripts, and no theme's."""
    fonts.attrib.clear()
    for script in ("ascii", "hAnsi", "cs", "eastAsia"):
        fonts.set(qn(f"w:{script}"), name)


def add_paragraph(document: DocumentType, line: str) -> None:
    heading = re.match(r"(#+) ", line)
    mark = re.match(r"\{(\w+)\} ", line)
    if heading:
        level = len(heading[1])
        document.add_paragraph(line[level + 1 :], style="Title" if level == 1 else f"Heading {level - 1}")
        return
    styles = {"subtitle": "Subtitle", "quote": "Quote", "caption": "Caption"}
    paragraph = document.add_paragraph(style=styles.get(mark[1]) if mark else None)
    if mark and mark[1] in ("right", "center"):
        paragraph.alignment = getattr(WD_ALIGN_PARAGRAPH, mark[1].upper())
    add_runs(paragraph, line[mark.end() :] if mark else line)


def add_runs(paragraph, text: str) -> None:
    """The text's runs; `**bold**` and `*italic*` are direct formatting."""
    for part in re.split(r"(\*\*.+?\*\*|\*.+?\*)", text):
        if part.startswith("*"):
            run = paragraph.add_run(part.strip("*"))
            run.bold, run.italic = (True, None) if part.startswith("**") else (None, True)
        elif part:
            paragraph.add_run(part)


def add_table(document: DocumentType, lines: list[str]) -> None:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    rows = [row for row in rows if not all(re.fullmatch("-*", cell) and cell for cell in row)]
    table = document.add_table(len(rows), len(rows[0]), style="Table Grid")
    for row, texts in zip(table.rows, rows, strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.paragraphs[0].paragraph_format.space_after = Pt(0)
            cell.paragraphs[0].add_run(text).bold = True if texts is rows[0] else None


def add_chart(document: DocumentType, line: str, font: str) -> None:
    """A bar chart as a picture, in a centered paragraph of its own."""
    from matplotlib.figure import Figure

    alt, values = re.fullmatch(r"!\[(.+)\]\(bars: (.+)\)", line).groups()
    bars = [value.rsplit(" ", 1) for value in values.split(", ")]
    figure = Figure(figsize=(3.2, 1.7), dpi=90, layout="constrained")
    axes = figure.add_subplot()
    axes.bar([name for name, _ in bars], [float(value) for _, value in bars], color="#1f3864", width=0.6)
    axes.tick_params(labelsize=7, labelfontfamily=font)
    axes.spines[["top", "right"]].set_visible(False)
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    paragraph = document.add_paragraph()
    paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    picture = paragraph.add_run().add_picture(png, width=Inches(3.2))
    picture._inline.docPr.set("descr", alt)


def settle(files: list[Path], work: Path) -> list[Path]:
    """The documents after as many passes through Writer as it takes until their models stay the same."""
    models = {file.name: None for file in files}
    for number in range(MOST_PASSES):
        files = resave(files, work / f"pass{number}")
        now = {file.name: read_document(file) for file in files}
        if now == models:
            return files
        models = now
    raise Fault(f"after {MOST_PASSES} passes through Writer some documents still change")


def resave(files: list[Path], folder: Path) -> list[Path]:
    """The documents as Writer loads and stores them, in `folder`."""
    soffice = shutil.which("soffice")
    if soffice is None:
        raise Fault("soffice is not installed; setup.sh says which packages it takes")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="writer-profile-") as profile:
        command = [
            soffice,
            f"-env:UserInstallation=file://{profile}",
            "--headless",
            "--convert-to",
            "docx:MS Word 2007 XML",
        ]
        done = subprocess.run(
            [*command, "--outdir", str(folder), *map(str, files)], capture_output=True, text=True, timeout=300
        )
    made = [folder / file.name for file in files]
    missing = [file.name for file in made if not file.is_file()]
    if missing:
        raise Fault(f"Writer did not store {', '.join(missing)}: {done.stderr.strip()[-500:]}")
    return made


def pack(file: Path, target: Path) -> None:
    """`file` again with the same time in every zip entry, so that a rebuilt template differs only where it must."""
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for item in source.infolist():
            content = source.read(item)
            if item.filename == "docProps/core.xml":
                content = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ?", b"2025-01-01T00:00:00Z", content)
            packed.writestr(zipfile.ZipInfo(item.filename, EPOCH), content, zipfile.ZIP_DEFLATED)


if __name__ == "__main__":
    main(sys.argv[1:])
