"""evaluate_offline: the numbers against numbers computed by hand, answers that go on midway, the report's files."""

import json

import pytest

from lam_train.agent.policy import Decision
from lam_train.errors import Fault, UserError
from lam_train.evaluate.acting import check_identities, chosen_tasks, families_in_turn
from lam_train.evaluate.acting_results import ActingReport, OfflineAnswer, OfflineRow
from lam_train.evaluate.action_metrics import StepScore, score_action
from lam_train.evaluate.offline import EvaluateOfflineSettings, evaluate_offline, expert_successes
from lam_train.records import Action, Control, Observation, Step, Task, Trajectory, read_jsonl, write_jsonl
from lam_train.report.acting_tables import offline_table
from lam_train.report.offline_report import write_offline_report

CONTROLS = [
    Control(label="1", control_text="Bold", control_type="Button", checked=False),
    Control(label="2", control_text="Format", control_type="MenuItem"),
    Control(label="3", control_text="Bold", control_type="Button"),
]
SCREEN = Observation(window="letter", controls=CONTROLS)
SELECT = Action(function="select_text", args={"text": "the fee"}, plan=["Click Bold"])
CLICK = Action(control_label="1", control_name="Bold", function="click_input", status="FINISH")


def trajectory(number: int, family: str = "bold", outcome="success", split="test", template="letter") -> Trajectory:
    """The expert makes a phrase bold in two steps; a composition clicks the menu in between."""
    steps = [Step(observation=SCREEN, action=SELECT)]
    if "+" in family:
        steps.append(Step(observation=SCREEN, action=Action(control_label="2", function="click_input")))
    steps.append(Step(observation=SCREEN, action=CLICK, acceptable=["1", "3"]))
    task = Task(
        task_id=f"t{number}", request=f"Bold, number {number}", family=family, split=split, template=f"{template}.docx"
    )
    return Trajectory(trajectory_id=f"e{number}", task=task, policy="expert", steps=steps, outcome=outcome)


class Scripted:
    """Answers by a function of the state, and counts what it was asked."""

    name = "scripted"

    def __init__(self, answer, fail_after=None):
        self.answer, self.asked, self.fail_after = answer, 0, fail_after

    def decide(self, states):
        if self.fail_after is not None and self.asked >= self.fail_after:
            raise KeyboardInterrupt
        self.asked += len(states)
        given = [self.answer(state) for state in states]
        return [
            Decision(action=None, answer="Sure!", problem="bad format: no JSON")
            if action is None
            else Decision(action=action, answer=action.model_dump_json(), prompt_tokens=[1] * 10, answer_tokens=[2, 3])
            for action in given
        ]


def perfect(state):
    """What the expert does, by the history alone."""
    done = [previous.action.function for previous in state.previous]
    if not done:
        return SELECT
    if "number 9" in state.request and len(done) == 1:
        return Action(control_label="2", function="click_input")
    return CLICK


def flawed(state):
    """Even tasks: the twin control at the end, with a wrong text before. Odd ones: prose first, then no FINISH."""
    even = int(state.request.split()[-1]) % 2 == 0
    if not state.previous:
        return SELECT.model_copy(update={"args": {"text": "The fee"}}) if even else None
    return CLICK.model_copy(update={"control_label": "3"} if even else {"status": "CONTINUE"})


def settings(**changes):
    return EvaluateOfflineSettings(**{"data": "unused", "resamples": 200, "batch_size": 3, **changes})


TRAJECTORIES = [trajectory(number) for number in range(8)] + [trajectory(9, "bold+menu", template="form")]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    output = tmp_path_factory.mktemp("offline")
    policies = {"untrained": lambda: Scripted(flawed), "LAM2": lambda: Scripted(perfect)}
    report, rows = evaluate_offline(policies, TRAJECTORIES, settings(), output, ["a note"])
    write_offline_report(report, rows, TRAJECTORIES, settings(), output)
    return report, rows, output


