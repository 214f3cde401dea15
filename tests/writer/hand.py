"""Drives a Writer by the names of its controls, and reads what it saved."""

from pathlib import Path

import docx
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls, nsmap

from lam_train.apps.writer.environment import WriterEnvironment
from lam_train.records import Action, Control, Observation, Task

TEXT = [
    ("Annual report", "Heading 1"),
    ("The quick brown fox jumps over the lazy dog.", None),
    ("Rivers carry water to the sea. The sea gives it back.", None),
    ("Summary", "Heading 2"),
    ("Pears", "List Bullet"),
    ("Apples", "List Bullet"),
    ("A last line, with the quick brown fox again.", None),
]
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
CELLS = (("Name", "Amount"), ("Cherry", "30"), ("Apple", "10"))


def write_document(path: Path) -> Path:
    document = docx.Document()
    for text, style in TEXT:
        document.add_paragraph(text, style=style)
    table = document.add_table(len(CELLS), 2)
    for row, values in enumerate(CELLS):
        for column, value in enumerate(values):
            table.cell(row, column).text = value
    document.add_paragraph("After the table.")
    document.save(path)
    return path


def task(template: str = "plain.docx") -> Task:
    return Task(task_id=f"test-{template}", request="Do it.", template=template)


class Hand:
    """One episode after another in one Writer."""

    def __init__(self, environment: WriterEnvironment) -> None:
        self.environment = environment
        self.observation: Observation | None = None
        self.info: dict = {}

    def begin(self, template: str = "plain.docx") -> Observation:
        self.observation, self.info = self.environment.reset(options={"task": task(template)})
        return self.observation

    def control(self, name: str, kind: str | None = None, number: int = 0) -> Control:
        """A control by its text; of several, the one with the number given."""
        found = [
            c for c in self.observation.controls if c.control_text == name and (kind is None or c.control_type == kind)
        ]
        assert len(found) > number, (
            f"no {kind or 'control'} {name!r} in {self.observation.window}: "
            f"{[c.control_text for c in self.observation.controls]}"
        )
        return found[number]

    def do(self, function: str, label: str = "", status: str = "CONTINUE", **args) -> Observation:
        """An action that must be accepted."""
        self.attempt(function, label, status, **args)
        assert not self.info["error"], self.info["result"]
        return self.observation

    def attempt(self, function: str, label: str = "", status: str = "CONTINUE", **args) -> tuple:
        action = Action(function=function, control_label=label, args=args, status=status)
        step = self.environment.step(action)
        self.observation, self.info = step[0], step[4]
        return step

    def click(self, *names: str) -> Observation:
        """Clicks one control after the other; `("Format", "Paragraph")` opens a menu and takes its item."""
        for name in names:
            self.do("click_input", self.control(name).label)
        return self.observation

    def set(self, name: str, text: str, kind: str | None = None) -> Observation:
        control = self.control(name, kind)
        if kind is None and control.control_type not in ("Edit", "ComboBox", "Document"):
            control = next(
                c
                for c in self.observation.controls
                if c.control_text == name and c.control_type in ("Edit", "ComboBox", "Document")
            )
        return self.do("set_edit_text", control.label, text=text)

    def select(self, text: str) -> Observation:
        return self.do("select_text", text=text)

    def keys(self, keys: str) -> Observation:
        return self.do("keyboard_input", keys=keys)

    def texts(self) -> list[str]:
        return [c.control_text for c in self.observation.controls if c.control_type == "Document"]

    def saved(self) -> "docx.document.Document":
        return docx.Document(self.environment.save())


ROOT = Path(__file__).parent.parent.parent


def linked_docx(path: Path, server: str) -> None:
    """A document that links an image, an included text, a template and an OLE object from a server."""
    document = docx.Document()
    document.add_paragraph("Harmless text.")
    body = document.element.body
    image = document.part.relate_to(f"{server}/image.png", RELATIONS + "image", is_external=True)
    document.part.relate_to(f"{server}/ole.bin", RELATIONS + "oleObject", is_external=True)
    document.part._settings_part.relate_to(f"{server}/template.dotm", RELATIONS + "attachedTemplate", is_external=True)
    pictures = (
        f'<w:p {nsdecls("w", "wp", "a", "pic", "r")}><w:r><w:drawing><wp:inline><wp:extent cx="900000" cy="900000"/>'
        f'<wp:docPr id="1" name="linked"/><a:graphic><a:graphicData uri="{nsmap["pic"]}"><pic:pic><pic:nvPicPr>'
        f'<pic:cNvPr id="1" name="x"/><pic:cNvPicPr/></pic:nvPicPr><pic:blipFill><a:blip r:link="{image}"/>'
        "</pic:blipFill><pic:spPr/></pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>"
    )
    included = (
        f'<w:p {nsdecls("w")}><w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>INCLUDETEXT '
        f'"{server}/text.docx"</w:instrText></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>'
    )
    for paragraph in (pictures, included):
        body.insert(len(body) - 1, parse_xml(paragraph))
    document.save(path)
