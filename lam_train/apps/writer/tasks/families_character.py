"""Families on the characters of a phrase."""

from random import Random

from lam_train.apps.writer.tasks.comparison import OneOf
from lam_train.apps.writer.tasks.document_model import Document, Format
from lam_train.apps.writer.tasks.family import (
    Drawn,
    Family,
    Parameters,
    about_phrase,
    choose_phrase,
    find_phrase,
    set_format,
)
from lam_train.apps.writer.tasks.source import Phrase, Source

FONTS = ("Liberation Serif", "Liberation Sans", "Liberation Mono", "DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono")
SIZES = ("8", "9", "10", "12", "13", "14", "15", "16", "18", "20", "22", "24", "26", "28")
# What each name may mean: first the color of that name in Writer's standard palette, then what others call so.
COLORS = {
    "red": ("FF0000", "C9211E"),
    "green": ("00A933", "00FF00", "008000"),
    "blue": ("2A6099", "0000FF"),
    "orange": ("FF8000", "FFA500"),
    "purple": ("800080",),
    "brick": ("FF4000",),
    "teal": ("158466", "008080"),
    "gold": ("FFBF00",),
    "magenta": ("BF0041", "FF00FF"),
}
HIGHLIGHTS = {
    "yellow": ("FFFF00",),
    "lime": ("81D41A", "00FF00"),
    "orange": ("FF8000", "FFA500"),
    "gold": ("FFBF00",),
    "red": ("FF0000",),
    "green": ("00A933", "00FF00", "008000"),
}


class Switch(Family):
    """A property that is turned on: select the phrase, then the toolbar's button or the entry of Format > Text."""

    on_phrase = True

    def __init__(self, name: str, attribute: str, value: object) -> None:
        self.name, self.attribute, self.value = name, attribute, value

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        phrase = choose_phrase(source, rng, **{self.attribute: self.value})
        return about_phrase(phrase) if phrase else None

    def lacks(self, look: Format, parameters: Parameters) -> bool:
        return getattr(look, self.attribute) != self.value

    def expect(self, document: Document, parameters: Parameters) -> None:
        set_format(*find_phrase(document, parameters["phrase"]), **{self.attribute: self.value})


class FontName(Family):
    """Select, then type the name into the toolbar's "Font Name" box, ENTER."""

    name, on_phrase, attribute = "font_name", True, "font"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        font = rng.choice(FONTS)
        phrase = choose_phrase(source, rng, font=font)
        return about_phrase(phrase, font=font) if phrase else None

    def lacks(self, look: Format, parameters: Parameters) -> bool:
        return look.font != parameters["font"]

    def expect(self, document: Document, parameters: Parameters) -> None:
        set_format(*find_phrase(document, parameters["phrase"]), font=parameters["font"])


class FontSize(Family):
    """Select, then type the size into the toolbar's "Font Size" box, ENTER."""

    name, on_phrase, attribute = "font_size", True, "size"

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        size = rng.choice(SIZES)
        phrase = choose_phrase(source, rng, size=float(size))
        return about_phrase(phrase, size=size) if phrase else None

    def lacks(self, look: Format, parameters: Parameters) -> bool:
        return look.size != float(parameters["size"])

    def expect(self, document: Document, parameters: Parameters) -> None:
        set_format(*find_phrase(document, parameters["phrase"]), size=float(parameters["size"]))


class Color(Family):
    """Select, then the arrow of "Font Color" (or "Highlighting") and the color; or Format > Character, tab Font
    Effects (or Highlighting)."""

    on_phrase = True

    def __init__(self, name: str, attribute: str, colors: dict[str, tuple[str, ...]]) -> None:
        self.name, self.attribute, self.colors = name, attribute, colors

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        phrase = choose_phrase(source, rng)
        return about_phrase(phrase, color=rng.choice(sorted(self.colors))) if phrase else None

    def expect(self, document: Document, parameters: Parameters) -> None:
        values = OneOf(self.colors[parameters["color"]])
        set_format(*find_phrase(document, parameters["phrase"]), **{self.attribute: values})


class ClearFormatting(Family):
    """Select, then Format > Clear Direct Formatting, Ctrl+M, or the button of what is to go."""

    name, on_phrase = "clear_formatting", False  # with another character family on the same phrase it makes no sense

    def draw(self, source: Source, rng: Random) -> Drawn | None:
        for attribute in rng.sample(["bold", "italic"], 2):
            phrases = [phrase for phrase in source.phrases if is_all_that_has(phrase, attribute)]
            if phrases:
                return about_phrase(rng.choice(phrases), attribute=attribute)
        return None

    def expect(self, document: Document, parameters: Parameters) -> None:
        set_format(*find_phrase(document, parameters["phrase"]), **{parameters["attribute"]: False})


def is_all_that_has(phrase: Phrase, attribute: str) -> bool:
    """Whether the attribute is on for the phrase, in running text, and for nothing beside it."""
    formats = phrase.paragraph.formats
    around = [formats[index] for index in (phrase.start - 1, phrase.end) if 0 <= index < len(formats)]
    inside = phrase.look is not None and getattr(phrase.look, attribute) and phrase.paragraph.style == "Normal"
    return inside and not any(getattr(look, attribute) for look in around)


FAMILIES: tuple[Family, ...] = (
    Switch("bold", "bold", True),  # toolbar "Bold", Format > Text > Bold, Ctrl+B
    Switch("italic", "italic", True),  # toolbar "Italic", Ctrl+I
    Switch("underline", "underline", "single"),  # toolbar "Underline", Ctrl+U
    Switch("strikethrough", "strike", "single"),  # toolbar "Strikethrough", Format > Text > Strikethrough
    Switch("superscript", "position", "superscript"),  # toolbar "Superscript", Format > Text > Superscript
    Switch("subscript", "position", "subscript"),  # toolbar "Subscript", Format > Text > Subscript
    Switch("small_capitals", "case", "smallCaps"),  # Format > Text > Small Capitals
    FontName(),
    FontSize(),
    Color("font_color", "color", COLORS),
    Color("highlight", "background", HIGHLIGHTS),
    ClearFormatting(),
)
