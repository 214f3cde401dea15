"""Acting in a user's document, on a small application: what is written, printed and refused."""

import logging

import pytest
from toy_application import Toy

from lam_train.__main__ import main
from lam_train.agent.act import ActSettings, act, the_document
from lam_train.agent.episode import EpisodeSettings
from lam_train.agent.policy import Decision
from lam_train.apps.application import ApplicationError
from lam_train.errors import Fault, UserError
from lam_train.records import Action, Trajectory, Verdict, read_jsonl


class Opened(Toy):
    """The list is the document; nobody checks a user's own."""

    def __init__(self, folder, **given) -> None:
        super().__init__(**given)
        self.folder = folder

    def _verdict(self) -> Verdict:
        return Verdict(complete="unsure", reason="the task has no operations to check")

    def save(self) -> str:
        if self.task.request == "Break":
            raise ApplicationError("it hangs")
        path = self.folder / "work" / self.task.template
        path.parent.mkdir(exist_ok=True)
        path.write_text(",".join(self.words))
        return str(path)

    def screenshot(self) -> bytes:
        return b"\x89PNG"


class Types:
    """Types a word and adds it; `ends` says FINISH."""

    name = "typist"

    def __init__(self, ends: bool = True) -> None:
        self.ends = ends

    def decide(self, states):
        return [self.one(state) for state in states]

    def one(self, state) -> Decision:
        if len(state.previous) == 0:
            return Decision(action=None, problem="bad format: no JSON")
        if not state.observation.controls[0].value:
            text = "a word that is long " * 10
            return Decision(action=Action(control_label="1", function="set_edit_text", args={"text": text}))
        status = "FINISH" if self.ends else "CONTINUE"
        return Decision(action=Action(control_label="2", control_name="Add", function="click_input", status=status))


@pytest.fixture
def document(tmp_path):
    path = tmp_path / "list.docx"
    path.write_text("mine")
    return path


def run(document, policy=None, breaks=None, request="Make the list", **settings):
    opened = []

    def open_application(folder):
        opened.append(Opened(folder, breaks=breaks))
        return opened[0]

    given = ActSettings(request=request, document=str(document), **settings)
    try:
        return act(given, policy or Types(), open_application, EpisodeSettings(max_steps=6), document.parent / "run")
    finally:
        assert opened[0].closed


def test_the_result_is_a_copy_and_every_step_is_printed_and_recorded(document, caplog):
    with caplog.at_level(logging.INFO, logger="lam_train"):
        trajectory = run(document, screenshots=True, show=60)
    folder = document.parent / "run"
    assert document.read_text() == "mine"
    assert (folder / "list.docx").read_text().startswith("a word that is long")
    assert list(read_jsonl(folder / "trajectory.jsonl", Trajectory)) == [trajectory]
    assert sorted(path.name for path in folder.glob("*.png")) == ["step-01.png", "step-02.png", "step-03.png"]
    lines = [record.message for record in caplog.records]
    assert lines[0] == "list.docx: Make the list"
    assert lines[1] == " 1. no action: bad format: no JSON"
    assert lines[2].startswith(' 2. set_edit_text(text="a word') and len(lines[2]) == 64 and lines[2].endswith("…")
    assert lines[3] == " 3. click_input() on Add -> 1 words, finished"
    assert lines[4].startswith("done, as typist says")


def test_a_policy_that_does_not_finish_is_a_fault_and_its_work_is_kept(document):
    with pytest.raises(Fault, match=r"not done: step limit\. The document as far as it went: .*run/list\.docx"):
        run(document, Types(ends=False))
    assert "a word" in (document.parent / "run" / "list.docx").read_text()


def test_an_application_that_breaks_is_a_fault(document):
    with pytest.raises(Fault, match=r"the toy fell apart; the document is as it was"):
        run(document, breaks={"list": -1})
    assert (document.parent / "run" / "trajectory.jsonl").exists()
    assert not (document.parent / "run" / "list.docx").exists()


def test_a_document_that_cannot_be_saved_is_a_fault(document):
    with pytest.raises(Fault, match=r"list\.docx could not be saved: it hangs; the steps are in .*run"):
        run(document, request="Break")
    assert (document.parent / "run" / "trajectory.jsonl").exists()


@pytest.mark.parametrize("through_a_link", [False, True])
def test_the_documents_own_folder_is_no_place_for_the_result(document, tmp_path, through_a_link):
    folder = tmp_path
    if through_a_link:
        folder = tmp_path / "elsewhere"
        folder.symlink_to(tmp_path)
    with pytest.raises(UserError, match=rf"run_dir={folder}: the document's own folder"):
        act(ActSettings(request="x", document=str(document)), Types(), pytest.fail, EpisodeSettings(), folder)
    assert [path for path in tmp_path.iterdir() if path.is_file()] == [document] and document.read_text() == "mine"


def test_a_run_in_the_documents_own_folder_writes_nothing_there(document, caplog):
    before = sorted(document.parent.iterdir())
    command = ["+recipe=act", "act.request=x", f"act.document={document}", f"run_dir={document.parent}"]
    assert main([*command, "model=tiny"]) == 2
    assert "the document's own folder" in caplog.text and sorted(document.parent.iterdir()) == before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, r"act\.request is not set"),
        ({"request": " "}, r"act\.request is not set"),
        ({"request": "x"}, r"act\.document is not set"),
        ({"request": "x", "document": "/no/such.docx"}, r"act\.document=/no/such\.docx: no such file"),
        ({"request": "x", "document": __file__}, r"not one of \.docx"),
    ],
)
def test_what_is_missing_is_named(settings, message):
    with pytest.raises(UserError, match=message):
        the_document(ActSettings(**settings))
