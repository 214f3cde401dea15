"""Exploration: which tasks are tried and how often, what is kept, and that nothing is lost or doubled."""

import json
import random
from collections import Counter

import pytest
from toy_application import Toy, toy_task

from lam_train.agent.episode import EpisodeSettings
from lam_train.agent.policy import Decision
from lam_train.collect.exploration.explore import ExploreSettings, explore, failed_tasks
from lam_train.collect.exploration.selection import effective_actions, select_successes
from lam_train.collect.trajectories.store import read_trajectories
from lam_train.errors import Fault, UserError
from lam_train.recipe import compose_recipe
from lam_train.records import Action, Step, Task, Trajectory, write_jsonl
from tests.hand_made import trajectory


def toy(number: int, words: str = "red, blue") -> Task:
    return toy_task(number, words).model_copy(update={"split": "explore", "family": f"family {number % 2}"})


def of_expert(folder, outcomes: dict[int, str]) -> str:
    """An expert's collection: task number -> how it ended."""
    episodes = [
        Trajectory(trajectory_id=f"{n}", task=toy(n), policy="expert", steps=[], outcome=outcome, reason="no plan")
        for n, outcome in outcomes.items()
    ]
    write_jsonl(folder / "expert" / "episodes-00000.jsonl", episodes)
    return str(folder / "expert")


class Careless:
    """Does the toy's request, but sometimes finishes early; a tenth of its answers are no action."""

    name = "careless"

    def __init__(self, seed: int = 0, dies_after: int | None = None) -> None:
        self.random, self.left = random.Random(seed), dies_after

    def decide(self, states):
        return [self.one(state) for state in states]

    def one(self, state) -> Decision:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
        if self.random.random() < 0.1:
            return Decision(action=None, answer="hm", problem="bad format: hm", answer_tokens=[7], logprobs=[-1.0])
        wanted = state.request.partition(": ")[2].split(", ")
        typed, done = state.observation.controls[0].value, len(state.observation.controls) - 2
        if not typed:
            args = {"text": wanted[min(done, len(wanted) - 1)]}
            action = Action(control_label="1", control_name="Word", function="set_edit_text", args=args)
        else:
            status = "FINISH" if done + 1 == len(wanted) or self.random.random() < 0.4 else "CONTINUE"
            action = Action(control_label="2", control_name="Add", function="click_input", status=status)
        return Decision(action=action, answer="a", answer_tokens=[1], logprobs=[-0.5])


def run(settings: ExploreSettings, policy=None, toys=None, identity=None):
    toys = toys or [Toy(), Toy()]
    policy = policy or Careless()
    return explore(
        settings, lambda _made: policy, lambda: toys, EpisodeSettings(), identity or {"policy": "careless"}, {}
    )


def made(settings: ExploreSettings, folder=None) -> Counter:
    return Counter(t.task.task_id for t in read_trajectories(folder or settings.output) if t.outcome != "error")


# Which tasks --------------------------------------------------------------------------------------------------------


def test_the_tasks_that_the_expert_failed_are_tried_and_no_others(tmp_path):
    expert = of_expert(tmp_path, {0: "fail", 1: "success", 2: "unsure", 3: "error", 4: "fail"})
    tasks = failed_tasks(ExploreSettings(expert=expert))
    assert {task.task_id for task in tasks} == {"toy-0", "toy-2", "toy-4"}


def test_a_task_that_the_expert_did_once_is_not_tried(tmp_path):
    expert = of_expert(tmp_path, {0: "fail", 1: "fail"})
    again = Trajectory(trajectory_id="again", task=toy(0), policy="expert", steps=[], outcome="success")
    write_jsonl(tmp_path / "expert" / "episodes-00001.jsonl", [again])
    assert [task.task_id for task in failed_tasks(ExploreSettings(expert=expert))] == ["toy-1"]


def test_a_task_whose_broken_episode_was_made_again_is_tried_where_it_failed_then(tmp_path):
    expert = of_expert(tmp_path, {0: "error", 1: "error", 2: "error"})
    again = [
        Trajectory(trajectory_id=f"again {n}", task=toy(n), policy="expert", steps=[], outcome=outcome)
        for n, outcome in ((0, "fail"), (1, "success"))
    ]
    write_jsonl(tmp_path / "expert" / "episodes-00001.jsonl", again)
    assert [task.task_id for task in failed_tasks(ExploreSettings(expert=expert))] == ["toy-0"]


