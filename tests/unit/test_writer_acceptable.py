"""Which controls would have done the same."""

import pytest

from lam_train.apps.writer.acceptable import acceptable
from lam_train.apps.writer.controls import screen_of
from lam_train.records import Action

DOCUMENT = {
    "kind": "document",
    "title": "a.docx",
    "nodes": [
        {"handle": 0, "role": "MENU", "name": "File", "enabled": True},
        {"handle": 1, "role": "DOCUMENT", "name": "The fox.", "text": "Heading 1", "enabled": True, "selected": True},
        {"handle": 2, "role": "DOCUMENT", "name": "A fox.", "text": "Text Body", "enabled": True, "selected": False},
    ],
}
DIALOG = {
    "kind": "dialog",
    "title": "Bookmark",
    "messages": [],
    "nodes": [
        {"handle": number, "role": "PUSH_BUTTON", "name": name, "enabled": True}
        for number, name in enumerate(("OK", "Cancel", "Help", "Close"))
    ],
}


@pytest.mark.parametrize(
    ("seen", "function", "label", "args", "expected"),
    [
        (DOCUMENT, "click_input", "1", {}, ["1"]),
        (DOCUMENT, "click_input", "9", {}, []),
        (DOCUMENT, "select_text", "", {"text": "fox"}, ["", "2"]),
        (DOCUMENT, "select_text", "2", {"text": "fox"}, ["2", ""]),
        (DOCUMENT, "select_text", "3", {"text": "fox"}, ["3"]),
        (DOCUMENT, "keyboard_input", "", {"keys": "x"}, ["", "2"]),
        (DOCUMENT, "keyboard_input", "3", {"keys": "x"}, ["3"]),
        (DOCUMENT, "insert_table", "2", {"rows": 1, "columns": 1}, ["2", ""]),
        (DIALOG, "click_input", "2", {}, ["2", "3"]),
        (DIALOG, "click_input", "1", {}, ["1"]),
    ],
)
def test_acceptable(seen, function, label, args, expected):
    action = Action(function=function, control_label=label, args=args)
    assert acceptable(action, screen_of(seen)) == expected
