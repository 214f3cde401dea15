"""Episodes and the pool, on a small application with real threads, crashes and refusals."""

import threading
import time
from collections import Counter

import pytest
from toy_application import Toy, toy_task

from lam_train.agent.episode import EpisodeSettings, run_episode
from lam_train.agent.policy import Decision
from lam_train.agent.rollouts import rollouts
from lam_train.records import FAILURES, Action, State, Verdict


def type_word(text: str) -> Action:
    return Action(control_label="1", control_name="Word", function="set_edit_text", args={"text": text})


def add(last: bool) -> Action:
    return Action(
        control_label="2", control_name="Add", function="click_input", status="FINISH" if last else "CONTINUE"
    )


class Writer:
    """Does the request by the observation alone, two steps a word."""

    name = "writer"

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.threads: set[int] = set()
        self.states: list[State] = []

    def decide(self, states):
        self.batches.append(len(states))
        self.threads.add(threading.get_ident())
        self.states += states
        return [self.one(state) for state in states]

    def one(self, state: State) -> Decision:
        wanted = state.request.partition(": ")[2].split(", ")
        typed = state.observation.controls[0].value
        done = len(state.observation.controls) - 2
        action = add(done + 1 == len(wanted)) if typed else type_word(wanted[done])
        return Decision(action=action, answer=f"{action.function}", prompt_tokens=[1, 2], logprobs=[-0.5])


class Script:
    """Answers with a list of decisions or actions in turn, the last one again and again."""

    name = "script"

    def __init__(self, *decisions) -> None:
        self.decisions = list(decisions)
        self.states: list[State] = []

    def decide(self, states):
        self.states += states
        found = [self.decisions.pop(0) if len(self.decisions) > 1 else self.decisions[0] for _ in states]
        return [d if isinstance(d, Decision) else Decision(action=d) for d in found]


def episode(policy, task=None, toy=None, **settings):
    return run_episode(
        task or toy_task(0),
        toy or Toy(),
        lambda state: policy.decide([state])[0],
        EpisodeSettings(**settings),
        policy=policy.name,
    )


# One episode --------------------------------------------------------------------------------------------------------


def test_a_success_is_recorded_whole():
    policy = Writer()
    found = episode(policy)
    assert (found.outcome, found.reason, found.retries) == ("success", "", 0)
    assert [step.action.function for step in found.steps] == ["set_edit_text", "click_input"] * 2
    assert [step.action.status for step in found.steps] == ["CONTINUE"] * 3 + ["FINISH"]
    assert [step.result for step in found.steps] == ["", "1 words", "", "2 words"]
    assert [step.acceptable for step in found.steps] == [["1"], ["2"], ["1"], ["2"]]
    assert all(step.prompt_tokens == [1, 2] and step.logprobs == [-0.5] for step in found.steps)
    assert all(step.seconds >= step.decision_seconds >= 0 for step in found.steps)
    assert found.verdicts == [Verdict(complete="yes", reason="['red', 'blue'] for ['red', 'blue']")]
    assert found.versions == {"toy": "1"}


def test_the_record_gives_back_the_states_that_were_decided():
    policy = Writer()
    found = episode(policy)
    assert found.states() == policy.states
    assert len(policy.states[3].previous) == 3


def test_finish_with_the_wrong_document_is_an_early_finish():
    found = episode(Script(type_word("red"), add(True)))
    assert (found.outcome, found.reason) == ("fail", "early finish")
    assert found.verdicts[0].complete == "no"


def test_a_check_that_is_unsure_is_no_success():
    found = episode(Writer(), toy_task(0, "perhaps"))
    assert (found.outcome, found.reason) == ("unsure", "who knows")


def test_finish_alone_ends_an_episode():
    found = episode(Script(type_word("red"), add(False), Action(status="FINISH")), toy_task(0, "red"))
    assert (found.outcome, len(found.steps)) == ("success", 3)


def test_a_refused_finish_does_not_end_it():
    """The button is disabled as long as the field is empty; FINISH comes with that click."""
    found = episode(Script(add(True), type_word("red"), add(True)), toy_task(0, "red"))
    assert (found.outcome, [step.error for step in found.steps]) == ("success", [True, False, False])


