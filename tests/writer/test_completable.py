"""Failures replayed in a real Writer: after which of their steps the expert still completes the task."""

import pytest

from lam_train.agent.episode import EpisodeSettings, run_episode
from lam_train.agent.policy import Decision
from lam_train.apps.open import open_applications
from lam_train.apps.writer.settings import WriterSettings
from lam_train.apps.writer.tasks.generate import TaskSettings, generate_tasks
from lam_train.collect.exploration.completable import (
    Completable,
    CompletableSettings,
    card,
    known_request,
    replay_failures,
    replayed,
)
from lam_train.records import Action

pytestmark = pytest.mark.writer


@pytest.fixture(scope="module")
def writer():
    (environment,) = open_applications(WriterSettings(instances=1))
    yield environment
    environment.close()


@pytest.fixture(scope="module")
def task():
    """To make a phrase bold, in words of the train split that the expert knows."""
    tasks = generate_tasks(TaskSettings())
    return next(t for t in tasks if t.family == "bold" and t.split == "train" and known_request(t, 0))


def failure(writer, task, actions):
    """An episode that takes these actions and then finishes, which fails."""
    left = [*actions, Action(status="FINISH", function="")]
    return run_episode(task, writer, lambda state: Decision(action=left.pop(0)), EpisodeSettings(), policy="hand")


def phrase_of(task) -> str:
    return next(value for value in task.operations[0].parameters.values() if isinstance(value, str) and len(value) > 3)


def test_a_good_step_leaves_the_task_completable_and_a_ruinous_one_does_not(writer, task):
    select = Action(function="select_text", args={"text": phrase_of(task)})
    ruin = Action(function="keyboard_input", args={"keys": "{DELETE}"})
    found = replayed(failure(writer, task, [select, ruin]), 0, writer)
    assert found.known and found.after == [True, False, False]


def test_refused_steps_change_nothing_and_unreadable_ones_are_passed_over(writer, task):
    select = Action(function="select_text", args={"text": phrase_of(task)})
    nowhere = Action(function="select_text", args={"text": "no such words anywhere"})
    made = failure(writer, task, [nowhere, select])
    unread = made.steps[1].model_copy(update={"problem": "bad format: no JSON", "action": Action()})
    made = made.model_copy(update={"steps": [made.steps[0], unread, *made.steps[1:]]})
    assert replayed(made, 0, writer).after == [True, None, True, False]


def test_what_was_replayed_is_not_replayed_again(writer, task, tmp_path):
    made = [failure(writer, task, []).model_copy(update={"trajectory_id": f"f{n}"}) for n in range(3)]
    settings = CompletableSettings(output=str(tmp_path / "found"), most_failures=2)
    first = replay_failures(settings, made, lambda: [_Kept(writer)])
    assert len(first) == 2 and all(record.after == [False] for record in first.values())
    again = replay_failures(settings, made, lambda: pytest.fail("nothing is missing"))
    assert again == first
    assert "2 failures" in (tmp_path / "found/README.md").read_text()


class _Kept:
    """The module's Writer, which stays open."""

    def __init__(self, writer) -> None:
        self.reset, self.step = writer.reset, writer.step

    def close(self) -> None:
        pass


def test_a_task_that_the_expert_cannot_do_says_nothing(writer):
    tasks = generate_tasks(TaskSettings())
    unknown = next(t for t in tasks if t.family == "sort_list")
    assert known_request(unknown, 0) is None
    made = run_episode(unknown, writer, _gives_up, EpisodeSettings(), policy="x")
    assert replayed(made, 0, writer) == Completable(trajectory_id=made.trajectory_id, known=False)
    assert "can do 0 of their tasks" in card({"x": Completable(trajectory_id="x", known=False)})


def _gives_up(state) -> Decision:
    return Decision(action=Action(status="FINISH"))
