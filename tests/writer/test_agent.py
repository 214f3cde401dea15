"""The agent in a real Writer: the expert and a model in a pool, a Writer that is killed, a user's own document."""

import subprocess
from collections import Counter
from collections.abc import Iterator

import docx
import psutil
import pytest
import torch

from lam_train.agent.act import ActSettings, act
from lam_train.agent.episode import EpisodeSettings, run_episode
from lam_train.agent.local_policy import LocalPolicy, LocalPolicySettings
from lam_train.agent.policy import Decision
from lam_train.agent.rollouts import rollouts
from lam_train.apps.open import open_applications
from lam_train.apps.writer.environment import TEMPLATES, WriterEnvironment
from lam_train.apps.writer.expert import ManualExpert
from lam_train.apps.writer.settings import WriterSettings
from lam_train.apps.writer.tasks.generate import SplitCounts, TaskSettings, generate_tasks
from lam_train.language.step_format import StepFormat
from lam_train.model.load import ModelSettings
from lam_train.records import Action, Task, Trajectory, read_jsonl
from lam_train.report.recording import RecordedApplication, read_recording
from tests.conftest import ROOT, command

pytestmark = pytest.mark.writer


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    none, few = (SplitCounts(train=n, explore=0, validation=0, test=0) for n in (0, 3))
    return generate_tasks(TaskSettings(families=["bold", "italic", "alignment"], singles=few, compositions=none))


@pytest.fixture(scope="module")
def writers() -> Iterator[list[WriterEnvironment]]:
    opened = open_applications(WriterSettings(instances=2))
    yield opened
    for environment in opened:
        environment.close()


def test_the_expert_does_tasks_in_a_pool(tasks, writers):
    found = list(rollouts(tasks, ManualExpert(), writers, EpisodeSettings()))
    assert Counter(t.task.task_id for t in found) == Counter(task.task_id for task in tasks)
    assert {t.outcome for t in found} <= {"success", "fail"}
    done = [t for t in found if t.outcome == "success"]
    assert len(done) > len(tasks) / 2
    for trajectory in done:
        assert trajectory.verdicts[0].complete == "yes" and trajectory.steps[-1].action.status == "FINISH"
        assert all(
            step.action.control_label in step.acceptable for step in trajectory.steps if step.action.control_label
        )


def test_a_writer_that_is_killed_is_started_anew_and_the_episode_begun_again(tasks, writers):
    class Kills(ManualExpert):
        """Kills the environment's Writer before the second step of its first episode."""

        killed = None

        def decide(self, states):
            if self.killed is None and any(state.previous for state in states):
                self.killed = writers[0].office
                soffice_of(writers[0]).kill()
            return super().decide(states)

    policy = Kills()
    found = list(rollouts(tasks, policy, writers[:1], EpisodeSettings()))
    assert policy.killed is not None and writers[0].office is not policy.killed
    assert {t.outcome for t in found} <= {"success", "fail"}
    assert sorted(t.retries for t in found) == [0] * (len(tasks) - 1) + [1]
    again = next(t for t in found if t.retries)
    assert again.outcome == "success" and len(again.steps) == 2


def soffice_of(environment: WriterEnvironment) -> psutil.Process:
    children = psutil.Process(environment.office.bridge.pid).children(recursive=True)
    return next(child for child in children if child.name() == "soffice.bin")


@pytest.mark.parametrize("times", [1, 2])
def test_a_writer_that_is_killed_while_it_is_recorded(tasks, writers, tmp_path, times):
    """The episode is begun again as any other; where it never ends, what the document was at its end is left out."""
    left = [None] * times

    class Kills(ManualExpert):
        def decide(self, states):
            if left and states[0].previous:
                left.pop()
                soffice_of(writers[0]).kill()
            return super().decide(states)

    recorded = RecordedApplication(writers[0], tmp_path, [tasks[0].task_id], [tasks[0].task_id])
    (found,) = rollouts(tasks[:1], Kills(), [recorded], EpisodeSettings(retries=1))
    recorded.finish()
    assert (found.outcome, found.retries, left) == ("success" if times == 1 else "error", 1, [])
    recording, pictures = read_recording(tmp_path, tasks[0].task_id)
    assert recording.before and bool(recording.after) == (times == 1)
    assert len(pictures) == (len(found.steps) + 1 if times == 1 else 2)