def test_the_step_limit():
    found = episode(Script(type_word("red")), max_steps=5)
    assert (found.outcome, found.reason, len(found.steps)) == ("fail", "step limit", 5)


def test_unreadable_answers_are_shown_to_the_policy_and_recorded():
    bad = Decision(action=None, answer="Hello!", problem="bad format: no JSON", answer_tokens=[7])
    policy = Script(bad, bad, type_word("red"), bad, bad, add(True))
    found = episode(policy, toy_task(0, "red"), max_refused=3)
    assert found.outcome == "success"
    step = found.steps[1]
    assert (step.answer, step.problem, step.error, step.action) == ("Hello!", "bad format: no JSON", True, Action())
    assert step.answer_tokens == [7]
    assert "bad format: no JSON" in policy.states[1].observation.result
    assert policy.states[1].observation.controls == policy.states[0].observation.controls
    assert [previous.error for previous in policy.states[2].previous] == [True, True]
    assert found.states() == policy.states


@pytest.mark.parametrize(
    ("decision", "reason"),
    [
        (Decision(action=None, problem="bad format: x"), "bad format"),
        (Action(control_label="99", function="click_input"), "wrong control"),
        (Action(control_label="2", function="click_input"), "wrong control"),  # disabled
        (Action(control_label="1", function="set_edit_text", args={"text": 3}), "wrong argument"),
    ],
)
def test_refusals_in_a_row_end_it_with_their_cause(decision, reason):
    found = episode(Script(decision), max_refused=2)
    assert (found.outcome, found.reason, len(found.steps)) == ("fail", reason, 2)
    assert reason in FAILURES


def test_an_environment_may_say_the_cause_itself():
    class Says(Toy):
        def step(self, action):
            observation, reward, ended, truncated, info = super().step(action)
            return observation, reward, ended, truncated, {**info, "cause": "wrong control"}

    found = episode(Script(Action(control_label="2", function="set_edit_text", args={"text": 3})), toy=Says())
    assert found.reason == "wrong control"


def test_an_expert_without_a_plan_ends_it_at_once():
    found = episode(Script(type_word("x"), Decision(action=None, problem="no plan: what is a list?")))
    assert (found.outcome, found.reason, len(found.steps)) == ("fail", "no plan", 2)


def test_an_environment_without_verdicts_is_judged_by_its_reward():
    class Rewards(Toy):
        def step(self, action):
            observation, reward, ended, truncated, info = super().step(action)
            info.pop("verdict", None)
            return observation, reward, ended, truncated, info

    assert episode(Writer(), toy=Rewards()).outcome == "success"
    found = episode(Script(Action(status="FINISH")), toy=Rewards())
    assert (found.outcome, found.reason, found.verdicts[0].by) == ("fail", "early finish", "reward")


def test_an_environment_that_truncates_is_out_of_steps():
    class Limited(Toy):
        def step(self, action):
            observation, reward, ended, _, info = super().step(action)
            return observation, reward, ended, self.steps == 2, info

    found = episode(Script(type_word("red")), toy=Limited())
    assert (found.outcome, found.reason, len(found.steps)) == ("fail", "step limit", 2)


@pytest.mark.parametrize("breaks", [1, 2])
def test_an_application_that_breaks_is_begun_again(breaks):
    toy = Toy({"toy-0": breaks})
    found = episode(Writer(), toy=toy, retries=2)
    assert (found.outcome, found.retries, len(found.steps)) == ("success", breaks, 4)
    assert toy.seeds == [0] * (breaks + 1)


def test_an_application_that_always_breaks_is_an_error():
    toy = Toy({"toy-0": -1})
    found = episode(Writer(), toy=toy, retries=2)
    assert (found.outcome, found.retries, len(found.steps), len(toy.seeds)) == ("error", 2, 1, 3)
    assert found.reason == "application error: the toy fell apart"


# The pool -----------------------------------------------------------------------------------------------------------


def pool(tasks, policy, environments, seed=0, **settings):
    return rollouts(tasks, policy, environments, EpisodeSettings(**settings), seed=seed)


