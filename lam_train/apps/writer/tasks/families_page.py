"""Families on the page and the document: paper, margins, columns, headers and footers, properties."""

from random import Random

from lam_train.apps.writer.tasks.comparison import ANYTHING
from lam_train.apps.writer.tasks.document_model import Document, Mark
from lam_train.apps.writer.tasks.family import ANY_FORMAT, Drawn, Family, Parameters, empty_paragraph
from lam_train.apps.writer.tasks.source import Source
from lam_train.apps.writer.templates import material

INCH = 1440
PAPERS = {
    "A4": (11906, 16838),
    "Letter": (12240, 15840),
    "Legal": (12240, 20160),
    "A5": (8391, 11906),
    "A3": (16838, 23811),
}


class Orientation(Family):
    """Format > Page Style, tab Page, Landscape, OK."""

    name = "orientation"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        landscape = source.document.sections[0].landscape
        return Drawn({"landscape": not landscape}, {"orientation": "portrait" if landscape else "landscape"},
                     frozenset(["paper"]))  # fmt: skip

    def expect(self, document: Document, parameters: Parameters) -> None:
        for section in document.sections:
            if section.landscape != parameters["landscape"]:
                section.width, section.height = section.height, section.width
                section.landscape = parameters["landscape"]


class PaperSize(Family):
    """Format > Page Style, tab Page, Format: A4, Letter, …, OK."""

    name = "paper_size"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        now = (source.document.sections[0].width, source.document.sections[0].height)
        paper = rng.choice(
            [name for name, size in PAPERS.items() if abs(size[0] - now[0]) + abs(size[1] - now[1]) > 60]
        )
        return Drawn({"paper": paper}, {"paper": paper}, frozenset(["paper"]))

    def expect(self, document: Document, parameters: Parameters) -> None:
        for section in document.sections:
            section.width, section.height = PAPERS[parameters["paper"]]


class Margins(Family):
    """Format > Page Style, tab Page, Margins (in inches): Left, Right, Top, Bottom, OK."""

    name = "margins"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        which = rng.choice(["left", "right", "top", "bottom", "all"])
        inches = rng.choice(["0.5", "0.6", "0.75", "0.8", "1.2", "1.25", "1.5", "1.75", "2"])
        words = {"all": "all margins"}.get(which, f"the {which} margin")
        return Drawn({"side": which, "inches": inches}, {"margins": words, "inches": inches},
                     frozenset(["header margin", "footer margin"]))  # fmt: skip

    def expect(self, document: Document, parameters: Parameters) -> None:
        sides = ("left", "right", "top", "bottom") if parameters["side"] == "all" else (parameters["side"],)
        for section in document.sections:
            for side in sides:
                setattr(section, side, round(float(parameters["inches"]) * INCH))


class Columns(Family):
    """Format > Columns, Settings, Columns: the number, OK (with no text selected, for the page style)."""

    name = "columns"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        number = rng.choice([2, 3, 4])
        word = {2: "two", 3: "three", 4: "four"}[number]
        return Drawn({"columns": number}, {"number": str(number), "number_word": word}, frozenset(["columns"]))

    def expect(self, document: Document, parameters: Parameters) -> None:
        for section in document.sections:
            section.columns = parameters["columns"]


class Margin(Family):
    """A header or footer with a text: Insert > Header and Footer > Header > Default Page Style; the cursor is in it;
    type the text."""

    def __init__(self, name: str) -> None:
        self.name = name

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        text = rng.choice(material(source.template)["headers"])
        return Drawn({"text": text}, {"text": text}, frozenset([self.name, f"{self.name} margin"]))

    def expect(self, document: Document, parameters: Parameters) -> None:
        for section in document.sections:
            paragraph = empty_paragraph()
            paragraph.text, paragraph.optional = parameters["text"], False
            paragraph.formats = [ANY_FORMAT] * len(paragraph.text)
            setattr(section, self.name, (paragraph,))
            setattr(section, "top" if self.name == "header" else "bottom", ANYTHING)  # it makes room for itself


class PageNumber(Family):
    """Insert > Header and Footer > Footer (or Header) > Default Page Style; then Insert > Page Number."""

    name = "page_number"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        part = rng.choice(["footer", "footer", "header"])
        place = {"footer": "footer", "header": "header"}[part]
        return Drawn({"part": part}, {"part": place}, frozenset([part, f"{part} margin"]))

    def expect(self, document: Document, parameters: Parameters) -> None:
        part = parameters["part"]
        for section in document.sections:
            paragraph = empty_paragraph()
            paragraph.optional, paragraph.marks = False, [Mark("field", 0, 0, "PAGE")]
            setattr(section, part, (paragraph,))
            setattr(section, "top" if part == "header" else "bottom", ANYTHING)


class TrackChanges(Family):
    """Edit > Track Changes > Record, or Ctrl+Shift+C."""

    name, alone = "track_changes", True  # what else is done would be recorded

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        return Drawn({"on": True}, {}, frozenset(["settings"]))

    def expect(self, document: Document, parameters: Parameters) -> None:
        document.track_changes = parameters["on"]


class DocumentTitle(Family):
    """File > Properties, tab Description, Title, OK."""

    name = "document_title"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        titles = material(source.template)["titles"] + material(source.template)["headers"]
        title = rng.choice(titles)
        return Drawn({"title": title}, {"title": title}, frozenset(["properties"]))

    def expect(self, document: Document, parameters: Parameters) -> None:
        document.title = parameters["title"]


FAMILIES: tuple[Family, ...] = (
    Orientation(),
    PaperSize(),
    Margins(),
    Columns(),
    Margin("header"),
    Margin("footer"),
    PageNumber(),
    TrackChanges(),
    DocumentTitle(),
)
