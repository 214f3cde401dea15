"""evaluate_online: real rollouts on a small application, the numbers against those computed by hand."""

import io
import json
import zipfile

import pytest
from PIL import Image
from toy_application import Toy, toy_task

from lam_train.agent.episode import EpisodeSettings
from lam_train.agent.policy import Decision
from lam_train.errors import Fault, UserError
from lam_train.evaluate.acting_results import ActingReport, OnlineRow
from lam_train.evaluate.online import EvaluateOnlineSettings, evaluate_online
from lam_train.evaluate.online_scores import divergence, online_report
from lam_train.records import Action, Trajectory, read_jsonl
from lam_train.report.acting_tables import online_table
from lam_train.report.document_text import document_lines
from lam_train.report.online_report import write_online_report
from lam_train.report.recording import RecordedApplication, read_recording

FAMILIES = ["type", "type", "type", "sort", "sort", "type+sort"]
TASKS = [
    toy_task(number, words="red" if "+" not in family else "red, blue").model_copy(
        update={"family": family, "split": "test", "template": f"{number % 2}.docx"}
    )
    for number, family in enumerate(FAMILIES)
]
EPISODE = EpisodeSettings(max_steps=5, max_refused=2, retries=1)


class PaintedToy(Toy):
    """The toy with a real picture and a real document."""

    def __init__(self, folder, **more) -> None:
        super().__init__(**more)
        self.path = folder / f"{id(self)}.docx"

    def screenshot(self) -> bytes:
        written = io.BytesIO()
        Image.new("RGB", (1200, 400), (250, 250, 40 * len(self.words))).save(written, "PNG")
        return written.getvalue()

    def save(self) -> str:
        w = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
        paragraphs = "".join(f"<w:p><w:r><w:t>{word}</w:t></w:r></w:p>" for word in ["List:", *self.words])
        with zipfile.ZipFile(self.path, "w") as archive:
            archive.writestr(
                "word/document.xml", f'<w:document xmlns:w="{w}"><w:body>{paragraphs}</w:body></w:document>'
            )
        return str(self.path)


class Clever:
    """Types each word and adds it; the last click finishes."""

    name = "clever"
    asked = 0
    stop_after = None

    def decide(self, states):
        if self.stop_after is not None and self.asked >= self.stop_after:
            raise KeyboardInterrupt
        self.asked += len(states)
        return [Decision(action=self.act(s), answer="…", prompt_tokens=[1], logprobs=[-1.0]) for s in states]

    def act(self, state):
        wanted = state.request.partition(": ")[2].split(", ")
        typed, done = state.observation.controls[0].value, len(state.observation.controls) - 2
        if typed:
            status = "FINISH" if done + 1 == len(wanted) else "CONTINUE"
            return Action(control_label="2", function="click_input", status=status)
        return Action(control_label="1", function="set_edit_text", args={"text": wanted[done]})


class Clumsy(Clever):
    """Fails each task in its own way, by its number."""

    name = "clumsy"

    def decide(self, states):
        self.asked += len(states)
        return [self.one(state) for state in states]

    def one(self, state):
        right = self.act(state)
        if "sort" in state.request:  # prose, twice
            return Decision(action=None, problem="bad format: no JSON", answer="Well …")
        if "early" in state.request:
            return Decision(action=right.model_copy(update={"status": "FINISH"}))
        if "ghost" in state.request:
            return Decision(action=right.model_copy(update={"control_label": "9"}))
        if "late" in state.request:
            return Decision(action=right.model_copy(update={"status": "CONTINUE"}) if not state.previous else Action())
        return Decision(action=right)


def numbered(way, task):
    return task.model_copy(update={"request": task.request.replace("Make", f"Make ({way})")})


WAYS = ["right", "early", "ghost", "late", "sort", "right"]
WAYED = [numbered(way, task) for way, task in zip(WAYS, TASKS, strict=True)]


def settings(**changes):
    return EvaluateOnlineSettings(**{"data": "tasks.jsonl", "resamples": 200, "screenshots": 3, **changes})


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    output = tmp_path_factory.mktemp("online")
    environments = [PaintedToy(output), PaintedToy(output)]
    environments[0].breaks = environments[1].breaks = {"toy-0": 1}  # whichever takes it first
    policies = {"expert": Clever, "untrained": Clumsy}
    report, episodes = evaluate_online(policies, WAYED, environments, EPISODE, settings(), output, ["a note"])
    write_online_report(report, WAYED, episodes, settings(), output)
    return report, episodes, output


