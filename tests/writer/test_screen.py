"""A Writer on a screen and one without give the same controls at every step, and the same document at the end."""

import io
import shutil

import pytest
from PIL import Image

from lam_train.apps.writer.environment import WriterEnvironment
from lam_train.apps.writer.inside import state
from lam_train.apps.writer.settings import WriterSettings
from tests.writer.hand import Hand

pytestmark = [
    pytest.mark.writer,
    pytest.mark.skipif(not (shutil.which("Xvfb") and shutil.which("openbox")), reason="needs Xvfb and openbox"),
]
FOX = "The quick brown fox jumps over the lazy dog."
# Twenty tasks: ("select", text), ("click", names…), ("set", name, text), ("keys", keys), ("table", rows, columns).
TASKS = [
    [("select", "quick brown"), ("click", "Bold")],
    [("select", "Rivers"), ("click", "Italic"), ("click", "Underline")],
    [("select", "lazy dog"), ("set", "Font Size", "18")],
    [("select", "lazy dog"), ("set", "Font Name", "DejaVu Sans")],
    [("click", FOX), ("click", "Center")],
    [("click", FOX), ("set", "Paragraph Style", "Heading 3")],
    [("click", "Pears"), ("click", "Ordered List")],
    [("click", FOX), ("click", "Format", "Paragraph"), ("set", "Below paragraph", '0.3"'), ("click", "OK")],
    [
        ("select", "sea"),
        ("click", "Format", "Character", "Font Effects"),
        ("set", "Underlining", "Wave"),
        ("click", "OK"),
    ],
    [("select", "Summary"), ("click", "Format", "Text", "UPPERCASE")],
    [("click", "After the table."), ("table", 2, 3)],
    [("click", "Cherry"), ("click", "Table", "Insert", "Rows Above")],
    [("set", "Apple", "Pear")],
    [("click", "Insert", "Bookmark"), ("set", "Name", "start"), ("click", "Insert")],
    [("click", FOX), ("click", "Footnote"), ("keys", "See the zoo.")],
    [("click", "Format", "Columns", "2 columns with equal size", "OK")],
    [("click", "Format", "Page Style", "Page", "Landscape", "OK")],
    [("click", "Format", "Bullets and Numbering", "Ordered"), ("click", "Cancel")],
    [("click", "Insert", "Header and Footer", "Header", "Default Page Style")],
    [("click", "After the table."), ("keys", " More.{ENTER}And ^imore^i."), ("click", "Page Break")],
]


def play(hand: Hand, steps) -> tuple[list, str]:
    """The observations of a task, one after another, and a digest of the document it leaves."""
    seen = [hand.begin()]
    for what, *details in steps:
        for name in details if what == "click" else [None]:
            if what == "click":
                hand.click(name)
            elif what == "set":
                hand.set(*details)
            elif what == "table":
                hand.do("insert_table", rows=details[0], columns=details[1])
            else:
                {"select": hand.select, "keys": hand.keys}[what](*details)
            seen.append(hand.observation)
    return seen, state.of_file(hand.environment.save())


def check_same(hand: Hand, shown: Hand, steps) -> None:
    plain, visible = play(hand, steps), play(shown, steps)
    for one, other in zip(plain[0], visible[0], strict=True):
        different = [pair for pair in zip(one.controls, other.controls, strict=False) if pair[0] != pair[1]]
        assert one == other, f"{steps}, {one.window} / {other.window}: {different[:2]}"
    assert plain[1] == visible[1], f"{steps}: the documents differ"


def test_twenty_tasks_are_the_same_with_and_without_a_screen(hand, templates):
    environment = WriterEnvironment(WriterSettings(screen=True, max_steps=1000), templates)
    try:
        shown = Hand(environment)
        for steps in TASKS:
            check_same(hand, shown, steps)
        picture = Image.open(io.BytesIO(environment.screenshot()))
        assert picture.size == (1400, 900) and len(picture.convert("L").getcolors(100_000)) > 50
    finally:
        environment.close()