def test_every_task_gets_one_episode_and_each_environment_one_thread():
    policy, toys = Writer(), [Toy(step_seconds=0.002) for _ in range(4)]
    found = list(pool([toy_task(n) for n in range(30)], policy, toys, seed=100))
    assert Counter(t.task.task_id for t in found) == {f"toy-{n}": 1 for n in range(30)}
    assert {t.trajectory_id for t in found} == {f"toy-{n}.writer.{100 + n}" for n in range(30)}
    assert {t.outcome for t in found} == {"success"}
    assert [len(toy.threads) for toy in toys] == [1] * 4
    assert len(set.union(*(toy.threads for toy in toys))) == 4
    assert policy.threads == {threading.get_ident()}
    assert sorted(seed for toy in toys for seed in toy.seeds) == list(range(100, 130))
    assert max(policy.batches) > 1 and sum(policy.batches) == 120


def test_the_others_act_while_a_batch_is_decided():
    """The first step of task 0 and a later decision on task 1 wait for each other: both are under way at once."""
    meet = threading.Barrier(2, timeout=30)

    class Meets(Toy):
        def step(self, action):
            if self.task.task_id == "toy-0" and self.steps == 0:
                meet.wait()
            return super().step(action)

    class Waits(Writer):
        met, decided = False, False

        def decide(self, states):
            if self.decided and not self.met:
                self.met = True
                meet.wait()
            self.decided |= any("red" in state.request for state in states)
            return super().decide(states)

    tasks = [toy_task(0), toy_task(1, ", ".join(["w"] * 100))]
    found = list(pool(tasks, Waits(), [Meets(), Meets()], max_steps=200))
    assert {t.outcome for t in found} == {"success"}


def test_results_come_as_they_end():
    tasks = [toy_task(0, ", ".join(["w"] * 6)), *(toy_task(n, "w") for n in range(1, 6))]
    order = [t.task.task_id for t in pool(tasks, Writer(), [Toy(step_seconds=0.005) for _ in range(2)])]
    assert sorted(order) == [f"toy-{n}" for n in range(6)]
    assert order[0] != "toy-0"


def test_a_broken_application_does_not_stop_the_others():
    breaks = {"toy-1": 1, "toy-3": -1}
    found = {t.task.task_id: t for t in pool([toy_task(n) for n in range(8)], Writer(), [Toy(breaks), Toy(breaks)])}
    assert len(found) == 8
    assert (found["toy-1"].outcome, found["toy-1"].retries) == ("success", 1)
    assert (found["toy-3"].outcome, found["toy-3"].retries) == ("error", 2)
    assert {t.outcome for name, t in found.items() if name != "toy-3"} == {"success"}


def test_tasks_are_read_as_environments_become_free():
    read = []

    def stream():
        for number in range(50):
            read.append(number)
            yield toy_task(number)

    iterator = pool(stream(), Writer(), [Toy(), Toy()])
    next(iterator)
    assert len(read) < 20
    iterator.close()
    assert workers() == []


def workers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("environment-")]


class Fails(Writer):
    def __init__(self, error: BaseException, after: int) -> None:
        super().__init__()
        self.error, self.after = error, after

    def decide(self, states):
        if len(self.batches) == self.after:
            raise self.error
        return super().decide(states)


@pytest.mark.parametrize("error", [RuntimeError("policy"), KeyboardInterrupt()])
@pytest.mark.parametrize("after", [0, 7])
def test_what_the_policy_raises_ends_all_threads(error, after):
    with pytest.raises(type(error)):
        list(pool([toy_task(n) for n in range(40)], Fails(error, after), [Toy() for _ in range(4)]))
    assert workers() == []


class Bug(Toy):
    def step(self, action):
        if self.task.task_id == "toy-5":
            raise ZeroDivisionError("a bug")
        return super().step(action)


def test_what_an_environment_raises_ends_all_threads():
    with pytest.raises(ZeroDivisionError, match="a bug"):
        list(pool([toy_task(n) for n in range(40)], Writer(), [Bug() for _ in range(4)]))
    assert workers() == []


def test_what_ended_before_an_environment_raised_is_given_first():
    class Concurrent(Writer):
        """Asked in the environments' own threads, which go on while the iterator is not asked for more."""

        concurrent = True

    iterator, found = pool([toy_task(n) for n in range(8)], Concurrent(), [Bug(), Bug()]), []
    with pytest.raises(ZeroDivisionError, match="a bug"):
        for trajectory in iterator:
            found.append(trajectory.task.task_id)
            while workers():  # all that will come has come: the others' episodes and the exception are one lot
                time.sleep(0.001)
    assert sorted(found) == [f"toy-{n}" for n in range(8) if n != 5]


