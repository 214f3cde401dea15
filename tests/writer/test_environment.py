"""The environment's protocol: observations, actions and refusals, episodes one after another."""

import io
import os
import subprocess

import gymnasium
import pytest
from PIL import Image

from lam_train.apps.writer.environment import WriterEnvironment
from lam_train.apps.writer.process import SYSTEM_PYTHON
from lam_train.apps.writer.settings import WriterSettings
from lam_train.errors import UserError
from lam_train.records import Action, Verdict
from tests.writer.hand import CELLS, TEXT, task, write_document

pytestmark = pytest.mark.writer
FOX = "The quick brown fox jumps over the lazy dog."


def test_an_observation_lists_menus_then_toolbars_then_the_whole_document(hand):
    observation = hand.begin()
    controls = observation.controls
    assert [c.label for c in controls] == [str(n) for n in range(1, len(controls) + 1)]
    assert not observation.modal and observation.window == "plain.docx - LibreOffice Writer"
    assert [c.control_text for c in controls[:5]] == ["File", "Edit", "View", "Insert", "Format"]
    kinds = [c.control_type for c in controls]
    first_text = kinds.index("Document")
    assert set(kinds[first_text:]) == {"Document"}
    assert [c.control_text for c in controls[first_text:]] == [
        *(text for text, _ in TEXT),
        *(cell for row in CELLS for cell in row),
        "After the table.",
    ]
    assert [c.value for c in controls[first_text : first_text + 4]] == [
        "Heading 1",
        "Default Paragraph Style",
        "Default Paragraph Style",
        "Heading 2",
    ]
    assert hand.control("Apple").value == "Table1.A3"
    assert hand.control("Annual report").selected and not hand.control(FOX).selected  # the cursor is there
    assert hand.control("Paragraph Style").value == "Heading 1"
    assert hand.control("Bold").checked is True and hand.control("Cut").enabled is False
    names = [(c.control_text, c.control_type) for c in controls[:first_text]]
    assert len(names) == len(set(names))


def test_a_menu_and_a_dialog_replace_the_list(hand):
    hand.begin()
    hand.click("Format")
    assert hand.observation.modal and hand.observation.window == "Format"
    assert {c.control_type for c in hand.observation.controls} == {"MenuItem"}
    hand.click("Text")
    assert hand.observation.window == "Format > Text"
    assert hand.control("Bold").checked is True
    hand.keys("{ESC}")
    assert hand.observation.window == "Format"
    hand.keys("{ESC}")
    assert not hand.observation.modal
    hand.click("Insert", "Bookmark")
    assert (hand.observation.window, hand.observation.modal) == ("Bookmark", True)
    assert hand.control("Name").control_type == "Edit"


@pytest.mark.parametrize(
    ("function", "on", "args", "says"),
    [
        ("fly", "", {}, "unknown function 'fly'"),
        ("click_input", "", {}, "needs a control_label"),
        ("click_input", "999", {}, "no control with label '999'"),
        ("click_input", "Bold", {"button": "middle"}, "button must be left or right"),
        ("click_input", "Bold", {"double": "yes"}, "double must be true or false"),
        ("click_input", "Bold", {"times": 2}, "unknown argument times"),
        ("click_input", "Cut", {}, "is disabled"),
        ("set_edit_text", "Bold", {"text": "x"}, "a Button holds no text"),
        ("set_edit_text", "Font Size", {}, "needs the argument text"),
        ("set_edit_text", "Font Size", {"text": 12}, "text must be a text"),
        ("select_text", "", {"text": "unicorn"}, 'the text "unicorn" was not found'),
        ("select_text", "", {"text": ""}, "text is empty"),
        ("select_table", "", {"number": 2}, "no table number 2"),
        ("select_table", "", {"number": True}, "number must be a whole number"),
        ("insert_table", "", {"rows": 0, "columns": 2}, "at least 1"),
        ("insert_table", "", {"rows": 99999, "columns": 99999}, "at most 1000 cells"),
        ("keyboard_input", "", {"keys": ""}, "keys is empty"),
        ("keyboard_input", "", {"keys": "{FLY}"}, "there is no key {FLY}"),
        ("keyboard_input", "", {"keys": "^s"}, "files cannot be opened, saved, printed"),
        ("annotation", "", {"control_labels": ["999"]}, "no control with label '999'"),
        ("wheel_mouse_input", "", {"wheel_dist": 10**9}, "wheel_dist must be"),
    ],
)
def test_an_invalid_action_changes_nothing_and_says_why(hand, function, on, args, says):
    before = hand.begin()
    label = on if not on or on.isdigit() else hand.control(on).label
    observation, reward, terminated, truncated, info = hand.attempt(function, label, status="FINISH", **args)
    assert info["error"] and says in info["result"] == observation.result
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert observation.model_copy(update={"result": ""}) == before


def test_a_document_cannot_be_acted_on_behind_a_dialog(hand):
    hand.begin()
    hand.click("Insert", "Bookmark")
    for function, args in (("select_text", {"text": "fox"}), ("insert_table", {"rows": 1, "columns": 1})):
        hand.attempt(function, **args)
        assert hand.info["error"] and "a dialog is open" in hand.info["result"]


def test_texts_summary_and_annotation_only_tell(hand):
    hand.begin()
    hand.do("texts", hand.control("Apple").label)
    assert hand.info["result"] == "Apple"
    hand.do("texts", hand.control("Font Size").label)
    assert hand.info["result"] == "14"
    hand.do("texts")
    assert hand.info["result"].splitlines()[1] == FOX
    hand.do("summary", text="A short report.")
    assert hand.info["result"] == "A short report."
    labels = [hand.control("Bold").label, hand.control("Apple").label]
    hand.do("annotation", control_labels=labels)
    assert hand.info["result"] == f"{labels[0]} Button Bold; {labels[1]} Document Apple"


