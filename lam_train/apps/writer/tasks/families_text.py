"""Families that change the text itself."""

import re
from random import Random

from lam_train.apps.writer.tasks.document_model import Document, Paragraph
from lam_train.apps.writer.tasks.family import (
    ANY_FORMAT,
    Drawn,
    Family,
    Parameters,
    about_paragraph,
    about_phrase,
    choose_phrase,
    empty_paragraph,
    find_paragraph,
    find_phrase,
    index_of,
    replace_text,
)
from lam_train.apps.writer.tasks.source import Source
from lam_train.apps.writer.templates import material

CASES = {  # value -> how wordings say it
    "upper": "UPPERCASE",
    "lower": "lowercase",
    "title": "title case, every word capitalized",
}


def cased(text: str, case: str) -> str:
    """The text as Writer's Format > Text > UPPERCASE, lowercase and Capitalize Every Word make it."""
    if case == "title":
        return re.sub(r"[^\W\d_][\w'’]*", lambda word: word[0][0].upper() + word[0][1:].lower(), text)
    return text.upper() if case == "upper" else text.lower()


class ChangeCase(Family):
    """Select, then Format > Text > UPPERCASE, lowercase or Capitalize Every Word."""

    name = "change_case"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        case = rng.choice(list(CASES))
        for _ in range(10):
            phrase = choose_phrase(source, rng)
            if phrase and cased(phrase.text, case) != phrase.text:
                drawn = about_phrase(phrase, case=case)
                return Drawn(drawn.parameters, {"phrase": phrase.text, "case": CASES[case]}, drawn.touches)
        return None

    def expect(self, document: Document, parameters: Parameters) -> None:
        paragraph, start, end = find_phrase(document, parameters["phrase"])
        replace_text(paragraph, start, end, cased(paragraph.text[start:end], parameters["case"]))


class FindReplace(Family):
    """Edit > Find & Replace (Ctrl+H): Find, Replace, Replace All, Close."""

    name = "find_replace"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        pairs = [(old, new) for old, new in material(source.template)["words"].items() if self.suits(source, old)]
        if not pairs:
            return None
        old, new = rng.choice(pairs)
        touched = {p.text for p in source.document.paragraphs if old in p.text} | {"table"}
        return Drawn({"find": old, "replace": new}, {"old": old, "new": new}, frozenset(touched))

    @staticmethod
    def suits(source: Source, word: str) -> bool:
        """Whether it occurs at least twice, and looking at case or at whole words makes no difference."""
        exact = [len(re.findall(rf"\b{re.escape(word)}\b", text)) for text in source.texts_as_written]
        return sum(exact) >= 2 and sum(exact) == source.all_text.count(word.lower())

    def expect(self, document: Document, parameters: Parameters) -> None:
        old, new = parameters["find"], parameters["replace"]
        cells = [p for table in document.tables for row in table.rows for cell in row for p in cell.paragraphs]
        for paragraph in [*document.paragraphs, *cells]:
            start = paragraph.text.find(old)
            while start >= 0:
                replace_text(paragraph, start, start + len(old), new)
                start = paragraph.text.find(old, start + len(new))


class ReplacePhrase(Family):
    """Select the old words and type the new ones; or Find & Replace."""

    name = "replace_phrase"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        pairs = [(old, new) for old, new in material(source.template)["phrases"].items() if source.occurs_once(old)]
        if not pairs:
            return None
        old, new = rng.choice(pairs)
        touched = next(p.text for p in source.document.paragraphs if old.lower() in p.text.lower())
        return Drawn({"old": old, "new": new}, {"old": old, "new": new}, frozenset([touched]))

    def expect(self, document: Document, parameters: Parameters) -> None:
        replace_text(*find_phrase(document, parameters["old"]), parameters["new"])


class DeleteParagraph(Family):
    """Select the paragraph (or click into it: HOME, Shift+END, …), DELETE; the emptied line may stay."""

    name, structural = "delete_paragraph", True

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        candidates = [*source.texts, *source.items]
        return about_paragraph(source, rng.choice(candidates), rng, {}) if candidates else None

    def expect(self, document: Document, parameters: Parameters) -> None:
        index = index_of(document, find_paragraph(document, parameters["paragraph"]))
        document.blocks[index] = empty_paragraph()


class AddParagraph(Family):
    """Ctrl+END (or select the heading, then END), ENTER, type the text."""

    structural = True

    def __init__(self, name: str, below_heading: bool) -> None:
        self.name, self.below_heading = name, below_heading

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        text = rng.choice(material(source.template)["sentences"])
        if not self.below_heading:
            return Drawn({"text": text}, {"text": text}, frozenset(["end"]))
        if not source.headings:
            return None
        heading = rng.choice(source.headings).text
        return Drawn({"text": text, "heading": heading}, {"text": text, "heading": heading}, frozenset([heading]))

    def expect(self, document: Document, parameters: Parameters) -> None:
        place = len(document.blocks)
        if self.below_heading:
            place = index_of(document, find_paragraph(document, parameters["heading"])) + 1
        paragraph = empty_paragraph()
        paragraph.text, paragraph.optional = parameters["text"], False
        paragraph.formats = [ANY_FORMAT] * len(paragraph.text)
        document.blocks.insert(place, paragraph)


class SortList(Family):
    """Select the list's items (the first one's start, then Shift+DOWN and Shift+END), then Tools > Sort, OK."""

    name, structural = "sort_list", True

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        groups = [group for group in lists(source.document) if ordered(group) != group]
        if not groups:
            return None
        group = rng.choice(groups)
        items = [paragraph.text for paragraph in group]
        slots = {"first": items[0], "last": items[-1]}
        return Drawn({"items": items}, slots, frozenset(items))

    def expect(self, document: Document, parameters: Parameters) -> None:
        group = [find_paragraph(document, text) for text in parameters["items"]]
        start = index_of(document, group[0])
        document.blocks[start : start + len(group)] = ordered(group)


def lists(document: Document) -> list[list[Paragraph]]:
    """Runs of at least three list items that stand together."""
    groups: list[list[Paragraph]] = [[]]
    for block in document.blocks:
        if isinstance(block, Paragraph) and block.list_kind:
            groups[-1].append(block)
        elif groups[-1]:
            groups.append([])
    return [group for group in groups if len(group) >= 3]


def ordered(group: list[Paragraph]) -> list[Paragraph]:
    return sorted(group, key=lambda paragraph: paragraph.text.casefold())


FAMILIES: tuple[Family, ...] = (
    ChangeCase(),
    FindReplace(),
    ReplacePhrase(),
    DeleteParagraph(),
    AddParagraph("append_paragraph", below_heading=False),
    AddParagraph("insert_paragraph", below_heading=True),
    SortList(),
)