def test_an_episode_without_a_step_is_shown_too(evaluated, tmp_path):
    report, episodes, _ = evaluated
    broken = {"steps": [], "outcome": "error", "reason": "the application broke at once"}
    changed = {name: [t.model_copy(update=broken) for t in kept] for name, kept in episodes.items()}
    write_online_report(report, WAYED, changed, settings(), tmp_path)  # with no recording either
    assert "the application broke at once" in (tmp_path / "episodes.html").read_text()


def test_the_numbers_are_the_ones_computed_by_hand(evaluated):
    report, episodes, _ = evaluated
    expert, clumsy = report.scores
    assert expert.estimates["success"].mean == 1.0
    assert expert.estimates["steps"].mean == pytest.approx((5 * 2 + 4) / 6)
    assert (expert.estimates["refused"].mean, expert.estimates["unreadable"].mean) == (0.0, 0.0)
    assert clumsy.estimates["success"].mean == pytest.approx(2 / 6)
    assert clumsy.estimates["steps"].mean == pytest.approx((2 + 4) / 2)  # of the two successes
    assert clumsy.failures == {"early finish": 1, "wrong control": 1, "step limit": 1, "bad format": 1}
    steps = 2 + 1 + 2 + 5 + 2 + 4
    assert clumsy.estimates["refused"].mean == pytest.approx(2 / steps)
    assert clumsy.estimates["unreadable"].mean == pytest.approx(2 / steps)
    seconds = [step.seconds for t in episodes["untrained"] for step in t.steps]
    assert clumsy.estimates["latency"].mean == pytest.approx(sum(seconds) / steps)
    won = [sum(s.seconds for s in t.steps) for t in episodes["untrained"] if t.outcome == "success"]
    assert clumsy.estimates["seconds"].mean == pytest.approx(sum(won) / 2)
    assert clumsy.divergences == {"early finish": 1, "wrong control": 1, "wrong operation": 1, "bad format": 1}
    assert expert.divergences == {}


def test_the_application_breaks_once_and_the_episode_is_begun_again(evaluated):
    report, episodes, _ = evaluated
    assert [score.retries for score in report.scores] == [1, 0]
    assert [t.task.task_id for t in episodes["expert"] if t.retries] == ["toy-0"]
    assert all(t.outcome == "success" for t in episodes["expert"])


def test_groups_and_differences(evaluated):
    report, _, _ = evaluated
    clumsy = report.scores[1]
    found = {name: (g.tasks, g.steps, g.estimates["success"].mean) for name, g in clumsy.groups.items()}
    assert found == {
        "single operations": (5, 12, pytest.approx(0.2)),
        "compositions": (1, 4, 1.0),
        "2 operations": (1, 4, 1.0),
        "sort": (2, 7, 0.0),
        "type": (3, 5, pytest.approx(1 / 3)),
    }
    (difference,) = report.differences
    assert (difference.name, difference.baseline) == ("untrained", "expert")
    assert difference.estimates["success"].mean == pytest.approx(-4 / 6)
    assert difference.estimates["steps"].mean == 0.0  # on the two tasks that both did


def test_files_say_the_same_as_the_report(evaluated):
    report, episodes, output = evaluated
    assert ActingReport.model_validate_json((output / "evaluation.json").read_text()) == report
    rows = list(read_jsonl(output / "tasks.jsonl", OnlineRow))
    assert [row.reasons["untrained"] for row in rows] == [
        "",
        "early finish",
        "wrong control",
        "step limit",
        "bad format",
        "",
    ]
    page = (output / "evaluation.md").read_text()
    assert online_table(report) in page
    assert "| untrained | 33.3 [" in page
    assert "| untrained - expert | -66.7 [" in page
    assert "| policy | bad format | wrong control | early finish | step limit | restarts of the application |" in page
    assert "- a note" in page
    assert (output / "evaluation.png").read_bytes().startswith(b"\x89PNG")
    kept = list(read_jsonl(output / "episodes" / "expert-00000.jsonl", Trajectory))
    assert {t.trajectory_id: t for t in kept} == {t.trajectory_id: t for t in episodes["expert"]}
    assert all(step.prompt_tokens == step.logprobs == [] for t in kept for step in t.steps)


def test_recordings_hold_pictures_the_last_screen_and_both_documents(evaluated):
    _, episodes, output = evaluated
    folder = output / "recordings" / "expert"
    recording, _ = read_recording(folder, "toy-5")
    assert recording.before == ["List:"]
    assert recording.after == ["List:", "red", "blue"]
    assert [c.control_text for c in recording.last.controls] == ["Word", "Add", "red", "blue"]
    pictured = {t.task.task_id: len(read_recording(folder, t.task.task_id)[1]) for t in episodes["expert"]}
    assert sorted(pictured.values()) == [0, 0, 0, 3, 3, 5]  # of three tasks: after the reset and after each action
    recording, _ = read_recording(output / "recordings" / "untrained", "toy-3")  # ended by the step limit
    assert recording.after == ["List:"]


