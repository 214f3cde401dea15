"""The judge, against a real HTTP server that speaks OpenAI's chat format."""

import json
import sys
import threading

import pytest
from chat_server import endpoint

from lam_train.errors import Fault, UserError
from lam_train.evaluate.judge import JudgeSettings, judge_messages, judge_plans, prediction_first, read_verdict
from lam_train.evaluate.plans import EvaluateSettings, evaluate_plans
from lam_train.language.plans import plan_answer
from lam_train.records import TaskPlan

FIRST = next(f"t{number}" for number in range(99) if prediction_first(f"t{number}"))
SECOND = next(f"t{number}" for number in range(99) if not prediction_first(f"t{number}"))


def verdict(one="Yes", two="No", items_one=("a", "b"), items_two=("a", "b", "c", "d"), similar=1):
    return {
        "Subtask1": one,
        "Subtask2": two,
        "Subtask3": {
            "Action items in Answer1": items_one,
            "Action items in Answer2": items_two,
            "Similar action items": ["a"],
            "Count of similar action items": similar,
        },
        "Subtask4": {"More helpful assistant": "Answer1", "Reason": "it is {better}"},
    }


def task(task_id, name="Add a border"):
    return TaskPlan(task_id=task_id, task=name, plan=["Click OK", "Click Close"], app="Writer")


def settings(url, **changes):
    return JudgeSettings(**{"base_url": url, "model": "m", "api_key_env": None, "retries": 0, **changes})


def test_verdicts_come_back_in_order_and_malformed_ones_are_counted(monkeypatch):
    replies = {
        "good": json.dumps(verdict()),
        "prose": "I like both answers.",
        "code": f"Here it is:\n```json\n{json.dumps(verdict(two='Yes'))}\n```\nDone {{}}.",
        "evil": "__import__('os').abort()",
        "impossible": json.dumps(verdict(similar=3)),
    }

    def reply(body):
        asked = body["messages"][1]["content"]
        return next(text for name, text in replies.items() if f"Task: {name}\n" in asked)

    monkeypatch.setenv("JUDGE_KEY", "secret-key")
    tasks = [task(f"{FIRST}", name) for name in replies]
    with endpoint(reply) as (url, requests):
        verdicts = judge_plans(tasks, ["1. Click OK"] * 5, settings(url, api_key_env="JUDGE_KEY", parallel=3))
    assert [v.success for v in verdicts] == [True, None, True, None, None]
    assert [v.problem is None for v in verdicts] == [True, False, True, False, False]
    assert all(v.problem.startswith("unreadable") for v in verdicts if v.problem)
    assert (verdicts[0].precision, verdicts[0].recall) == (0.5, 0.25)
    assert len(requests) == 5
    assert {r["path"] for r in requests} == {"/v1/chat/completions"}
    assert {r["key"] for r in requests} == {"Bearer secret-key"}
    assert {r["body"]["temperature"] for r in requests} == {0}


def test_the_predicted_plan_is_either_answer_and_is_read_from_its_place():
    first, second = (judge_messages(task(name), "1. PREDICTED")[1]["content"] for name in (FIRST, SECOND))
    assert first.index("PREDICTED") < first.index("Click OK")
    assert second.index("Click OK") < second.index("PREDICTED")
    text = json.dumps(verdict())
    one, two = read_verdict(FIRST, text), read_verdict(SECOND, text)
    assert (one.success, one.precision, one.recall) == (True, 0.5, 0.25)
    assert (two.success, two.precision, two.recall) == (False, 0.25, 0.5)
    share = sum(prediction_first(f"task {number}") for number in range(1000)) / 1000
    assert 0.45 < share < 0.55


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"one": "yes."}, True),
        ({"one": "No, it stops early"}, False),
        ({"one": True}, True),
        ({"items_one": 2, "items_two": "4"}, True),
        ({"items_one": 2.0}, True),
        ({"items_one": [], "similar": 0}, True),
        ({"one": "Maybe"}, None),
        ({"one": 1}, None),
        ({"one": None}, None),
        ({"items_one": "two"}, None),
        ({"items_one": -1, "similar": -1}, None),
        ({"items_one": True}, None),
        ({"items_two": [], "similar": 0}, None),
        ({"similar": None}, None),
    ],
)
def test_what_a_verdict_may_look_like(change, expected):
    found = read_verdict(FIRST, json.dumps(verdict(**change)))
    assert found.success is expected
    assert (found.problem is None) == (expected is not None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"Subtask1": "Yes"}',
        '{"Subtask1": "Yes", "Subtask3": []}',
        "{" * 5000,
        '{"Subtask1": ' + "9" * 5000 + "}",
        '{"Subtask1": ' + "[" * 100_000,
        '{"Subtask1": "\\ud83d"}',
    ],
)
def test_what_cannot_be_read_is_a_problem_not_an_error(text):
    assert read_verdict(FIRST, text).problem.startswith("unreadable")