def means(score):
    return {metric: estimate.mean for metric, estimate in score.estimates.items()}


def test_the_numbers_are_the_ones_computed_by_hand(evaluated):
    """19 steps. 4 even tasks: select right but for its text, the twin of Bold accepted. 4 odd tasks and the
    composition: prose, then (twice in the composition) Bold clicked without FINISH; there the menu was wanted first,
    with CONTINUE."""
    report, _, _ = evaluated
    untrained, lam2 = report.scores
    assert set(means(lam2).values()) == {1.0}
    assert (report.tasks, report.steps, report.templates) == (9, 19, 2)
    wanted = {
        "format": 14 / 19,  # five times prose
        "object": (8 + 4 + 1) / 19,  # all of the even, Bold of the odd, the last of the composition
        "operation": (8 + 4 + 2) / 19,  # the menu is clicked too, as the function goes
        "operation_class": (8 + 4 + 2) / 19,
        "status": (8 + 1) / 19,  # of the others only the menu's CONTINUE
        "step": 8 / 19,
        "arguments": (4 + 4 + 2) / 19,
        "strict_step": 4 / 19,
        "task": 4 / 9,
        "strict_task": 0.0,
    }
    assert means(untrained) == pytest.approx(wanted)
    assert (lam2.prompt_tokens, lam2.answer_tokens) == (10.0, 2.0)


def test_groups_steps_and_differences_add_up(evaluated):
    report, _, _ = evaluated
    untrained, _ = report.scores
    shown = {name: (g.tasks, g.steps, g.estimates["step"].mean) for name, g in untrained.groups.items()}
    assert shown == {
        "single operations": (8, 16, 0.5),
        "compositions": (1, 3, 0.0),
        "2 operations": (1, 3, 0.0),
        "bold": (8, 16, 0.5),
    }
    assert {place: (g.steps, g.estimates["format"].mean) for place, g in untrained.by_step.items()} == {
        "1": (9, pytest.approx(4 / 9)),
        "2": (9, 1.0),
        "3": (1, 1.0),
    }
    (difference,) = report.differences
    assert (difference.name, difference.baseline) == ("LAM2", "untrained")
    assert difference.estimates["step"].mean == pytest.approx(11 / 19)
    assert difference.estimates["task"].mean == pytest.approx(5 / 9)
    assert 0 < difference.estimates["step"].low < 11 / 19 < difference.estimates["step"].high < 1


def test_mistakes_say_what_was_done_instead(evaluated):
    report, _, _ = evaluated
    found = {(m.expected, m.answered): m.count for m in report.scores[0].mistakes}
    assert found == {
        ("select_text(text), CONTINUE", "(no action)"): 5,
        ("select_text(text), CONTINUE", "select_text(text), CONTINUE"): 4,
        ("click_input Bold, FINISH", "click_input Bold, CONTINUE"): 5,
        ("click_input Format, CONTINUE", "click_input Bold, CONTINUE"): 1,
    }
    assert report.scores[1].mistakes == []


def test_files_say_the_same_as_the_report(evaluated):
    report, rows, output = evaluated
    assert ActingReport.model_validate_json((output / "evaluation.json").read_text()) == report
    assert list(read_jsonl(output / "tasks.jsonl", OfflineRow)) == rows
    page = (output / "evaluation.md").read_text()
    assert offline_table(report) in page
    assert "| LAM2 | 100.0 [100.0, 100.0] |" in page
    assert "| LAM2 - untrained | +31.6 [" in page  # object: 6 of 19
    assert "- a note" in page
    assert (output / "evaluation.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({}, set()),
        ({"control_label": "3"}, set()),  # acceptable
        ({"control_label": "2"}, {"object"}),
        ({"control_label": ""}, {"object"}),
        ({"args": {"button": "left", "double": False}}, set()),  # the defaults
        ({"args": {"double": True}}, {"arguments"}),
        ({"args": {"double": "false", "button": " Left"}}, set()),
        ({"function": "set_edit_text"}, {"operation", "operation_class", "arguments"}),
        ({"function": ""}, {"operation", "operation_class", "arguments"}),
        ({"status": "CONTINUE"}, {"status"}),
        ({"thought": "because", "plan": ["more"], "control_name": "Bald"}, set()),  # not compared
    ],
)
def test_each_part_of_an_action_is_scored_alone(change, wrong):
    expert = Step(observation=SCREEN, action=CLICK, acceptable=["3"])
    score = score_action(CLICK.model_copy(update=change), expert)
    assert {name for name, right in score.model_dump().items() if not right} == wrong
    assert score.step == (not wrong & {"object", "operation", "status"})
    assert score.strict_step == (not wrong)


