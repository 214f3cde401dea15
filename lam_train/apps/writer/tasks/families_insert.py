"""Families that attach something to a place in the text: notes, comments, links, bookmarks, dates."""

from random import Random

from lam_train.apps.writer.tasks.comparison import ANYTHING, OneOf
from lam_train.apps.writer.tasks.document_model import Document, Mark
from lam_train.apps.writer.tasks.family import (
    Drawn,
    Family,
    Parameters,
    about_phrase,
    choose_phrase,
    find_phrase,
    set_format,
)
from lam_train.apps.writer.tasks.source import Source
from lam_train.apps.writer.templates import material


def within(start: int, end: int) -> OneOf:
    """Any place in the phrase."""
    return OneOf(tuple(range(start, end + 1)))


class Note(Family):
    """Cursor behind the phrase (select it, then RIGHT), Insert > Footnote and Endnote > Footnote; the cursor is in the
    note's area; type the text. A comment: select the phrase, Insert > Comment (Ctrl+Alt+C), type the text."""

    def __init__(self, name: str) -> None:
        self.name = name

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        phrase = choose_phrase(source, rng)
        return about_phrase(phrase, text=rng.choice(material(source.template)["notes"])) if phrase else None

    def expect(self, document: Document, parameters: Parameters) -> None:
        paragraph, start, end = find_phrase(document, parameters["phrase"])
        place = (end, end) if self.name == "footnote" else (within(start, end), within(start, end))
        paragraph.marks.append(Mark(self.name, *place, parameters["text"]))


class Hyperlink(Family):
    """Select the phrase, then Insert > Hyperlink (Ctrl+K), Internet, URL, OK."""

    name = "hyperlink"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        phrase = choose_phrase(source, rng)
        return about_phrase(phrase, url=rng.choice(material(source.template)["links"])) if phrase else None

    def expect(self, document: Document, parameters: Parameters) -> None:
        urls = OneOf((parameters["url"], parameters["url"] + "/"))
        look = dict.fromkeys(("color", "underline"), ANYTHING)  # how Writer shows a link
        set_format(*find_phrase(document, parameters["phrase"]), link=urls, **look)


class Bookmark(Family):
    """Select the phrase (or set the cursor into it), then Insert > Bookmark, Name, Insert."""

    name = "bookmark"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        phrase = choose_phrase(source, rng)
        return about_phrase(phrase, bookmark=rng.choice(material(source.template)["bookmarks"])) if phrase else None

    def expect(self, document: Document, parameters: Parameters) -> None:
        paragraph, start, end = find_phrase(document, parameters["phrase"])
        paragraph.marks.append(Mark("bookmark", within(start, end), within(start, end), parameters["bookmark"]))


class DateField(Family):
    """Cursor behind the phrase (select it, then RIGHT; or Ctrl+END), then Insert > Field > Date."""

    name = "date_field"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        phrase = choose_phrase(source, rng)
        return about_phrase(phrase) if phrase else None

    def expect(self, document: Document, parameters: Parameters) -> None:
        paragraph, _, end = find_phrase(document, parameters["phrase"])
        paragraph.marks.append(Mark("field", end, end, "DATE"))


FAMILIES: tuple[Family, ...] = (Note("footnote"), Note("comment"), Hyperlink(), Bookmark(), DateField())