def test_stopped_anywhere_it_goes_on_and_does_no_task_twice(evaluated, tmp_path):
    report, _, _ = evaluated
    stopped = Clever()
    stopped.stop_after = 5
    with pytest.raises(KeyboardInterrupt):
        evaluate_online({"expert": lambda: stopped}, WAYED, [Toy()], EPISODE, settings(), tmp_path)
    file = tmp_path / "episodes" / "expert-00000.jsonl"
    before = file.read_text().splitlines()
    assert 1 <= len(before) <= 3
    with file.open("a") as torn:
        torn.write('{"trajectory_id": "toy')  # killed while writing
    toy = Toy()
    again, _ = evaluate_online({"expert": Clever}, WAYED, [toy], EPISODE, settings(), tmp_path)
    assert len(toy.seeds) == 6 - len(before)
    lines = file.read_text().splitlines()
    assert lines[: len(before)] == before
    assert sorted(json.loads(line)["task"]["task_id"] for line in lines) == [f"toy-{n}" for n in range(6)]
    assert again.scores[0].estimates["success"] == report.scores[0].estimates["success"]

    def refuse():
        raise AssertionError("loaded although nothing is missing")

    evaluate_online({"expert": refuse}, WAYED, [], EPISODE, settings(), tmp_path)


def test_an_application_that_stays_broken_counts_as_a_failure(tmp_path):
    environments = [Toy(breaks={"toy-5": -1})]
    report, episodes = evaluate_online({"expert": Clever}, WAYED[5:], environments, EPISODE, settings(), tmp_path)
    assert episodes["expert"][0].outcome == "error"
    assert report.scores[0].estimates["success"].mean == 0.0
    assert report.scores[0].failures == {"application error": 1}
    assert report.scores[0].retries == 1
    assert "steps" not in report.scores[0].estimates  # of no success


def test_an_episode_that_broke_is_made_again_by_the_same_command(tmp_path, caplog):
    for breaks, outcome in ((-1, "error"), (0, "success")):
        toy = Toy(breaks={"toy-5": breaks})
        report, episodes = evaluate_online({"expert": Clever}, WAYED[4:], [toy], EPISODE, settings(), tmp_path)
        assert [t.outcome for t in episodes["expert"]] == ["success", outcome]
        assert report.scores[0].estimates["success"].mean == (0.5 if breaks else 1.0)
        assert ("1 episodes are made again by the same command: application error" in caplog.text) == bool(breaks)
        caplog.clear()
    assert len(toy.seeds) == 1  # the other one was there


class Silent(Clever):
    """An endpoint that is gone: it answers the first state of these tasks, and no other."""

    name = "silent"

    def __init__(self, *numbers):
        self.numbers = numbers

    def decide(self, states):
        numbers = [WAYS.index(state.request.partition("(")[2].partition(")")[0]) for state in states]
        return [
            Decision(action=None, problem="no answer: timed out")
            if number in self.numbers and state.previous
            else Decision(action=self.act(state))
            for number, state in zip(numbers, states, strict=True)
        ]


def test_an_endpoint_that_is_gone_says_nothing_about_the_policy(tmp_path, caplog):
    policies = {"expert": Clever, "endpoint": lambda: Silent(1, 4)}
    report, episodes = evaluate_online(policies, WAYED[:5], [Toy()], EPISODE, settings(), tmp_path)
    expert, silent = report.scores
    assert [t.outcome for t in episodes["endpoint"]] == ["success", "error", "success", "success", "error"]
    assert silent.estimates["success"].mean == 1.0  # of three
    assert silent.failures == {"no answer": 2}
    assert silent.estimates["unreadable"].mean == 0.0
    assert silent.groups["sort"].estimates["success"].mean == 1.0  # of one of two
    assert report.differences[0].estimates["success"].mean == 0.0
    assert "2 episodes are made again by the same command: no answer: timed out" in caplog.text
    write_online_report(report, WAYED[:5], episodes, settings(), tmp_path)
    page = (tmp_path / "evaluation.md").read_text()
    assert "- endpoint: 2 of 5 episodes ended because the endpoint gave no answer. They are in no mean" in page
    again, _ = evaluate_online(policies | {"endpoint": Clever}, WAYED[:5], [Toy()], EPISODE, settings(), tmp_path)
    assert (again.scores[1].failures, again.notes) == ({}, [])
    assert again.scores[1].estimates["success"] == expert.estimates["success"]


