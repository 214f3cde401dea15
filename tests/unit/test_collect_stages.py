"""The stages between a page and a dataset: verbs, tasks, steps, filters, duplicates, splits."""

import pytest

from lam_train.collect import deduplicate
from lam_train.collect.document import clean
from lam_train.collect.filters import Limits, is_incomplete, not_english, reason_to_drop
from lam_train.collect.pairing import lead_in_task
from lam_train.collect.prose import pairs_in
from lam_train.collect.raw import RawPair
from lam_train.collect.split import SPLITS, split_of
from lam_train.collect.tasks import tell_apart, unify_task
from lam_train.collect.unify import unify, unify_step
from lam_train.collect.verbs import gerund, is_instruction
from lam_train.records import TaskPlan


@pytest.mark.parametrize(
    ("title", "task"),
    [
        ("Changing Page Orientation", "Change Page Orientation"),
        ("To insert a row:", "Insert a row"),
        ("to insert a row", "Insert a row"),
        ("How do I print a page?", "Print a page"),
        ("2.1. Adding, Editing and Removing Bookmarks", "Add, edit and remove Bookmarks"),
        ("Printing in Reverse Order", "Print in Reverse Order"),
        ("Safely remove a drive", "Safely remove a drive"),
        ("Format the page", "Format the page"),
        ("Overview", None),
        ("Example", None),
        ("Page Styles", None),
        ("Format Menu", None),
        ("Print Options", None),
        ("To a Text Selection", None),
        ("To do so", None),
        ("To change this directory", None),
        ("To remove it", None),
        ("Check if", None),
    ],
)
def test_titles_become_imperatives_or_nothing(title, task):
    assert unify_task(title) == task


@pytest.mark.parametrize(
    ("paragraph", "task"),
    [
        ("Charts are useful. To insert a chart, do the following:", "To insert a chart"),
        ("If you want to print a page proceed as follows:", "To print a page"),
        ("To insert a table, chart or image, follow these steps:", "To insert a table, chart or image"),
        ("To keep all on one sheet, you can copy objects:", "To keep all on one sheet"),
        ("To hide a slide, click the Hide Slide button.", ""),  # says its own plan
        ("Follow these steps:", ""),
    ],
)
def test_lead_ins(paragraph, task):
    assert lead_in_task(paragraph) == task


@pytest.mark.parametrize(
    ("step", "unified"),
    [
        ("1. choose Format > Page", "Choose Format > Page."),
        ("Click OK. For more information, see Printing.", "Click OK."),
        ("Click Bold (see Figure 3.2) and press Enter.", "Click Bold and press Enter."),
        ("Click Reveal (B).", "Click Reveal."),
        ("Click Next. The following screen appears:", "Click Next."),
        ("See also Printing.", ""),
        ("Click Save As….", "Click Save As..."),
    ],
)
def test_steps_become_sentences(step, unified):
    assert unify_step(step) == unified


def test_arrows_and_spaces_are_one():
    assert clean("File → Print ▸ Options\n  and  OK .") == "File > Print > Options and OK."
    assert clean("Press the menu ( ) button,click it") == "Press the menu button, click it"


@pytest.mark.parametrize(
    ("verb", "form"), [("save", "saving"), ("set", "setting"), ("tie", "tying"), ("free", "freeing")]
)
def test_gerunds(verb, form):
    assert gerund(verb) == form


def test_instructions():
    assert is_instruction("Optionally, choose a color.") and is_instruction("In the Name box, type a name.")
    assert not is_instruction("The dialog closes.") and not is_instruction("")


@pytest.mark.parametrize(
    ("paragraph", "pairs"),
    [
        ("To undo, well. To insert a row, choose Table > Insert and click OK.", [("insert a row", 2)]),
        ("To delete a memo, right-click it and select Delete, or click it and click Delete.", [("delete a memo", 1)]),
        ("To open a file, do one of the following: press Enter.", []),
        ("The page is printed.", []),
    ],
)
def test_prose(paragraph, pairs):
    assert [(task, len(steps)) for task, steps in pairs_in(paragraph)] == pairs


@pytest.mark.parametrize(
    "step", ["Press in the header bar.", "Click the.", "Go to File >.", "Create the file:", "Click."]
)
def test_steps_with_holes(step):
    assert is_incomplete(step)


