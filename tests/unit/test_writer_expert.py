"""The embedded expert without an application: what its grammar reads, and what it decides on a screen."""

import ast
import random
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lam_train.apps.writer.expert as package
from lam_train.apps.writer.expert import ManualExpert, grammar
from lam_train.apps.writer.expert.grammar import read_request
from lam_train.apps.writer.tasks.generate import SplitCounts, TaskSettings, generate_tasks
from lam_train.records import Action, Control, Observation, Previous, State

EXPERT = ManualExpert()


# The grammar ---------------------------------------------------------------------------------------------------------

READ = {
    'Make "annual report" bold.': [("bold", {})],
    "Could you please put the phrase “annual report” in italics?": [("italic", {})],
    "The phrase 'the team's plan' should be underlined": [("underline", {})],
    'Change the font size of "x" to 14 pt': [("font_size", {"size": "14"})],
    'Use Liberation Mono for "x"': [("font_name", {"font": "Liberation Mono"})],
    'Colour "x" in dark red': [("font_color", {"colour": "Dark Red 2"})],
    'Give "x" a yellow background': [("highlight", {"colour": "Yellow"})],
    'Turn the paragraph that starts with "On May" into a level 2 heading': [("style", {"style": "Heading 2"})],
    "Align the third paragraph to the right": [("align", {"where": "right"})],
    'Set the space below the heading "Term" to 12 pt': [("space_after", {"length": "12 pt"})],
    'Indent the first line of the paragraph that begins with "It" by half an inch': [
        ("first_line_indent", {"length": '0.5"'})
    ],
    "Insert a table with four columns and 3 rows at the end of the document": [
        ("insert_table", {"rows": "3", "columns": "4"})
    ],
    "Delete the second row of the table": [("delete_row", {"ordinal": "2"})],
    'Write "7" in cell B3': [("set_cell", {"text": "7", "cell": "B3"})],
    'Replace every "Tenant" with "Lessee"': [("replace_all", {"text": "Tenant", "new": "Lessee"})],
    'Link "our site" to https://example.org/a.': [("hyperlink", {"address": "https://example.org/a"})],
    "Set the left margin to 2 cm": [("margin", {"side": "left", "length": "2 cm"})],
    "Switch the page to landscape": [("orientation", {"orientation": "Landscape"})],
    'Make "x" bold and italic': [("bold", {}), ("italic", {})],
    'Make "x" bold, then add a footnote to it saying "see below".': [("bold", {}), ("footnote", {"text": "see below"})],
    'Select "x" and make it red': [("font_color", {"colour": "Red"})],
}


@pytest.mark.parametrize("request_text", READ)
def test_idioms_are_read(request_text):
    subtasks = read_request(request_text)
    assert subtasks is not None
    assert [(subtask.operation, dict(subtask.values)) for subtask in subtasks] == READ[request_text]


@pytest.mark.parametrize(
    "request_text",
    [
        "Sing a song.",
        'I want "x" in bold.',
        'Bold for "x"',
        'Is "x" bold?',
        'Make "x" bold, make "y" italic and make "z" red.',
        'Make "x" bold and sing a song.',
        'Make "x" look nicer.',
        'Set "x" in Wingdings.',
        "Make it bold.",  # nothing was named that "it" could be
    ],
)
def test_what_is_outside_the_grammar_is_not_guessed_at(request_text):
    assert read_request(request_text) is None
    (decision,) = EXPERT.decide([state(request_text)])
    assert decision.action is None
    assert decision.problem == "no plan: the request is not understood"


def test_what_is_quoted_is_never_read_as_a_command():
    (subtask,) = read_request('Make "delete the table, then save" bold')
    assert (subtask.operation, subtask.target.text) == ("bold", "delete the table, then save")


@pytest.mark.parametrize("part", ["please ", 'make "x" bold and ', "'a ", "in ", "the first paragraph under "])
def test_an_endless_request_is_refused_in_time(part):
    started = time.perf_counter()
    assert read_request(f"{part * 5000}sing") is None
    assert read_request(f"{part * (900 // len(part))}sing") is None
    assert time.perf_counter() - started < 5


