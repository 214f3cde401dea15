"""evaluate_plans: the numbers of the report against numbers computed by hand, and its files."""

import pytest
from pydantic import ValidationError

from lam_train.errors import UserError
from lam_train.evaluate.planner import Answer, recorded_planner, retrieval_planner
from lam_train.evaluate.plans import EvaluateSettings, evaluate_plans
from lam_train.evaluate.results import PlanReport, TaskRow
from lam_train.evaluate.tasks import choose_tasks, held_out_tasks, tasks_in_training
from lam_train.language.plans import plan_answer
from lam_train.records import TaskPlan, read_jsonl, write_jsonl
from lam_train.report.evaluation import choose_examples, examples_page


def record(number, page="", plan=("Choose Insert > Table", "Type 4 in Columns", "Click Insert"), **more):
    fields = {"task_id": f"t{number}", "task": f"Insert table number {number}", "app": "Writer", **more}
    return TaskPlan(page=page or f"page {number // 2}", plan=list(plan), **fields)


TASKS = [record(number) for number in range(60)]


def settings(**changes):
    return EvaluateSettings(**{"data": "unused", "resamples": 200, **changes})


def perfect(tasks):
    return [Answer(text=plan_answer(task), tokens=10) for task in tasks]


def half(tasks):
    """Even tasks: two of three steps and one of its own; odd tasks: prose, cut at the limit."""
    text = "1. Choose Insert > Table\n2. Click Insert\n3. Restart the computer\n4. Water the plants"
    return [
        Answer(text="I would love to help", cut=True, tokens=30)
        if int(task.task_id[1:]) % 2
        else Answer(text=text, tokens=10)
        for task in tasks
    ]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    output = tmp_path_factory.mktemp("evaluated")
    report = evaluate_plans({"untrained": half, "LAM1": perfect}, TASKS, settings(), output, ["a note of ours"])
    return report, output


def test_the_numbers_are_the_ones_computed_by_hand(evaluated):
    report, _ = evaluated
    untrained, lam1 = report.scores
    means = {metric: estimate.mean for metric, estimate in untrained.estimates.items()}
    assert means == pytest.approx({"precision": 0.25, "recall": 1 / 3, "success": 0.0, "covered": 0.0})
    assert {estimate.mean for estimate in lam1.estimates.values()} == {1.0}
    assert (untrained.pooled_precision, untrained.pooled_recall) == pytest.approx((0.5, 1 / 3))
    assert (untrained.readable, untrained.cut, untrained.mean_steps) == (0.5, 0.5, 2.0)
    assert untrained.tokens_per_s == pytest.approx(60 * 20 / untrained.seconds)
    assert (report.tasks, report.pages, report.reference_mean_steps) == (60, 30, 3.0)


def test_the_difference_is_the_later_planner_less_the_earlier(evaluated):
    report, _ = evaluated
    (difference,) = report.differences
    assert (difference.name, difference.baseline) == ("LAM1", "untrained")
    assert difference.estimates["precision"].mean == pytest.approx(0.75)
    assert difference.estimates["precision"].low <= 0.75 <= difference.estimates["precision"].high


def test_every_file_is_there_and_says_the_same(evaluated):
    report, output = evaluated
    assert PlanReport.model_validate_json((output / "evaluation.json").read_text()) == report
    rows = list(read_jsonl(output / "tasks.jsonl", TaskRow))
    assert [row.task_id for row in rows] == [task.task_id for task in TASKS]
    assert sum(row.answers["untrained"].precision for row in rows) / 60 == pytest.approx(0.25)
    assert rows[0].answers["untrained"].matched == [0, 2, None, None]
    page = (output / "evaluation.md").read_text()
    assert "| LAM1 | 100.0 [100.0, 100.0] |" in page
    assert "| LAM1 - untrained | +75.0 [+75.0, +75.0] |" in page
    assert "- a note of ours" in page
    assert "not comparable" in page
    assert (output / "examples.md").read_text().count("\n## ") == 20
    image = (output / "evaluation.png").read_bytes()
    assert image.startswith(b"\x89PNG")
    assert len(image) > 5000
    assert sorted(path.name for path in (output / "answers").iterdir()) == ["LAM1.jsonl", "untrained.jsonl"]


def test_the_same_evaluation_gives_the_same_numbers(evaluated, tmp_path):
    report, _ = evaluated
    again = evaluate_plans({"untrained": half, "LAM1": perfect}, TASKS, settings(), tmp_path)
    assert [score.estimates for score in again.scores] == [score.estimates for score in report.scores]


def test_answers_of_an_earlier_run_can_be_scored_again(evaluated, tmp_path):
    report, output = evaluated
    planner = recorded_planner(output / "answers" / "untrained.jsonl")
    again = evaluate_plans({"untrained": planner}, TASKS, settings(), tmp_path)
    assert again.scores[0].estimates == report.scores[0].estimates
    assert again.scores[0].tokens_per_s is None
    with pytest.raises(UserError, match="no answer to 1 of 1 tasks"):
        planner([record(777)])