def test_parts_share_the_tasks_without_a_lost_or_doubled_one(tmp_path):
    expert = of_expert(tmp_path, {n: "fail" for n in range(23)})
    parts = [failed_tasks(ExploreSettings(expert=expert, part=part, parts=4)) for part in range(4)]
    assert Counter(task.task_id for part in parts for task in part) == Counter(f"toy-{n}" for n in range(23))
    assert {len(part) for part in parts} == {5, 6}


def test_nothing_to_try_is_said_with_the_remedy(tmp_path):
    expert = of_expert(tmp_path, {0: "success"})
    with pytest.raises(UserError, match=r"explore\.expert=.*1 tasks of split explore.*\+recipe=collect"):
        failed_tasks(ExploreSettings(expert=expert))
    with pytest.raises(UserError, match="no such folder"):
        failed_tasks(ExploreSettings(expert=str(tmp_path / "nowhere")))


@pytest.mark.parametrize("wrong", ["explore.part=4 explore.parts=4", "explore.split=test", "explore.rollouts=0"])
def test_settings_that_cannot_be_are_refused(wrong):
    with pytest.raises(UserError, match=wrong.split()[0].replace(".", r"\.")):
        compose_recipe(["+recipe=explore", *wrong.split()])


# Rollouts -----------------------------------------------------------------------------------------------------------


def test_every_task_is_tried_k_times_and_all_is_counted(tmp_path):
    expert = of_expert(tmp_path, {n: "fail" for n in range(6)})
    settings = ExploreSettings(expert=expert, output=str(tmp_path / "out"), rollouts=5)
    counts = run(settings)
    episodes = list(read_trajectories(settings.output))
    assert made(settings) == Counter({f"toy-{n}": 5 for n in range(6)})
    assert len({t.trajectory_id for t in episodes}) == 30
    successes = [t for t in episodes if t.outcome == "success"]
    won = {t.task.task_id for t in successes}
    kept = list(read_trajectories(tmp_path / "out" / "selected"))
    assert 0 < len(successes) < 30
    assert counts.as_dict() == json.loads((tmp_path / "out" / "counts.json").read_text())
    assert (counts.all["tasks"], counts.all["tried"], counts.all["rollouts"]) == (6, 6, 30)
    assert (counts.all["won"], counts.all["successes"], counts.all["kept"]) == (len(won), len(successes), len(kept))
    assert counts.task_yield == len(won) / 6
    assert sum(counts.reasons.values()) == 30 - len(successes)
    assert {name: row["tasks"] for name, row in counts.families.items()} == {"family 0": 3, "family 1": 3}
    assert f"{len(won)} of 6 tasks won" in (tmp_path / "out" / "README.md").read_text()


def test_failures_are_kept_whole_with_tokens_and_log_probabilities(tmp_path):
    settings = ExploreSettings(expert=of_expert(tmp_path, {0: "fail"}), output=str(tmp_path / "out"), rollouts=8)
    run(settings)
    failures = [t for t in read_trajectories(settings.output) if t.outcome == "fail"]
    assert failures and all(step.answer_tokens and step.logprobs for t in failures for step in t.steps)


def test_the_same_command_goes_on_after_a_stop(tmp_path):
    expert = of_expert(tmp_path, {n: "fail" for n in range(6)})
    settings = ExploreSettings(expert=expert, output=str(tmp_path / "out"), rollouts=3)
    with pytest.raises(KeyboardInterrupt):
        run(settings, Careless(dies_after=20))
    before = list(read_trajectories(settings.output))
    assert 0 < len(before) < 18
    assert json.loads((tmp_path / "out" / "counts.json").read_text())["all"]["rollouts"] == len(before)
    with (tmp_path / "out" / "episodes-00000.jsonl").open("a") as file:
        file.write('{"trajectory_id": "cut off by a ki')
    run(settings, Careless(seed=1))
    after = list(read_trajectories(settings.output))
    assert after[: len(before)] == before
    assert made(settings) == Counter({f"toy-{n}": 3 for n in range(6)})
    assert len({t.trajectory_id for t in after}) == 18

    def nobody(*_):
        raise AssertionError("nothing is left to do")

    explore(settings, nobody, nobody, EpisodeSettings(), {"policy": "careless"}, {})


