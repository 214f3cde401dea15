"""What a template offers to draw parameters from: phrases, paragraphs, and the words that name them."""

import re
from dataclasses import dataclass
from functools import cached_property
from random import Random

from lam_train.apps.writer.tasks.document_model import Document, Format, Paragraph

WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
SMALL_WORDS = frozenset(
    WORD.findall(
        "a an and are as at be been but by can do does for from had has have he her his how i if in into is it its "
        "like may more most must my nor not of on one or our out she should so than that the their them then there "
        "these they this those to too under until up us was we were what when which while who whom whose will with "
        "without would yet you your all any each every both no only very also me him such about above after before "
        "between over per could might shall"
    )
)


@dataclass(frozen=True)
class Phrase:
    """A phrase that occurs once in the whole document."""

    text: str
    paragraph: Paragraph
    start: int
    look: Format | None  # of all its characters; None where they differ

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class Source:
    """A template's document with the candidates in it, found once."""

    def __init__(self, template: str, document: Document) -> None:
        self.template, self.document = template, document

    @cached_property
    def texts_as_written(self) -> list[str]:
        """Every text of the document: paragraphs, then cells."""
        texts = [paragraph.text for paragraph in self.document.paragraphs]
        return texts + [cell for table in self.document.tables for row in table.texts for cell in row]

    @cached_property
    def all_text(self) -> str:
        """All of them, lower case, a line each."""
        return "\n".join(self.texts_as_written).lower()

    def occurs_once(self, text: str) -> bool:
        return self.all_text.count(text.lower()) == 1

    @cached_property
    def phrases(self) -> list[Phrase]:
        """Phrases of one to four words in the body's running text and headings."""
        found = []
        for paragraph in self.document.paragraphs:
            words = list(WORD.finditer(paragraph.text))
            for first in range(len(words)):
                for count in range(1, 5):
                    group = words[first : first + count]
                    around = [words[i][0].lower() if 0 <= i < len(words) else "" for i in (first - 1, first + count)]
                    if len(group) == count and self._is_phrase(paragraph, group, around):
                        text = paragraph.text[group[0].start() : group[-1].end()]
                        looks = set(paragraph.formats[group[0].start() : group[-1].end()])
                        found.append(
                            Phrase(text, paragraph, group[0].start(), looks.pop() if len(looks) == 1 else None)
                        )
        return found

    def _is_phrase(self, paragraph: Paragraph, group: list[re.Match], around: list[str]) -> bool:
        """Whether words are something that a person would point at: a longer word, or all between two small words or
        punctuation marks."""
        start, end = group[0].start(), group[-1].end()
        text, words = paragraph.text[start:end], [word[0].lower() for word in group]
        if not self.occurs_once(text) or re.fullmatch(r"[\w'’\- ]+", text) is None:
            return False
        if words[-1] in SMALL_WORDS or words[0] in SMALL_WORDS - {"the", "no", "every", "all"}:
            return False
        if len(words) == 1:
            return len(text) >= 5 and text.isalpha()
        opens = around[0] in SMALL_WORDS or not paragraph.text[:start].endswith(" ") or words[0] == "the"
        closes = around[1] in SMALL_WORDS or not paragraph.text[end:].startswith(" ")
        return (opens or paragraph.text[start - 2 : start - 1] in ".,:;") and closes

    @cached_property
    def texts(self) -> list[Paragraph]:
        """Paragraphs of running text (no headings, list items, captions or lines to sign), each text unique."""
        return [
            paragraph
            for paragraph in self.unique
            if paragraph.style == "Normal" and len(paragraph.text) >= 40 and "___" not in paragraph.text
        ]

    @cached_property
    def unique(self) -> list[Paragraph]:
        """Body paragraphs with a text of their own."""
        return [p for p in self.document.paragraphs if p.text and self.occurs_once(p.text)]

    @cached_property
    def headings(self) -> list[Paragraph]:
        return [paragraph for paragraph in self.unique if str(paragraph.style).startswith("Heading ")]

    @cached_property
    def items(self) -> list[Paragraph]:
        """Items of bulleted and numbered lists."""
        return [paragraph for paragraph in self.unique if paragraph.list_kind]

    def reference(self, paragraph: Paragraph, rng: Random) -> str | None:
        """Words that name a paragraph as a person would, or None where nothing short names this one alone."""
        if paragraph.style == "Title":
            return rng.choice(["the title", f'the title "{paragraph.text}"'])
        if paragraph.style == "Subtitle":
            return rng.choice(["the subtitle", f'the paragraph "{paragraph.text}"'])
        if str(paragraph.style).startswith("Heading "):
            return f'the heading "{paragraph.text}"'
        if paragraph.list_kind:
            return rng.choice([f'the list item "{paragraph.text}"', f'the item "{paragraph.text}"'])
        ways = [way for way in (self._beginning(paragraph), self._beginning(paragraph), self._place(paragraph)) if way]
        containing = self._containing(paragraph, rng)
        return rng.choice([*ways, containing] if containing else ways) if ways or containing else None

    def _beginning(self, paragraph: Paragraph) -> str | None:
        for count in (3, 4, 5, 6):
            words = list(WORD.finditer(paragraph.text))[:count]
            start = paragraph.text[: words[-1].end()] if words else ""
            if start and self.occurs_once(start) and '"' not in start:
                return f'the paragraph that begins with "{start}"'
        return None

    def _containing(self, paragraph: Paragraph, rng: Random) -> str | None:
        inside = [phrase for phrase in self.phrases if phrase.paragraph is paragraph and " " in phrase.text]
        return f'the paragraph that mentions "{rng.choice(inside).text}"' if inside else None

    def _place(self, paragraph: Paragraph) -> str | None:
        """By what stands before it: the first paragraph under a heading; the last one of the document."""
        blocks = self.document.blocks
        index = next(i for i, block in enumerate(blocks) if block is paragraph)
        before = blocks[index - 1] if index else None
        if isinstance(before, Paragraph) and before in self.headings:
            return f'the first paragraph under the heading "{before.text}"'
        return "the last paragraph" if index == len(blocks) - 1 else None