def test_a_writer_that_is_killed_for_its_picture(tasks, writers, tmp_path):
    """The recorder lost it, and the episode's next step is the first that says so."""

    class Dies:
        name, times = "writer", 1

        def __getattr__(self, name):
            return getattr(writers[0], name)

        def screenshot(self):
            if self.times:
                self.times -= 1
                soffice_of(writers[0]).kill()
            return writers[0].screenshot()

    recorded = RecordedApplication(Dies(), tmp_path, [tasks[0].task_id], [tasks[0].task_id])
    (found,) = rollouts(tasks[:1], ManualExpert(), [recorded], EpisodeSettings())
    assert (found.outcome, found.retries) == ("success", 1)


def test_an_episode_is_as_long_as_it_may_be(tasks, writers):
    """The application has no other limit of its own, unless it is given one."""

    def decide(state) -> Decision:
        return Decision(action=Action(function="summary", args={"text": "on and on"}))

    found = run_episode(tasks[0], writers[0], decide, EpisodeSettings(max_steps=40), policy="talks")
    assert (found.outcome, found.reason, len(found.steps)) == ("fail", "step limit", 40)


def test_a_random_model_can_do_what_it_likes_and_no_episode_breaks(tasks, writers):
    """Constrained to actions and drawn at a high temperature, it clicks about in menus and dialogs."""
    torch.set_num_threads(1)
    settings = LocalPolicySettings(
        dtype="fp32", device="cpu", constrained=True, temperature=3.0, max_new_tokens=120, prefix_cache_tokens=40_000
    )
    policy = LocalPolicy.load(ModelSettings(source="tiny"), StepFormat(kind="compact", text_limit=40), settings)
    found = list(rollouts(tasks[:6], policy, writers, EpisodeSettings(max_steps=5, max_refused=5)))
    assert len(found) == 6 and "error" not in {t.outcome for t in found}
    steps = [step for trajectory in found for step in trajectory.steps]
    assert not any(step.problem for step in steps)
    assert len({(step.action.function, step.action.control_name) for step in steps}) > 3
    for step in steps:
        label = step.action.control_label
        assert not label or step.observation.control(label) is not None
        assert len(step.answer_tokens) == len(step.logprobs) > 0


def test_acting_in_a_document_of_ones_own(tmp_path):
    mine, given = tmp_path / "mine.docx", TEMPLATES / "letter.docx"
    mine.write_bytes(given.read_bytes())
    words = next(p.text for p in docx.Document(mine).paragraphs if p.text.startswith("Dear"))
    request = f'Make the paragraph "{words}" bold'
    overrides = [
        "+recipe=act",
        "policy=expert",
        f"act.request='{request}'",
        f"act.document={mine}",
        "act.screenshots=true",
        f"run_dir={tmp_path}/run",
    ]
    done = subprocess.run(command(*overrides), cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert " 2. click_input() on Bold, finished" in done.stderr
    assert mine.read_bytes() == given.read_bytes()
    bold = {p.text for p in docx.Document(tmp_path / "run" / "mine.docx").paragraphs if any(r.bold for r in p.runs)}
    assert words in bold
    (trajectory,) = read_jsonl(tmp_path / "run" / "trajectory.jsonl", Trajectory)
    assert (trajectory.outcome, len(trajectory.steps)) == ("unsure", 2)
    pictures = sorted((tmp_path / "run").glob("step-*.png"))
    assert len(pictures) == 2 and all(p.read_bytes().startswith(b"\x89PNG") for p in pictures)


def test_a_document_that_is_a_link_goes_by_the_links_name(tmp_path):
    linked = tmp_path / "mine.docx"
    linked.symlink_to(TEMPLATES / "letter.docx")
    words = next(p.text for p in docx.Document(linked).paragraphs if p.text.startswith("Dear"))
    settings = ActSettings(request=f'Make the paragraph "{words}" bold', document=str(linked))

    def open_writer(folder) -> WriterEnvironment:
        return WriterEnvironment(WriterSettings(), folder)

    act(settings, ManualExpert(), open_writer, EpisodeSettings(), tmp_path / "run")
    bold = {p.text for p in docx.Document(tmp_path / "run" / "mine.docx").paragraphs if any(r.bold for r in p.runs)}
    assert words in bold and linked.is_symlink()