def test_more_attempts_are_sampled_with_other_random_numbers(tmp_path, monkeypatch):
    """The sampling goes on where it was: begun anew, a second attempt would be the first once more."""
    from lam_train.phases import explore as phase

    opened = []

    def open_policy(policy, *_):
        opened.append(policy.local.seed)
        return Careless(policy.local.seed)

    monkeypatch.setattr(phase, "open_policy", open_policy)
    monkeypatch.setattr(phase, "environments_of", lambda _: [Toy()])
    monkeypatch.setattr(phase, "who_acts", lambda _: "careless")
    where = [f"explore.expert={of_expert(tmp_path, {0: 'fail', 1: 'fail'})}", f"explore.output={tmp_path}/out"]
    for rollouts in (1, 2):
        phase.run(compose_recipe(["+recipe=explore", *where, f"explore.rollouts={rollouts}"]), None)
    assert opened == [0, 2]


def test_an_episode_that_the_application_broke_is_made_again(tmp_path):
    settings = ExploreSettings(expert=of_expert(tmp_path, {0: "fail", 1: "fail"}), output=str(tmp_path / "out"))
    run(settings, toys=[Toy(breaks={"toy-0": -1})])
    assert made(settings) == Counter({"toy-1": 4})
    run(settings)
    assert made(settings) == Counter({"toy-0": 4, "toy-1": 4})


def test_the_first_error_is_told_not_what_the_summary_breaks_at(tmp_path, monkeypatch, caplog):
    """On a full disk neither the episode nor the counts can be written."""
    settings = ExploreSettings(expert=of_expert(tmp_path, {0: "fail"}), output=str(tmp_path / "out"))

    def no_room(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk, pytest.raises(Fault, match="No space left on device; all earlier records"):
        disk.setattr("lam_train.collect.trajectories.store.os.write", no_room)
        disk.setattr("lam_train.collect.exploration.explore.write_jsonl", no_room)
        run(settings)
    assert "selected/ are not up to date: [Errno 28]" in caplog.text
    assert run(settings).all["rollouts"] == 4


def test_a_task_that_was_won_often_enough_is_left_alone(tmp_path):
    expert = of_expert(tmp_path, {n: "fail" for n in range(8)})
    settings = ExploreSettings(expert=expert, output=str(tmp_path / "out"), rollouts=6, enough=1)
    counts = run(settings, toys=[Toy()])
    episodes = list(read_trajectories(settings.output))
    for task_id in {t.task.task_id for t in episodes}:
        outcomes = [t.outcome == "success" for t in episodes if t.task.task_id == task_id]
        first = outcomes.index(True) if True in outcomes else 5
        assert len(outcomes) <= first + 2  # one may have begun before the success was told
    assert counts.all["rollouts"] < 48


def test_another_model_is_refused_in_the_same_folder(tmp_path):
    settings = ExploreSettings(expert=of_expert(tmp_path, {0: "fail"}), output=str(tmp_path / "out"))
    run(settings)
    with pytest.raises(UserError, match="was begun with policy=careless"):
        run(settings, identity={"policy": "another"})


def test_greedy_attempts_are_refused_before_anything_is_loaded(tmp_path):
    from lam_train.phases.explore import run as run_phase

    with pytest.raises(UserError, match=r"policy\.local\.temperature=0.*rollouts=4"):
        run_phase(compose_recipe(["+recipe=explore", "policy.local.temperature=0"]), None)


# What is kept -------------------------------------------------------------------------------------------------------


def longer(original: Trajectory, name: str, *extra: Step) -> Trajectory:
    return original.model_copy(update={"trajectory_id": name, "steps": [*extra, *original.steps]})


def test_different_successes_are_kept_shortest_first():
    short = trajectory(0)
    first = short.steps[0]
    refused = first.model_copy(update={"error": True, "result": "refused"})
    unread = first.model_copy(update={"action": Action(), "problem": "bad format: none"})
    detour = longer(short, "detour", first)
    same_again = longer(short, "same", refused, unread)
    failed = short.model_copy(update={"trajectory_id": "failed", "outcome": "fail"})
    other_task = trajectory(1)
    found = select_successes([same_again, detour, failed, other_task, short], keep_per_task=2)
    assert [t.trajectory_id for t in found] == ["trajectory-0", "detour", "trajectory-1"]
    assert select_successes([detour, short], keep_per_task=1) == [short]


def test_thoughts_and_plans_make_no_difference_arguments_do():
    one = trajectory(0)
    thought = one.steps[0].action.model_copy(update={"thought": "so", "plan": ["later"]})
    same = one.model_copy(update={"steps": [one.steps[0].model_copy(update={"action": thought}), one.steps[1]]})
    assert effective_actions(same) == effective_actions(one)
    other = one.steps[0].action.model_copy(update={"args": {"text": "elsewhere"}})
    different = one.model_copy(update={"steps": [one.steps[0].model_copy(update={"action": other}), one.steps[1]]})
    assert effective_actions(different) != effective_actions(one)