def test_planners_may_answer_with_plain_text_but_must_answer_all(tmp_path):
    report = evaluate_plans({"plain": lambda tasks: [plan_answer(task) for task in tasks]}, TASKS, settings(), tmp_path)
    assert report.scores[0].estimates["success"].mean == 1.0
    assert report.scores[0].tokens_per_s is None
    with pytest.raises(UserError, match="lazy gave 0 answers to 60 tasks"):
        evaluate_plans({"lazy": lambda tasks: []}, TASKS, settings(), tmp_path)
    with pytest.raises(UserError, match="nothing to evaluate"):
        evaluate_plans({}, TASKS, settings(), tmp_path)


def test_the_limit_takes_whole_pages_and_is_seeded():
    chosen = choose_tasks(TASKS, 10, seed=0)
    assert len(chosen) == 10
    assert len({task.page for task in chosen}) == 5
    assert chosen == choose_tasks(list(TASKS), 10, seed=0) != choose_tasks(TASKS, 10, seed=1)
    assert [task for task in TASKS if task in chosen] == chosen
    assert len(choose_tasks(TASKS, 7, seed=0)) == 7
    assert choose_tasks(TASKS, None, 0) == choose_tasks(TASKS, 99, 0) == TASKS


def test_pages_must_be_held_out(tmp_path):
    write_jsonl(tmp_path / "test.jsonl", TASKS[:4])
    write_jsonl(tmp_path / "train.jsonl", TASKS[4:])
    test, training = held_out_tasks(str(tmp_path / "test.jsonl"), str(tmp_path / "train.jsonl"))
    assert (len(test), len(training)) == (4, 56)
    assert held_out_tasks(str(tmp_path / "test.jsonl"), None) == (test, [])
    write_jsonl(tmp_path / "train.jsonl", TASKS[3:])
    with pytest.raises(UserError, match="share 1 pages, such as 'page 1'"):
        held_out_tasks(str(tmp_path / "test.jsonl"), str(tmp_path / "train.jsonl"))
    write_jsonl(tmp_path / "test.jsonl", [TASKS[0], TASKS[0]])
    with pytest.raises(UserError, match="t0 occurs twice"):
        held_out_tasks(str(tmp_path / "test.jsonl"), None)
    (tmp_path / "test.jsonl").write_text("")
    with pytest.raises(UserError, match="has no tasks"):
        held_out_tasks(str(tmp_path / "test.jsonl"), None)


def test_tasks_without_a_page_stand_for_themselves(tmp_path):
    tasks = [TaskPlan(task_id=f"t{number}", task="x", plan=["Click OK"]) for number in range(5)]
    assert evaluate_plans({"LAM1": perfect}, tasks, settings(), tmp_path).pages == 5


def test_tasks_that_are_in_the_training_data_are_counted():
    training = [record(100, task="INSERT table number 1"), record(101, task="Insert table number 2", app="Calc")]
    assert tasks_in_training(TASKS, training) == 1


def test_retrieval_gives_the_plan_of_the_most_similar_training_task():
    training = [
        record(1, task="Add a page border", plan=["Choose Format > Page"]),
        record(2, task="Delete a comment", plan=["Right-click it"]),
        record(3, task="Delete a comment", plan=["Never this one: the first of equals is taken"]),
    ]
    asked = [record(9, task="Delete the comment"), record(8, task="Add border to a page")]
    answers = [answer.text for answer in retrieval_planner(training)(asked)]
    assert answers == ["1. Right-click it", "1. Choose Format > Page"]
    with pytest.raises(UserError, match="no training tasks"):
        retrieval_planner([])


def row(number, page, steps=("Click OK",)):
    return TaskRow(task_id=f"t{number}", task="x", app="", page=page, reference=list(steps), answers={})


def test_examples_come_from_different_pages_while_pages_last():
    rows = [row(number, f"page {number // 10}") for number in range(100)]
    shown = choose_examples(rows, 10, seed=0)
    assert len({r.page for r in shown}) == 10
    assert shown == choose_examples(rows, 10, seed=0) != choose_examples(rows, 10, seed=1)
    assert len({r.task_id for r in choose_examples(rows, 25, seed=0)}) == 25
    assert len(choose_examples(rows[:3], 20, seed=0)) == 3


def test_text_of_a_plan_cannot_act_in_the_report():
    page = examples_page([row(1, "p", ("<script>alert(1)</script> | a\nb [x](http://evil) `c`",))])
    for mark in ("<script>", "| a", "](", "`c`"):
        assert mark not in page


@pytest.mark.parametrize(
    "change",
    [
        {"limit": 0},
        {"threshold": 101.0},
        {"models": {}},
        {"models": {"../x": None}},
        {"treshold": 70.0},
        {"batch_size": "4"},
    ],
)
def test_impossible_settings_are_refused(change):
    with pytest.raises(ValidationError):
        settings(**change)