def test_a_group_without_any_answer_is_no_group_and_nothing_at_all_is_a_fault(tmp_path):
    policies = {"expert": Clever, "endpoint": lambda: Silent(3, 4)}
    report, episodes = evaluate_online(policies, WAYED[2:5], [Toy()], EPISODE, settings(), tmp_path)
    assert set(report.scores[0].groups) == {"single operations", "type"}
    write_online_report(report, WAYED[2:5], episodes, settings(), tmp_path)
    with pytest.raises(Fault, match="endpoint: no answer: timed out, in all 2 episodes; the same command"):
        evaluate_online(policies, WAYED[3:5], [Toy()], EPISODE, settings(), tmp_path)


def test_nothing_to_evaluate_is_said(tmp_path):
    with pytest.raises(UserError, match="nothing to evaluate"):
        evaluate_online({}, WAYED, [Toy()], EPISODE, settings(), tmp_path)


def test_the_first_difference_from_the_expert_is_named(evaluated):
    _, episodes, _ = evaluated
    expert = episodes["expert"][0]
    first, second = expert.steps

    def named(*steps):
        return divergence(expert.model_copy(update={"steps": list(steps), "outcome": "fail"}), expert)

    def changed(step, **update):
        return step.model_copy(update={"action": step.action.model_copy(update=update)})

    assert named(first, second) == "only later"
    assert named(changed(first, args={"text": "green"}), second) == "wrong argument"
    assert named(first, changed(second, control_label="1")) == "wrong control"
    assert named(first, changed(second, function="select_text")) == "wrong operation"
    assert named(first, changed(second, status="CONTINUE"), first) == "late finish"
    assert named(changed(first, status="FINISH")) == "early finish"
    assert named(first.model_copy(update={"problem": "bad format: x"})) == "bad format"
    assert named(first.model_copy(update={"error": True}), second) == "refused"


def test_an_episode_that_broke_is_not_compared_with_the_experts(evaluated):
    _, episodes, _ = evaluated
    expert = episodes["expert"][:2]
    broke = [
        t.model_copy(update={"outcome": outcome, "steps": t.steps[:1]})
        for t, outcome in zip(expert, ("error", "fail"), strict=True)
    ]
    report = online_report(WAYED[:2], {"expert": expert, "other": broke}, settings(), "data", 1, 5, [])
    assert report.scores[1].divergences == {"only later": 1}
    assert report.scores[1].failures == {"application error": 1, "unknown": 1}


def test_the_recorder_changes_nothing_and_leaves_out_what_it_cannot_have(tmp_path):
    """A toy without pictures (no bytes that are one) and without documents behaves the same, recorded or not."""
    bare, inner = Toy(), Toy()
    recorded = RecordedApplication(inner, tmp_path, ["toy-5"], ["toy-5"])
    assert recorded.name == bare.name
    for environment in (bare, recorded):
        environment.reset(seed=3, options={"task": WAYED[5]})
    action = Action(control_label="1", function="set_edit_text", args={"text": "red"})
    assert recorded.step(action) == bare.step(action)
    recorded.close()
    assert inner.closed
    recording, _ = read_recording(tmp_path, "toy-5")
    assert (recording.before, recording.after) == ([], [])
    assert recording.last.controls[0].value == "red"


def test_a_document_as_lines(tmp_path):
    import docx
    from docx.enum.text import WD_ALIGN_PARAGRAPH

    document = docx.Document()
    document.add_heading("Rates", level=2)
    paragraph = document.add_paragraph("The ")
    paragraph.add_run("fee").bold = True
    paragraph.add_run(" is due.")
    paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    document.add_table(1, 2).cell(0, 1).text = "<b>"
    document.sections[0].header.paragraphs[0].text = "Draft"
    document.save(tmp_path / "a.docx")
    lines = document_lines(tmp_path / "a.docx")
    assert lines[:2] == ["Heading2 Rates", "{jc=center} The ⟨b⟩fee⟨/⟩ is due."]
    assert lines[3:7] == ["  [row]", "    ", "    <b>", "[end of table]"]
    assert any(line.startswith("[section pgSz") or "pgMar.top=" in line for line in lines)
    assert any(line.startswith("[header") and line.endswith("Draft") for line in lines)
    (tmp_path / "b.docx").write_bytes(b"no zip")
    with pytest.raises(zipfile.BadZipFile):
        document_lines(tmp_path / "b.docx")
