"""What a task family is: how its parameters are drawn, and what must have become of the document."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from random import Random

from lam_train.apps.writer.tasks.comparison import ANYTHING
from lam_train.apps.writer.tasks.document_model import Document, Format, Paragraph, Table
from lam_train.apps.writer.tasks.source import Phrase, Source
from lam_train.errors import UserError

Parameters = dict
ANY_FORMAT = Format(**dict.fromkeys(Format.__annotations__, ANYTHING))


@dataclass(frozen=True)
class Drawn:
    """A drawn operation: what the checker is told, what the wordings say, and what of the document it is about."""

    parameters: Parameters
    slots: dict[str, str]
    touches: frozenset[str]


class Family(ABC):
    """A single operation that a Writer user knows."""

    name: str
    structural = False  # it adds, removes or moves paragraphs, rows or tables
    alone = False  # it is in no composition
    on_phrase = False  # it is about a phrase's look, so that a composition can say "it"
    attribute = ""  # which part of that look

    @abstractmethod
    def draw(self, source: Source, rng: Random) -> Drawn | None:
        """Parameters out of the document, or None where it has nothing for this family."""

    def lacks(self, look: Format, parameters: Parameters) -> bool:
        """Whether a phrase of this look is not yet as the operation makes it."""
        return True

    @abstractmethod
    def expect(self, document: Document, parameters: Parameters) -> list[Document] | None:
        """Changes the model of the original into what must be saved; returns the alternatives where there are some."""


def choose_phrase(source: Source, rng: Random, **without) -> Phrase | None:
    """A phrase of one look that does not have this formatting yet. Longer phrases are as likely as single words."""
    by_length: dict[int, list[Phrase]] = {}
    for phrase in source.phrases:
        if phrase.look and all(getattr(phrase.look, name) != value for name, value in without.items()):
            by_length.setdefault(phrase.text.count(" "), []).append(phrase)
    return rng.choice(by_length[rng.choice(sorted(by_length))]) if by_length else None


def about_phrase(phrase: Phrase, **more: str) -> Drawn:
    """A drawn operation on a phrase; `more` are further parameters, each also a slot of the same name."""
    slots = {"phrase": phrase.text, **{name: str(value) for name, value in more.items()}}
    return Drawn({"phrase": phrase.text, **more}, slots, frozenset([phrase.paragraph.text]))


def about_paragraph(source: Source, paragraph: Paragraph, rng: Random, slots: dict[str, str], **more) -> Drawn | None:
    """A drawn operation on a paragraph."""
    reference = source.reference(paragraph, rng)
    if reference is None:
        return None
    touches = {paragraph.text} | {h.text for h in source.headings if f'under the heading "{h.text}"' in reference}
    touches |= {"end"} if reference == "the last paragraph" else set()
    parameters = {"paragraph": paragraph.text, **more}
    return Drawn(parameters, {"paragraph": reference, **slots}, frozenset(touches))


def find_paragraph(document: Document, text: str) -> Paragraph:
    """The body's paragraph with this text; raises UserError where the document has none."""
    for paragraph in document.paragraphs:
        if paragraph.text == text:
            return paragraph
    raise UserError(f"the document has no paragraph {text!r}: is it the one that the task was made from?")


def find_phrase(document: Document, text: str) -> tuple[Paragraph, int, int]:
    """Paragraph, start and end of the phrase's first occurrence; raises UserError where there is none."""
    cells = [p for table in document.tables for row in table.rows for cell in row for p in cell.paragraphs]
    for paragraph in [*document.paragraphs, *cells]:
        if text in paragraph.text:
            start = paragraph.text.index(text)
            return paragraph, start, start + len(text)
    raise UserError(f"the document has no phrase {text!r}: is it the one that the task was made from?")


def set_format(paragraph: Paragraph, start: int, end: int, **values) -> None:
    """Gives the characters from start to end these values."""
    for index in range(start, end):
        paragraph.formats[index] = replace(paragraph.formats[index], **values)


def replace_text(paragraph: Paragraph, start: int, end: int, text: str) -> None:
    """Writes `text` in place of the characters from start to end, in the look that they had."""
    paragraph.formats[start:end] = [paragraph.formats[start]] * len(text)
    paragraph.text = paragraph.text[:start] + text + paragraph.text[end:]
    grown = len(text) - (end - start)
    shift = [mark if mark.start < end else replace(mark, start=mark.start + grown) for mark in paragraph.marks]
    paragraph.marks = [mark if mark.end < end else replace(mark, end=mark.end + grown) for mark in shift]


def empty_paragraph() -> Paragraph:
    """An empty paragraph of any look that may be there."""
    given = ("text", "formats", "marks", "page_break", "background", "borders", "optional")
    loose = [name for name in Paragraph.__annotations__ if name not in given]
    return Paragraph("", optional=True, **dict.fromkeys(loose, ANYTHING))


def index_of(document: Document, block: Paragraph | Table) -> int:
    """Where the very block stands in the body."""
    return next(index for index, other in enumerate(document.blocks) if other is block)