def test_no_items_predicted_is_precision_zero():
    found = read_verdict(FIRST, json.dumps(verdict(items_one=[], similar=0)))
    assert (found.precision, found.recall) == (0.0, 0.0)


def test_a_servers_error_is_tried_again():
    answers = iter([(503, {"error": {"message": "busy"}}), json.dumps(verdict())])
    with endpoint(lambda body: next(answers)) as (url, requests):
        assert judge_plans([task(FIRST)], ["x"], settings(url, retries=2))[0].success is True
    assert len(requests) == 2


def test_a_request_that_fails_for_good_is_counted_and_the_others_are_kept():
    def reply(body):
        bad = "Task: bad" in body["messages"][1]["content"]
        return (500, {"error": {"message": "broken"}}) if bad else json.dumps(verdict())

    with endpoint(reply) as (url, _):
        verdicts = judge_plans([task(FIRST, "bad"), task(FIRST, "good")], ["x", "x"], settings(url))
    assert verdicts[0].problem.startswith("failed")
    assert verdicts[1].success is True


def test_an_endpoint_that_refuses_is_the_users_mistake():
    with (
        endpoint(lambda body: (401, {"error": {"message": "wrong key"}})) as (url, requests),
        pytest.raises(UserError, match=r"refused the request.*wrong key"),
    ):
        judge_plans([task(FIRST)] * 20, ["x"] * 20, settings(url, parallel=1, retries=3))
    assert len(requests) < 20


def test_an_endpoint_that_never_answers_is_a_fault():
    with endpoint(lambda body: "") as (url, _):
        pass  # closed: nobody listens there now
    with pytest.raises(Fault, match="answered none of 2 requests"):
        judge_plans([task(FIRST)] * 2, ["x"] * 2, settings(url))


def test_a_slow_endpoint_times_out():
    release = threading.Event()
    with endpoint(lambda body: release.wait(10) and "") as (url, _):
        try:
            with pytest.raises(Fault, match="timed out"):
                judge_plans([task(FIRST)], ["x"], settings(url, timeout_s=0.2))
        finally:
            release.set()


def test_a_key_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with pytest.raises(UserError, match="JUDGE_KEY is not set"):
        judge_plans([task(FIRST)], ["x"], settings("http://127.0.0.1:9/v1", api_key_env="JUDGE_KEY"))


def test_without_openai_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UserError, match=r"lam_train\[endpoint\]"):
        judge_plans([task(FIRST)], ["x"], settings("http://127.0.0.1:9/v1"))


def perfect(tasks):
    return [plan_answer(record) for record in tasks]


def test_the_judge_is_reported_beside_the_matching(tmp_path):
    tasks = [task(f"t{number}", f"thing {number}") for number in range(8)]

    def reply(body):
        if "Task: thing 3\n" in body["messages"][1]["content"]:
            return "no idea"
        return json.dumps(verdict(one="Yes", two="Yes", items_one=2, items_two=2, similar=1))

    with endpoint(reply) as (url, requests):
        evaluate = EvaluateSettings(data="unused", resamples=200, judge=settings(url))
        report = evaluate_plans({"LAM1": perfect}, tasks, evaluate, tmp_path)
    (score,) = report.scores
    assert len(requests) == 8
    assert (score.unreadable_verdicts, score.failed_verdicts) == (1, 0)
    assert score.estimates["judged_success"].mean == 1.0  # of the seven that could be read
    assert score.estimates["judged_precision"].mean == 0.5
    assert score.estimates["success"].mean == 1.0
    page = (tmp_path / "evaluation.md").read_text()
    assert f"Judged by m at {url}" in page
    assert "| LAM1 | 100.0 [100.0, 100.0] | 50.0 [50.0, 50.0] | 50.0 [50.0, 50.0] | 1 | 0 |" in page


def test_a_judge_that_says_nothing_usable_gives_no_number(tmp_path):
    with endpoint(lambda body: "hm") as (url, _):
        evaluate = EvaluateSettings(data="unused", resamples=200, judge=settings(url))
        report = evaluate_plans({"LAM1": perfect}, [task("t1")], evaluate, tmp_path)
    assert "judged_success" not in report.scores[0].estimates
    assert "| LAM1 | - | - | - | 1 | 0 |" in (tmp_path / "evaluation.md").read_text()