def test_targets():
    def target(request_text):
        return read_request(request_text)[0].target

    assert target('Center the paragraph that mentions "five weeks"').match == "contains"
    assert target('Center the paragraph that begins with "Five"').match == "starts"
    assert target("Center the title").style == "title"
    assert target("Center the last paragraph").number == -1
    first = target('Center the first paragraph under the heading "Term"')
    assert (first.number, first.under) == (1, "Term")
    assert read_request('Make "x" bold and underline it')[1].target.text == "x"


@pytest.fixture(scope="module")
def tasks():
    counts = SplitCounts(train=2, explore=1)
    found = generate_tasks(TaskSettings(singles=counts, compositions=SplitCounts(train=30, explore=15)))
    return [task for task in found if task.split in ("train", "explore")]


def test_it_understands_its_share_and_leaves_something_to_explore(tasks):
    share = sum(read_request(task.request) is not None for task in tasks) / len(tasks)
    assert 0.55 <= share <= 0.75


def test_keywords_hide_nothing(tasks, monkeypatch):
    read = {task.request: read_request(task.request) for task in random.Random(0).sample(tasks, 120)}
    monkeypatch.setattr(grammar, "may_be", lambda operation, clause: True)
    read_request.cache_clear()
    assert {request: read_request(request) for request in read} == read


def test_it_never_sees_what_the_checker_knows():
    for path in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = node.module if isinstance(node, ast.ImportFrom) else ""
            assert "tasks" not in (module or ""), f"{path.name} imports {module}"
            name = node.attr if isinstance(node, ast.Attribute) else ""
            assert name not in ("operations", "family", "wording"), f"{path.name} reads .{name}"


def test_every_pattern_is_a_regular_expression_and_none_is_compiled_before_it_is_asked():
    """All of them take more than a second to compile, which every command would pay that reads a recipe."""
    check = "import lam_train.recipe; from lam_train.apps.writer.expert.grammar import PATTERNS; "
    check += "print(sum('regex' in vars(pattern) for pattern in PATTERNS))"
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True).stdout == "0\n"
    for pattern in grammar.PATTERNS:
        assert pattern.regex.groups >= len(re.findall(r"<\w+>", pattern.words)), pattern.words


def test_a_decision_takes_milliseconds(tasks):
    read_request.cache_clear()
    took = []
    for task in tasks:
        started = time.perf_counter()
        EXPERT.decide([state(task.request)])
        took.append(time.perf_counter() - started)
    assert statistics.median(took) < 0.005


# Deciding ------------------------------------------------------------------------------------------------------------

TEXTS = (
    ("Annual Report", "Title"),
    ("Summary", "Heading 1"),
    ("The library welcomed 84,310 visitors.", "Default Paragraph Style"),
    ("Branch", "Table1.A1"),
    ("Visits", "Table1.B1"),
    ("Central", "Table1.A2"),
    ("51,200", "Table1.B2"),
)


def screen(names, texts=TEXTS, checked=(), disabled=(), kind="Button", modal=False) -> Observation:
    controls = [
        Control(
            label=str(n), control_text=name, control_type=kind, checked=name in checked, enabled=name not in disabled
        )
        for n, name in enumerate(names, start=1)
    ]
    for text, value in texts:
        controls.append(
            Control(
                label=str(len(controls) + 1), control_text=text, control_type="Document", value=value, selected=False
            )
        )
    return Observation(window="report.docx", controls=controls, modal=modal)


def state(request_text, observation=None, previous=()) -> State:
    return State(request=request_text, observation=observation or screen(["Bold"]), previous=list(previous))


def decide(request_text, observation=None, previous=()) -> Action:
    (decision,) = EXPERT.decide([state(request_text, observation, previous)])
    assert decision.action is not None, decision.problem
    return decision.action


def done(action: Action, error=False, result="") -> Previous:
    return Previous(action=action, result=result, error=error)


SELECT = Action(function="select_text", args={"text": "library"})
REQUEST = 'Make "library" bold.'