def test_select_text_takes_the_first_or_the_one_in_a_control(hand):
    hand.begin()
    hand.select("quick brown")
    assert hand.control(FOX).selected and "quick brown" in hand.observation.result
    last = hand.control("A last line, with the quick brown fox again.")
    hand.do("select_text", last.label, text="quick brown")
    assert not hand.control(FOX).selected
    hand.keys("slow")
    assert "A last line, with the slow fox again." in hand.texts()
    hand.do("select_table", number=1)
    hand.keys("{DEL}")
    assert hand.texts()[7:13] == [""] * 6


def test_clicks_and_keys_on_text(hand):
    hand.begin()
    hand.do("click_input", hand.control(FOX).label)
    hand.keys(" Twice{!}{ENTER}Next ^bbold^b.")
    assert FOX + " Twice!" in hand.texts() and "Next bold." in hand.texts()
    hand.do("click_input", hand.control("Summary").label, double=True)
    hand.keys("Résumé – 50{%} {{}ok{}}")
    assert "Résumé – 50% {ok}" in hand.texts()
    hand.do("set_edit_text", hand.control("Pears").label, text="")
    hand.do("set_edit_text", hand.control("Apples").label, text="Plums (ripe) + 1")
    assert "Plums (ripe) + 1" in hand.texts()
    hand.do("wheel_mouse_input", wheel_dist=-5)


def test_resets_give_the_same_observation_whatever_went_before(hand):
    first = hand.begin()
    assert hand.begin() == first
    hand.select("quick brown")
    hand.click("Bold")
    assert hand.begin() == first
    hand.click("Format", "Paragraph", "Alignment", "Center", "OK")
    hand.do("insert_table", rows=2, columns=2)  # undoing it leaves a style behind: the document is opened anew
    assert hand.begin() == first
    hand.click("Formatting Marks")  # Writer keeps it for the next document
    assert hand.begin() == first
    hand.click("Format", "Bullets and Numbering", "Image")
    assert hand.begin() == first
    hand.click("Format", "Bullets and Numbering")
    assert hand.control("Unordered").selected  # a dialog forgets the tab it was left on


@pytest.mark.parametrize("path", [("Insert", "Field", "More Fields"), ("Edit", "Find and Replace")])
def test_a_dialog_that_stays_beside_its_document_is_not_the_next_task_s(hand, templates, path):
    """Such a one comes back with the next document's window, where it is not closed first."""
    write_document(templates / "other.docx")
    first, other = hand.begin(), hand.begin("other.docx")
    for template, expected in (("plain.docx", first), ("other.docx", other)):
        hand.click(*path)
        assert hand.observation.modal
        assert hand.begin(template) == expected
        hand.click(*path)
        assert hand.begin(template) == expected  # the same document again


def test_finish_saves_and_judges(templates):
    seen = []

    def check(task, original, saved):
        seen.append((task.task_id, original.name, saved.exists()))
        return Verdict(complete="yes", reason="looks right")

    environment = WriterEnvironment(WriterSettings(max_steps=3), templates, check)
    try:
        environment.reset(options={"task": task()})
        step = environment.step(Action(function="select_text", args={"text": "fox"}, status="FINISH"))
        assert step[1:4] == (1.0, True, False)
        assert step[4]["verdict"] == Verdict(complete="yes", reason="looks right")
        assert seen == [("test-plain.docx", "plain.docx", True)]
        environment.reset()  # the same task again
        steps = [environment.step(Action(function="texts")) for _ in range(3)]
        assert [truncated for _, _, _, truncated, _ in steps] == [False, False, True]
        for name in ("none.docx", "../plain.docx", ""):
            with pytest.raises(UserError, match="no template"):
                environment.reset(options={"task": task(name)})
    finally:
        environment.close()


def test_it_is_a_gymnasium_environment(hand):
    limited = gymnasium.wrappers.TimeLimit(hand.environment, max_episode_steps=2)
    observation, info = limited.reset(seed=3, options={"task": task()})
    assert isinstance(hand.environment, gymnasium.Env) and limited.unwrapped is hand.environment
    assert info["error"] is False and observation.controls
    first = limited.step(Action(function="texts"))
    second = limited.step(Action(function="texts"))
    assert [step[3] for step in (first, second)] == [False, True]
    assert limited.render().shape[2] == 3


def test_a_screenshot_is_a_png_of_the_window_and_its_dialog(hand):
    hand.begin()
    plain = Image.open(io.BytesIO(hand.environment.screenshot()))
    assert plain.format == "PNG" and plain.size == (1400, 900)
    assert len(plain.convert("L").getcolors(100_000)) > 50  # it shows something
    hand.click("Insert", "Bookmark")
    assert Image.open(io.BytesIO(hand.environment.screenshot())).tobytes() != plain.tobytes()


def test_an_activated_virtual_environment_is_not_the_python_inside(templates, tmp_path, monkeypatch):
    """Of the same version as the system's: the Python inside LibreOffice would take its library for its own."""
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", tmp_path / "venv"], check=True)
    monkeypatch.setenv("PATH", f"{tmp_path}/venv/bin:{os.environ['PATH']}")
    environment = WriterEnvironment(WriterSettings(), templates)
    try:
        observation, _ = environment.reset(options={"task": task()})
        assert observation.controls
    finally:
        environment.close()
