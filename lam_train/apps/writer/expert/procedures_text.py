"""Procedures on text: selecting, the looks of characters and paragraphs, writing, replacing, deleting."""

from collections.abc import Callable
from dataclasses import replace

from lam_train.apps.writer.expert.grammar_pattern import Subtask
from lam_train.apps.writer.expert.grammar_targets import Place, Target
from lam_train.apps.writer.expert.on_screen import button_before, is_checked, text_of
from lam_train.apps.writer.expert.procedure import Intent, NoPlan, button, click, fill, keys, menu, on, typed

Procedure = Callable[[Subtask], list[Intent]]
ALIGNMENTS = {"left": "Left", "center": "Center", "right": "Right", "justified": "Justified"}
SWITCHES = ("Bold", "Italic", "Underline", "Strikethrough", "Superscript", "Subscript")
SPACING_FIELDS = {
    "space_before": "Above paragraph",
    "space_after": "Below paragraph",
    "indent_left": "Before text",
    "indent_right": "After text",
    "first_line_indent": "First line",
}


def select(target: Target | None) -> list[Intent]:
    """Selects a phrase or a whole paragraph, for what is done to characters."""
    if target is None:
        raise NoPlan("what it is about is not said")
    if target.kind == "phrase":
        return [Intent("select_text", "select the phrase", args={"text": target.text})]
    if target.kind == "table":
        return [Intent("select_table", "select the table", args={"number": max(target.number, 1)})]
    if target.kind == "all":
        return [keys("^a", "select everything")]
    if target.kind == "paragraph" and target.match == "is" and target.text:
        return [Intent("select_text", "select the text", args={"text": target.text})]
    return [Intent("click_input", "select the paragraph", text_of(target), args={"double": True})]


def into(target: Target | None) -> list[Intent]:
    """Brings the cursor, or a selection, into a paragraph, for what is done to whole paragraphs."""
    if target is None:
        raise NoPlan("what it is about is not said")
    if target.kind in ("phrase", "paragraph") and target.text and target.match != "ends":
        return [Intent("select_text", "select the paragraph", args={"text": target.text})]
    if target.kind == "paragraph":
        return [Intent("click_input", "click the paragraph", text_of(target))]
    return select(target)


def to_the_end(target: Target | None) -> list[Intent]:
    """Brings the cursor to the end of a paragraph or cell, nothing selected."""
    if target is None:
        raise NoPlan("where is not said")
    if target.kind == "all":
        return [keys("^{END}", "go to the end")]
    return [Intent("click_input", "click the paragraph", text_of(target))]


def to_the_start(target: Target | None) -> list[Intent]:
    """Brings the cursor to the beginning of a paragraph."""
    if target is not None and target.kind == "all":
        return [keys("^{HOME}", "go to the start")]
    return [*to_the_end(target), keys("^{UP}", "go to its start")]


def to_place(place: Place | None) -> list[Intent]:
    """Brings the cursor to a place: before or after a paragraph, or right after a phrase."""
    if place is None:
        return []
    if place.side == "before":
        return to_the_start(place.target)
    return to_the_end(place.target)


def character(name: str, *path: str) -> Procedure:
    """Select, then a button of the toolbar, or the menu's entry."""
    return lambda subtask: [*select(subtask.target), on(button(name, *path))]


def paragraph(name: str, *path: str) -> Procedure:
    """Into the paragraph, then a button of the toolbar, or the menu's entry."""
    return lambda subtask: [*into(subtask.target), on(button(name, *path))]


def character_entry(name: str) -> Procedure:
    """Select, then an entry of Format > Text."""
    return lambda subtask: [*select(subtask.target), *menu("Format", "Text"), on(click(name))]


def box(name: str, value: str, about: Callable[[Target | None], list[Intent]]) -> Procedure:
    """Select, then a box of the toolbar."""
    return lambda subtask: [*about(subtask.target), fill(name, subtask.values[value], "ComboBox")]


def take_away(name: str) -> Procedure:
    """Select, then a button of the toolbar that is on."""
    return lambda subtask: [
        *select(subtask.target),
        replace(click(name, kind="Button"), unless=lambda o: not is_checked(name)(o)),
    ]


def align(subtask: Subtask) -> list[Intent]:
    name = ALIGNMENTS[subtask.values["where"]]
    entry = "Centered" if name == "Center" else name
    return paragraph(name, "Format", "Align Text", entry)(subtask)


def change_case(subtask: Subtask) -> list[Intent]:
    return [*select(subtask.target), *menu("Format", "Text", subtask.values["case"])]


def line_spacing(subtask: Subtask) -> list[Intent]:
    entry = f"Line Spacing: {subtask.values['spacing']}"
    return [*into(subtask.target), *menu("Format", "Spacing", entry)]