@pytest.mark.parametrize(
    ("function", "given", "wanted", "equal"),
    [
        ("insert_table", {"rows": 2, "columns": 3}, {"columns": 3.0, "rows": "2"}, True),
        ("insert_table", {"rows": 2, "columns": 3}, {"rows": 3, "columns": 2}, False),
        ("insert_table", {"rows": 1, "columns": 3}, {"rows": True, "columns": 3}, False),
        ("insert_table", {"rows": 10**400, "columns": 3}, {"rows": 2, "columns": 3}, False),
        ("insert_table", {"rows": 10**400, "columns": 3}, {"rows": str(10**400), "columns": 3}, True),
        ("set_edit_text", {"text": " 2 \n x"}, {"text": "2 x"}, True),
        ("set_edit_text", {"text": "2.0"}, {"text": "2"}, False),
        ("set_edit_text", {"text": "Fee"}, {"text": "fee"}, False),
        ("set_edit_text", {"text": "e\u0301"}, {"text": "\u00e9"}, True),
        ("set_edit_text", {}, {"text": ""}, False),
        ("annotation", {"control_labels": ["1", 2]}, {"control_labels": [1, 2]}, True),
        ("annotation", {"control_labels": ["NaN"]}, {"control_labels": ["nan"]}, True),
        ("annotation", {"control_labels": ["1"]}, {"control_labels": ["1", "2"]}, False),
        ("select_text", {"text": "a", "more": 1}, {"text": "a"}, False),
    ],
)
def test_arguments_are_compared_after_normalisation(function, given, wanted, equal):
    expert = Step(observation=SCREEN, action=Action(function=function, args=wanted))
    assert score_action(Action(function=function, args=given), expert).arguments is equal


def test_a_control_named_where_the_expert_names_none_is_wrong():
    expert = Step(observation=SCREEN, action=SELECT)
    assert score_action(SELECT, expert).object
    assert not score_action(SELECT.model_copy(update={"control_label": "1"}), expert).object


def test_the_papers_classes_are_wider_than_the_function():
    expert = Step(observation=SCREEN, action=Action(function="keyboard_input", args={"keys": "a"}))
    score = score_action(Action(function="set_edit_text", args={"text": "a"}), expert)
    assert (score.operation_class, score.operation, score.step) == (True, False, False)


def test_an_unreadable_answer_is_wrong_in_everything():
    score = score_action(None, Step(observation=SCREEN, action=Action(status="CONTINUE")))
    assert score == StepScore.model_validate(dict.fromkeys(StepScore.model_fields, False))
    assert not score.step


def test_stopped_anywhere_it_goes_on_and_asks_nothing_twice(evaluated, tmp_path):
    report, _, _ = evaluated
    stopped = Scripted(flawed, fail_after=6)
    with pytest.raises(KeyboardInterrupt):
        evaluate_offline({"untrained": lambda: stopped}, TRAJECTORIES, settings(), tmp_path)
    file = tmp_path / "answers" / "untrained-00000.jsonl"
    assert len(file.read_text().splitlines()) == 6
    with file.open("a") as torn:
        torn.write('{"trajectory_id": "e3", "st')  # killed while writing
    fresh = Scripted(flawed)
    again, _ = evaluate_offline({"untrained": lambda: fresh}, TRAJECTORIES, settings(), tmp_path)
    assert fresh.asked == 19 - 6
    answers = [(a.trajectory_id, a.step) for a in read_jsonl(file, OfflineAnswer)]
    assert len(answers) == len(set(answers)) == 19
    assert again.scores[0].estimates == report.scores[0].estimates

    def refuse():
        raise AssertionError("loaded although nothing is missing")

    evaluate_offline({"untrained": refuse}, TRAJECTORIES, settings(), tmp_path)