def test_what_ended_before_the_policy_raised_is_given_first():
    """The policy breaks in the moment after the one in which the first episode ended."""
    moment, over = threading.Event(), threading.Event()

    class Meets(Toy):
        def reset(self, *, seed=None, options=None):
            if options["task"].task_id == "toy-1":
                over.set()
            return super().reset(seed=seed, options=options)

        def step(self, action):
            if action.status == "FINISH":
                assert moment.wait(30)
            return super().step(action)

    class Breaks(Moments):
        def __len__(self) -> int:
            return 1  # somebody is always waited for, so that the pool does not wait for events

        def advance(self):
            if over.is_set():
                raise RuntimeError("policy")
            if len(self.states) == 2 and not self.under_way:  # the first episode's last step is under way
                moment.set()
                assert over.wait(30)
            made = list(self.under_way)
            return [(number, self.one(self.under_way.pop(number)[0])) for number in made]

    found = []
    with pytest.raises(RuntimeError, match="policy"):
        for trajectory in pool([toy_task(n, "red") for n in range(2)], Breaks(), [Meets()]):
            found.append(trajectory.task.task_id)
    assert found == ["toy-0"] and workers() == []


def test_what_the_tasks_raise_ends_all_threads():
    def stream():
        yield toy_task(0)
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="gone"):
        list(pool(stream(), Writer(), [Toy(), Toy()]))
    assert workers() == []


def test_a_policy_that_loses_a_state_is_an_error():
    class Loses(Writer):
        def decide(self, states):
            return super().decide(states)[:-1]

    with pytest.raises(ValueError, match="argument"):
        list(pool([toy_task(0)], Loses(), [Toy()]))
    assert workers() == []


def test_a_concurrent_policy_is_asked_by_the_environments_themselves():
    class Concurrent(Writer):
        concurrent = True

        def decide(self, states):
            time.sleep(0.005)
            return super().decide(states)

    policy = Concurrent()
    found = list(pool([toy_task(n) for n in range(8)], policy, [Toy() for _ in range(4)]))
    assert {t.outcome for t in found} == {"success"}
    assert set(policy.batches) == {1}
    assert len(policy.threads) == 4 and threading.get_ident() not in policy.threads


class Moments(Writer):
    """Decides the states of one request in a moment, the others' in a hundred."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way: dict[int, tuple[State, int]] = {}
        self.most = 0

    def deciding(self):
        return self

    def decide(self, states):
        raise AssertionError("it has deciding")

    def __len__(self) -> int:
        return len(self.under_way)

    def ask(self, states):
        first = len(self.states)
        self.states += states
        for number, state in enumerate(states, first):
            self.under_way[number] = (state, 1 if "quick" in state.request else 100)
        self.most = max(self.most, len(self.under_way))
        return list(range(first, len(self.states)))

    def advance(self):
        time.sleep(0.002)
        self.under_way = {number: (state, left - 1) for number, (state, left) in self.under_way.items()}
        made = [number for number, (_, left) in self.under_way.items() if left <= 0]
        return [(number, self.one(self.under_way.pop(number)[0])) for number in made]


def test_who_is_decided_acts_while_others_are_not():
    """One that waited for the slowest of a batch would end the quick episode behind a slow one."""
    tasks = [toy_task(0, "slow"), toy_task(1, ", ".join(["quick"] * 6))]
    policy = Moments()
    found = list(pool(tasks, policy, [Toy(), Toy()], max_steps=20))
    assert [trajectory.task.task_id for trajectory in found] == ["toy-1", "toy-0"]
    assert {t.outcome for t in found} == {"success"} and policy.most == 2
    assert {len(t.steps) for t in found} == {2, 12}
    assert workers() == []


def test_no_tasks_no_episodes():
    assert list(pool([], Writer(), [Toy()])) == []
    with pytest.raises(ValueError, match="at least one environment"):
        list(pool([toy_task(0)], Writer(), []))
