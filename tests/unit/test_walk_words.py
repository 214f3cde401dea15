"""The walk's words and values: tasks as a user would ask, plans as documentation writes them, values that fit."""

import pytest

from lam_train.apps.writer.walk import values, wording
from lam_train.apps.writer.walk.plans import Act, Draft, Move, Wish, same_value
from lam_train.records import Control

MOVE = Move(text="Choose Format > Paragraph.", acts=[Act(function="click_input", name="Format", types=["MenuItem"])])


def draft(**changes) -> Draft:
    plain = {"id": "x", "page": "p", "context": "paragraph", "kind": "check", "moves": [MOVE], "dialog": "Paragraph"}
    return Draft(**plain | {"tab": "Text Flow", "control": "Widow control", "value": "on"} | changes)


@pytest.mark.parametrize(
    ("tip", "asked"),
    [
        ("Displays all line breaks inserted with Shift+Enter.", "Display all line breaks inserted with Shift+Enter"),
        ("Applies the default vertical spacing. More text.", "Apply the default vertical spacing"),
        ("Copies the settings of the frame", "Copy the settings of the frame"),
        ("Specifies whether the link is a button.", ""),  # it says what the control is, not what it does
        ("Select the numbering scheme that you want to use.", ""),
        ("Text in the document appears above", ""),
        ("Adds it.", ""),  # says nothing
    ],
)
def test_help_tips_that_say_an_effect_become_requests(tip, asked):
    assert wording.imperative(tip) == asked


def test_a_task_names_what_it_is_about_and_turning_off_says_so():
    on = {wording.task_of(draft(id=f"i{number}")) for number in range(40)}
    off = {wording.task_of(draft(id=f"i{number}", value="off")) for number in range(40)}
    assert len(on) >= 4 and not on & off
    assert all("Widow control" in task for task in on | off)
    assert all(any(word in task.lower() for word in ("off", "disable", "deactivate", "uncheck")) for task in off)
    assert wording.task_of(draft(id="same")) == wording.task_of(draft(id="same"))


@pytest.mark.parametrize(
    ("group", "label", "thing"),
    [
        ("Spacing", "Above paragraph", "the spacing above paragraph"),
        ("Margins", "Left", "the left margin"),
        ("Type and Title", "Title", "“Title” under “Type and Title”"),
        ("Options", "Lines", "the lines"),  # a group's title that says nothing
        ("Spacing", "Space to the text below", "the space to the text below"),
    ],
)
def test_a_label_is_named_with_its_group_where_it_needs_it(group, label, thing):
    assert wording.Place("Paragraph", "", group, "").thing(label) == thing


def test_a_command_is_said_by_its_tooltip_where_that_is_a_request():
    told = {"path": ["Insert", "Comment"], "kind": "command", "dialog": "", "of": "the current paragraph"}
    assert wording.task_of(draft(**told, tooltip="Insert Comment")) == "Insert Comment"
    bold = draft(kind="command", path=["Format", "Text", "Bold"], tooltip="Bold", of="the selected text")
    assert wording.task_of(bold) in ("Apply bold to the selected text", "Format the selected text: bold")
    by_keys = wording.task_of(bold.model_copy(update={"way": "keys"}))
    assert "keyboard" in by_keys and "bold" in by_keys


def test_what_the_cursor_is_in_is_not_said_of_the_document_as_a_whole():
    find = Move(text="Choose Edit > Find and Replace.", acts=MOVE.acts)
    task = wording.task_of(draft(of="the selected text", moves=[find]))
    assert "selected text" not in task
    assert "selected text" in wording.task_of(draft(of="the selected text", id="i1"))


@pytest.mark.parametrize("shown", ['0.50"', "0.50″", "12 pt", "100%", "3", "45°", "1.00 cm"])
def test_numbers_keep_the_unit_and_differ_from_what_is_there(shown):
    found = values.numbers(shown, "key", 3)
    assert len(set(found)) == 3 and not any(same_value(value, shown) for value in found)
    assert found == values.numbers(shown, "key", 3)
    assert values.numbers("12 parsecs", "key", 3) == [] and values.numbers("Title", "key", 3) == []


def test_a_long_list_is_sampled_in_its_order():
    choices = [f"choice {number}" for number in range(50)]
    some = values.some(choices, "key", 6)
    assert len(some) == 6 and some == sorted(some, key=choices.index)
    assert values.some(choices[:6], "key", 6) == choices[:6]


def test_a_field_shows_a_value_in_other_words_and_not_another_value():
    assert same_value('0.5"', "0.50″") and same_value("12 pt", "12.0pt") and same_value("Single", "Single")
    assert not same_value("1 cm", '1"') and not same_value("0.5", "0.6") and not same_value("", "0")
    control = Control(label="1", control_text="Above", control_type="Edit", value="0.50″")
    assert Wish(name="Above", types=["Edit"], value='0.5"').holds(control)
    assert not Wish(name="Above", types=["Edit"], value='0.6"').holds(control)
    assert not Wish(name="Above", types=["Edit"], checked=True).holds(control)  # it has no such state