class Silent(Scripted):
    """An endpoint that gives no answer in these tasks behind their first state."""

    def __init__(self, *numbers):
        super().__init__(perfect)
        self.numbers = numbers

    def decide(self, states):
        return [
            Decision(action=None, problem="no answer: timed out")
            if state.previous and int(state.request.split()[-1]) in self.numbers
            else super(Silent, self).decide([state])[0]
            for state in states
        ]


def test_a_state_without_an_answer_is_no_mistake_and_asked_again(tmp_path, caplog):
    """Three of 19; among them the only third step, so that there is no mean over third steps."""
    policies = {"even": lambda: Scripted(flawed), "endpoint": lambda: Silent(1, 9)}
    report, rows = evaluate_offline(policies, TRAJECTORIES, settings(), tmp_path)
    score = report.scores[1]
    assert set(means(score).values()) == {1.0} and score.mistakes == []
    assert [row.scores["endpoint"].count(None) for row in rows] == [0, 1, 0, 0, 0, 0, 0, 0, 2]
    assert set(score.by_step) == {"1", "2"}
    assert report.differences[0].estimates["task"].mean == pytest.approx(3 / 7)  # the even ones are right in 4 of 7
    assert "endpoint: 3 states had no answer: timed out; the same command asks again" in caplog.text
    write_offline_report(report, rows, TRAJECTORIES, settings(), tmp_path)
    assert "- endpoint: 3 of 19 states had no answer" in (tmp_path / "evaluation.md").read_text()
    page = next(tmp_path.glob("*.html")).read_text()
    assert '"reason": "no answer"' in page.replace('":"', '": "')
    fresh = Scripted(perfect)
    again, _ = evaluate_offline(policies | {"endpoint": lambda: fresh}, TRAJECTORIES, settings(), tmp_path)
    assert (fresh.asked, again.notes, again.scores[1].estimates["task"].mean) == (3, [], 1.0)


def test_where_no_trajectory_is_answered_whole_there_is_no_report(tmp_path):
    two = [TRAJECTORIES[0], TRAJECTORIES[-1]]
    report, rows = evaluate_offline({"a": lambda: Silent(9)}, two, settings(), tmp_path / "a")
    write_offline_report(report, rows, two, settings(), tmp_path / "a")
    with pytest.raises(Fault, match="a: no trajectory has an answer to each step; the same command asks again"):
        evaluate_offline({"a": lambda: Silent(0, 9)}, two, settings(), tmp_path / "b")


def test_a_step_that_was_refused_is_history_and_no_reference(tmp_path):
    """An expert that missed first: its refused click is shown to the model but not asked of it."""
    missed = Step(observation=SCREEN, action=CLICK.model_copy(update={"control_label": "9"}), result="no 9", error=True)
    one = TRAJECTORIES[0].model_copy(update={"steps": [missed, *TRAJECTORIES[0].steps]})
    seen = []

    def answer(state):
        seen.append([previous.error for previous in state.previous])
        return SELECT if len(state.previous) == 1 else CLICK

    report, _ = evaluate_offline({"a": lambda: Scripted(answer)}, [one], settings(), tmp_path)
    assert seen == [[True], [True, False]]
    assert (report.steps, report.scores[0].estimates["task"].mean) == (2, 1.0)