def test_the_shortest_way_and_finish_with_the_last_action():
    first = decide(REQUEST)
    assert (first.function, first.args, first.status) == ("select_text", {"text": "library"}, "CONTINUE")
    assert first.plan == ["click Bold"]
    last = decide(REQUEST, previous=[done(first)])
    assert (last.function, last.control_label, last.control_name) == ("click_input", "1", "Bold")
    assert (last.status, last.plan) == ("FINISH", [])


def test_a_switch_that_is_on_is_not_pressed():
    action = decide(REQUEST, screen(["Bold"], checked=["Bold"]), [done(SELECT)])
    assert (action.function, action.status) == ("", "FINISH")


def test_what_was_done_is_known_from_the_history_alone():
    """Actions of others in between change nothing; so any state can be decided afresh."""
    other = Action(function="click_input", control_name="Spelling")
    assert decide(REQUEST, previous=[done(other), done(SELECT), done(other)]).control_name == "Bold"
    assert decide(REQUEST, previous=[done(other)]).function == "select_text"


def test_a_refused_action_is_given_up_where_there_is_no_other_way():
    (decision,) = EXPERT.decide([state(REQUEST, previous=[done(SELECT, error=True, result="not found")])])
    assert decision.action is None
    assert decision.problem == "no plan: select the phrase was refused: not found"


MENU = ("Format", "Text", "Bold")


@pytest.mark.parametrize("why", ["missing", "disabled", "refused"])
def test_another_way_is_tried_once(why):
    observation = screen(["Format"], kind="MenuItem")
    previous = [done(SELECT)]
    if why == "disabled":
        bold = Control(label="99", control_text="Bold", control_type="Button", enabled=False)
        observation = observation.model_copy(update={"controls": [*observation.controls, bold]})
    if why == "refused":
        previous.append(done(Action(function="click_input", control_name="Bold"), error=True))
    for number, name in enumerate(MENU):
        if number:
            observation = screen([name], texts=(), kind="MenuItem", modal=True)
        action = decide(REQUEST, observation, previous)
        assert action.control_name == name
        previous.append(done(action))
    assert action.status == "FINISH"
    assert EXPERT.decide([state(REQUEST, observation, [*previous[:-1], done(action, error=True)])])[0].action is None


def test_a_control_that_is_nowhere_ends_it():
    (decision,) = EXPERT.decide([state("Set the left margin to 2 cm", screen(["Bold"]))])
    assert decision.action is None
    assert "click Format: its control is not on the screen" in decision.problem


def test_paragraphs_and_cells_are_found_on_the_screen():
    def label_of(text):
        return next(control.label for control in screen(["Bold"]).controls if control.control_text == text)

    under = decide('Make the first paragraph under the heading "Summary" bold')
    assert (under.control_label, under.args) == (label_of(TEXTS[2][0]), {"double": True})
    assert decide("Center the title").control_label == label_of("Annual Report")
    cell = decide('Write "9" in cell B2')
    assert (cell.function, cell.control_label, cell.status) == ("set_edit_text", label_of("51,200"), "FINISH")
    assert decide("Delete the last row of the table").control_label == label_of("Central")
    assert decide('Delete the column "Visits"').control_label == label_of("Visits")


def test_what_stands_outside_the_body_is_not_counted():
    texts = (*TEXTS, ("Draft", "Header"), ("See below.", "Footnote 1"), ("Really?", "Comment 1"))
    last = decide("Center the last paragraph", screen(["Bold"], texts))
    assert last.control_name == "The library welcomed 84,310 visitors."


def test_text_is_typed_as_it_is():
    request_text = 'Replace "library" with "50% (more) {or} a+b^2~"'
    action = decide(request_text, previous=[done(SELECT)])
    assert action.args["keys"] == "50{%} {(}more{)} {{}or{}} a{+}b{^}2{~}"


def test_plans_and_thoughts_are_short(tasks):
    for task in random.Random(0).sample(tasks, 60):
        (decision,) = EXPERT.decide(
            [state(task.request, screen(["Format", "Insert", "Edit", "Table"], kind="MenuItem"))]
        )
        if decision.action is not None:
            assert all(len(step.split()) <= 4 for step in decision.action.plan)
            assert len(decision.action.thought.split()) <= 4