def paragraph_field(subtask: Subtask) -> list[Intent]:
    """Format > Paragraph, the first tab, a field."""
    return [
        *into(subtask.target),
        *menu("Format", "Paragraph"),
        click("Indents & Spacing", kind="TabItem"),
        fill(SPACING_FIELDS[subtask.operation], subtask.values["length"]),
        click("OK"),
    ]


def colour(tab: str, palette: Intent) -> Procedure:
    """Format > Character, a tab, what shows the palette there, the colour."""
    return lambda subtask: [
        *select(subtask.target),
        *menu("Format", "Character"),
        click(tab, kind="TabItem"),
        palette,
        click(subtask.values["colour"], kind="ListItem"),
        click("OK"),
    ]


def replace_phrase(subtask: Subtask) -> list[Intent]:
    phrase = Target("phrase", subtask.values["text"])
    return [*select(phrase), keys(typed(subtask.values["new"]), "type the new text")]


def replace_all(subtask: Subtask) -> list[Intent]:
    return [
        button("Find and Replace", "Edit", "Find and Replace"),
        fill("Find", subtask.values["text"]),
        fill("Replace", subtask.values["new"]),
        click("Replace All"),
        click("Close"),
    ]


def delete_text(subtask: Subtask) -> list[Intent]:
    target = subtask.target
    if target is not None and target.kind == "phrase":
        return [*select(target), keys("{DELETE}", "press Delete")]
    if target is None or target.kind != "paragraph":
        raise NoPlan("only phrases and paragraphs are deleted")
    whole = Intent("click_input", "select the paragraph", text_of(target), args={"double": True})
    return [whole, keys("{DELETE 2}", "press Delete twice")]


def beside(place: Place) -> list[Intent]:
    """Brings the cursor to just after a phrase; before or after a paragraph otherwise."""
    if place.target.kind != "phrase":
        return to_place(place)
    if place.side == "before":
        raise NoPlan("nothing is put right before a phrase")
    # RIGHT leaves the selection, and steps over what follows it: a letter, or into the next paragraph.
    return [*select(place.target), keys("{RIGHT}{LEFT}", "leave the selection")]


def insert_text(subtask: Subtask) -> list[Intent]:
    """Text into a paragraph: at its start, at its end, or beside a phrase in it."""
    place, text = subtask.place, subtask.values["text"]
    if place is None:
        raise NoPlan("where the text goes is not said")
    if place.target.kind == "phrase":
        return [*beside(place), keys(f" {typed(text)}", "type the text")]
    return insert_paragraph(subtask)


def insert_paragraph(subtask: Subtask) -> list[Intent]:
    place, text = subtask.place or Place("after", Target("all")), typed(subtask.values["text"])
    if place.side == "before":
        return [*to_the_start(place.target), keys(f"{text}{{ENTER}}", "type the paragraph")]
    return [*to_the_end(place.target), keys(f"{{ENTER}}{text}", "type the paragraph")]


PROCEDURES: dict[str, Procedure] = {
    "bold": character("Bold", "Format", "Text", "Bold"),
    "italic": character("Italic", "Format", "Text", "Italic"),
    "underline": character("Underline", "Format", "Text", "Single Underline"),
    "strikethrough": character("Strikethrough", "Format", "Text", "Strikethrough"),
    **{f"no_{name.lower()}": take_away(name) for name in SWITCHES},
    "superscript": character("Superscript", "Format", "Text", "Superscript"),
    "subscript": character("Subscript", "Format", "Text", "Subscript"),
    "small_capitals": character_entry("Small capitals"),
    "clear_formatting": character("Clear", "Format", "Clear Direct Formatting"),
    "font_name": box("Font Name", "font", select),
    "font_size": box("Font Size", "size", select),
    "font_color": colour("Font Effects", Intent("click_input", "open the palette", button_before("Transparency"))),
    "highlight": colour("Highlighting", click("Color", kind="Button")),
    "change_case": change_case,
    "style": box("Paragraph Style", "style", into),
    "align": align,
    "line_spacing": line_spacing,
    **dict.fromkeys(SPACING_FIELDS, paragraph_field),
    "bullets": paragraph("Unordered List", "Format", "Lists", "Unordered List"),
    "numbering": paragraph("Ordered List", "Format", "Lists", "Ordered List"),
    "no_list": paragraph("No List", "Format", "Lists", "No List"),
    "replace_phrase": replace_phrase,
    "replace_all": replace_all,
    "delete_text": delete_text,
    "insert_text": insert_text,
    "insert_paragraph": insert_paragraph,
}