def test_an_answer_to_a_state_that_has_changed_is_asked_again(tmp_path):
    evaluate_offline({"a": lambda: Scripted(perfect)}, TRAJECTORIES[:2], settings(), tmp_path)
    changed = TRAJECTORIES[0].model_copy(
        update={"steps": [TRAJECTORIES[0].steps[0].model_copy(update={"result": "selected"}), TRAJECTORIES[0].steps[1]]}
    )
    fresh = Scripted(perfect)
    evaluate_offline({"a": lambda: fresh}, [changed, TRAJECTORIES[1]], settings(), tmp_path)
    assert fresh.asked == 1  # the second step sees another result of the first


def test_a_folder_with_the_answers_of_another_model_is_refused(tmp_path):
    check_identities(tmp_path, {"LAM2": "runs/a 123"})
    check_identities(tmp_path, {"LAM2": "runs/a 123", "LAM3": "runs/b 1"})
    with pytest.raises(UserError, match=r"holds the answers of LAM2 = runs/a 123, not of runs/a 456: take another"):
        check_identities(tmp_path, {"LAM2": "runs/a 456"})
    assert json.loads((tmp_path / "policies.json").read_text()) == {"LAM2": "runs/a 123", "LAM3": "runs/b 1"}


def test_which_trajectories_are_evaluated(tmp_path):
    data = tmp_path / "trajectories.jsonl"
    records = [
        trajectory(1),
        trajectory(2, outcome="fail"),
        trajectory(3, split="train"),
        trajectory(4, "bold+menu"),
        trajectory(1).model_copy(update={"trajectory_id": "a second success"}),
    ]
    write_jsonl(data, records)

    def chosen(**changes):
        return [t.trajectory_id for t in expert_successes(settings(data=str(data), **changes))]

    assert chosen() == ["e1", "e4"]
    assert chosen(split=None) == ["e1", "e3", "e4"]
    assert chosen(families=["bold+menu"]) == ["e4"]
    with pytest.raises(UserError, match="no task of the family 'italic'; there are bold, bold"):
        chosen(families=["italic"])
    with pytest.raises(UserError, match="no task of split 'validation'"):
        chosen(split="validation")
    write_jsonl(tmp_path / "train.jsonl", [trajectory(3)])
    assert chosen(training_data=str(tmp_path / "train.jsonl")) == ["e1", "e4"]
    write_jsonl(tmp_path / "train.jsonl", [trajectory(4, split="train")])
    with pytest.raises(UserError, match=r"the test task t4 .* was trained on"):
        chosen(training_data=str(tmp_path / "train.jsonl"))


def test_a_limit_takes_families_in_turn_and_is_seeded():
    tasks = [trajectory(number, family).task for number, family in enumerate(["a"] * 20 + ["b"] * 4 + ["c+d", "d+c"])]
    few = chosen_tasks(tasks, settings(limit=6), "x")
    families = [task.family for task in few]
    assert (families.count("a"), families.count("b"), families.count("c+d") + families.count("d+c")) == (2, 2, 2)
    assert few == chosen_tasks(tasks, settings(limit=6), "x") != chosen_tasks(tasks, settings(limit=6, seed=1), "x")
    assert few == [task for task in tasks if task in few]  # in their order
    assert sorted(t.task_id for t in families_in_turn(tasks, 0)) == sorted(t.task_id for t in tasks)
    with pytest.raises(UserError, match="x: the task t0 occurs more than once"):
        chosen_tasks([tasks[0], tasks[0]], settings(), "x")


def test_templates_can_be_drawn_instead_of_tasks(tmp_path):
    """Two documents, one all right and one all wrong: over documents nothing is known, over tasks a little."""
    trajectories = [trajectory(number, template="form" if number % 2 else "letter") for number in range(8)]

    def wide(cluster):
        chosen = settings(cluster=cluster, resamples=2000)
        report, _ = evaluate_offline({"a": lambda: Scripted(flawed)}, trajectories, chosen, tmp_path / cluster)
        estimate = report.scores[0].estimates["task"]
        return report.clusters, estimate.mean, estimate.high - estimate.low

    assert wide("template") == (2, 0.5, 1.0)
    clusters, mean, width = wide("task")
    assert (clusters, mean) == (8, 0.5)
    assert width < 0.8