@pytest.mark.parametrize(
    "step", ["Press Enter.", "Click OK (or press Enter).", "Choose Select All.", "Do one: (a) Click."]
)
def test_whole_steps(step):
    assert not is_incomplete(step)


def raw(**changes) -> RawPair:
    values = dict(
        task_id="p/1",
        page="p",
        titles=("Insert a row",),
        steps=("Choose Table > Insert.", "Click OK."),
        source="s",
        app="Writer",
        license="L",
    )
    return RawPair(**(values | changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        (
            {"steps": ("Klicken Sie auf Einfügen und wählen Sie die Datei aus.", "Klicken Sie danach auf Weiter.")},
            "not_english",
        ),
        ({"titles": ("Overview", "Rows")}, "no_task"),
        ({"steps": ("The row is inserted.", "It is empty.")}, "not_instructions"),
        ({"steps": ("Click the.", "Click OK.")}, "incomplete"),
        ({"steps": ("Click OK.",)}, "too_short"),
        ({"steps": ("Click OK.",), "kind": "prose"}, None),
        ({"steps": ("Click OK.",), "given": True}, None),
        ({"steps": ("Click OK.",) * 31}, "too_long"),
        ({"steps": ("Click OK " + "x" * 700, "Click OK.")}, "too_long"),
        ({"titles": ("Insert a row on your smartphone",)}, "irrelevant"),
        ({"steps": ("Open a terminal and type sudo ls.", "Click OK.")}, "irrelevant"),
    ],
)
def test_reasons_to_drop(changes, reason):
    assert reason_to_drop(raw(**changes), Limits()) == reason


def test_short_texts_are_never_another_language():
    assert not not_english("Open Calc")


def test_tasks_of_one_name_are_told_apart_by_their_headings():
    one = raw(titles=("Turn on protection",), headings=("Protecting Cells",))
    other = raw(
        task_id="p/2", titles=("Turn on protection",), headings=("Protecting Sections",), steps=("Click A.", "Click B.")
    )
    assert [record.task for record in tell_apart([(one, unify(one)), (other, unify(other))])] == [
        "Turn on protection (Protecting Cells)",
        "Turn on protection (Protecting Sections)",
    ]
    assert tell_apart([(one, unify(one))])[0].task == "Turn on protection"


def plan(number: int, text: str, kind: str = "steps", task: str = "Insert a row in the table") -> TaskPlan:
    return TaskPlan(task_id=f"t/{number}", task=task, plan=[text, "Click OK."], kind=kind)


LONG = "Open the dialog with the menu Table, choose Insert Rows, enter how many rows you want and where they go"


def test_exact_duplicates_ignore_case_and_marks_and_keep_the_cleaner_kind():
    records = [plan(1, "choose insert", "prose"), plan(2, "Choose: Insert!"), plan(3, "Choose Delete")]
    unique, removed = deduplicate.exact(deduplicate.best_first(records))
    assert [record.task_id for record in unique] == ["t/2", "t/3"]
    assert [record.task_id for record in removed] == ["t/1"]


def test_near_duplicates_go_and_different_plans_stay():
    records = [plan(1, LONG), plan(2, LONG + " now"), plan(3, "Press Ctrl+Plus in the table to get a new row")]
    unique, removed = deduplicate.near(records, 0.8)
    assert [record.task_id for record in unique] == ["t/1", "t/3"]
    assert [(record.task_id, twin) for record, twin in removed] == [("t/2", "t/1")]
    assert len(deduplicate.near(records, 1.0)[0]) == 3


def test_the_split_is_a_function_of_page_and_seed():
    pages = [f"page/{number}" for number in range(4000)]
    splits = [split_of(page, 0, 0.1, 0.2) for page in pages]
    assert splits == [split_of(page, 0, 0.1, 0.2) for page in pages]
    assert splits != [split_of(page, 1, 0.1, 0.2) for page in pages]
    share = {split: splits.count(split) / len(pages) for split in SPLITS}
    assert share["train"] == pytest.approx(0.7, abs=0.03)
    assert share["validation"] == pytest.approx(0.1, abs=0.02)
    assert share["test"] == pytest.approx(0.2, abs=0.03)
    assert split_of("page/7", 0, 0.1, 0.2) == splits[7]