def test_nothing_to_evaluate_is_said(tmp_path):
    with pytest.raises(UserError, match="nothing to evaluate"):
        evaluate_offline({}, TRAJECTORIES, settings(), tmp_path)
    lazy = Scripted(perfect)
    lazy.decide = lambda states: []
    with pytest.raises(UserError, match="scripted gave 0 decisions for 3 states"):
        evaluate_offline({"a": lambda: lazy}, TRAJECTORIES, settings(), tmp_path)


def test_who_answers_is_a_models_files_and_how_it_answers(tmp_path):
    from lam_train.phases.acting import policies_of
    from lam_train.recipe import compose_recipe

    (tmp_path / "config.json").write_text("{}")

    def who(*overrides, **more):
        models = [f"evaluate_online.models.LAM2={tmp_path}", "~evaluate_online.models.LAM1"]
        recipe = compose_recipe(["+recipe=evaluate_online", "model=tiny", *models, *overrides])
        return policies_of(recipe, recipe.evaluate_online, **{"expert": True, "episodes": True, **more})

    policies, identities = who()
    assert list(policies) == ["expert", "untrained", "LAM2"]
    assert identities["untrained"] == "tiny"
    assert identities["every episode"] == "the default settings"
    faster = ["policy.local.batch_size=3", "policy.local.speculative_tokens=0"]
    assert who(*faster, "evaluate_online.limit=3")[1] == identities
    assert who("format.kind=compact", "format.history=2")[1]["LAM2"] == identities["LAM2"] + ", kind=compact history=2"
    assert who("policy.local.max_new_tokens=9")[1]["untrained"] == "tiny, max_new_tokens=9"
    assert who("episode.max_steps=5")[1]["every episode"] == "max_steps=5"
    assert "every episode" not in who(episodes=False)[1]
    assert list(who(expert=False)[0]) == ["untrained", "LAM2"]
    asked = who("policy=endpoint")[1]["endpoint"]
    assert "http://127.0.0.1:8000/v1" in asked
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert who()[1]["LAM2"] != identities["LAM2"]
    with pytest.raises(UserError, match=r"models\.expert: the name is taken"):
        who("evaluate_online.models.expert=null")
    missing = r"evaluate_online\.models\.LAM3: .*no such folder.* '~evaluate_online\.models\.LAM3' leaves the row out"
    with pytest.raises(UserError, match=missing):
        who(f"evaluate_online.models.LAM3={tmp_path}/missing")


def test_a_model_is_shown_steps_as_in_its_training(tmp_path):
    from lam_train.agent.trained_format import format_beside
    from lam_train.language.step_format import StepFormat
    from lam_train.phases.acting import formats_of
    from lam_train.recipe import compose_recipe

    for run in ("expert_imitation", "task_plan"):
        (tmp_path / run / "model").mkdir(parents=True)
    (says,) = format_beside(StepFormat(kind="compact", history=3)).items()
    (tmp_path / "expert_imitation" / "model" / says[0]).write_text(says[1])

    def kinds(*overrides):
        models = [f"LAM1={tmp_path}/task_plan/model", f"LAM2={tmp_path}/expert_imitation/model"]
        recipe = compose_recipe(
            ["+recipe=evaluate_offline", *(f"evaluate_offline.models.{model}" for model in models), *overrides]
        )
        return {name: (f.kind, f.history) for name, f in formats_of(recipe, recipe.evaluate_offline).items()}

    assert kinds() == dict.fromkeys(["untrained", "LAM1", "LAM2"], ("compact", 3))
    assert kinds("format.history=1") == {"untrained": ("paper", 1), "LAM1": ("paper", 1), "LAM2": ("compact", 3)}
    (tmp_path / "expert_imitation" / "model" / says[0]).unlink()
    assert kinds() == dict.fromkeys(["untrained", "LAM1", "LAM2"], ("paper", None))
