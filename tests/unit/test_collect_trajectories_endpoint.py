"""A large model as expert and as judge, behind a real HTTP server that speaks chat completions; the paper's keys."""

import json
import re

import pytest
from chat_server import endpoint

from lam_train.agent.episode import EpisodeSettings
from lam_train.collect.evolve.evolve_plans import read_answer
from lam_train.collect.trajectories.agreement import JudgeAgreement
from lam_train.collect.trajectories.canvas_diff import canvas_diff
from lam_train.collect.trajectories.collection import Collection
from lam_train.collect.trajectories.experts import ExpertSettings
from lam_train.collect.trajectories.function_pool import call_problem, offered_functions
from lam_train.collect.trajectories.judge import JudgeTrajectoriesSettings, TrajectoryJudge, read_judgement
from lam_train.collect.trajectories.llm_expert import read_filter, read_plan
from lam_train.collect.trajectories.pipeline import CollectTrajectoriesSettings, collect_trajectories
from lam_train.collect.trajectories.store import read_trajectories
from lam_train.collect.trajectories.task_source import TemplateChoice, tasks_of_plans
from lam_train.endpoint import Endpoint, EndpointSettings
from lam_train.errors import Fault
from lam_train.records import Action, Observation, Step, TaskPlan, Trajectory, Verdict
from tests.unit.toy_document import ToyDocument, toy_document_task

USAGE = {"prompt_tokens": 1000, "completion_tokens": 50, "total_tokens": 1050}
PRICES = {"price_per_million_prompt_tokens": 2.0, "price_per_million_answer_tokens": 10.0}


def text_of(body: dict) -> str:
    """What the user message says, without its pictures."""
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else content[0]["text"]


def pictures_of(body: dict) -> int:
    content = body["messages"][-1]["content"]
    return 0 if isinstance(content, str) else sum(part["type"] == "image_url" for part in content)


def plan_answer(text: str, control: str = "Bold", label: str = "1", **more) -> str:
    actions = [
        {"step": "Select", "controlLabel": "", "controlText": "", "function": "select_text", "args": {"text": text}},
        {"step": "Press", "controlLabel": label, "controlText": control, "function": "click_input", "args": {}},
    ]
    return json.dumps({"observation": "o", "thought": "t", "new_task": "", "actions_plan": actions, **more})


def model(body: dict) -> str:
    """Plays all three parts: plans what it understands, filters, and judges by the document's XML."""
    system, said = body["messages"][0]["content"], text_of(body)
    if "You check tasks" in system:
        good = "virus" not in said
        return json.dumps({"judge": good, "thought": "because", "type": "None" if good else "Non_task"})
    if "You judge" in system:
        complete = "yes" if "+" in said.partition("<canvas_diff:>")[2].partition("<init_control")[0] else "unsure"
        return "Here it is:\n```json\n" + json.dumps(
            {"task_quality": "good", "quality_judgement": "q", "task_complete": complete, "complete_judgement": "c"}
        )
    given = said.partition("<Given Task:>\n")[2].partition("\n")[0]
    asked = re.fullmatch(r"Make '(.+)' (bold|italic|virus)", given)
    if asked is None:
        return json.dumps({"observation": "", "thought": "I cannot", "new_task": given, "actions_plan": []})
    return plan_answer(asked[1], "Bold" if asked[2] == "bold" else "Italics", "" if asked[2] == "italic" else "1")


def expert(url: str, **more) -> ExpertSettings:
    asked = EndpointSettings(base_url=url, model="big", api_key_env=None, retries=0, **PRICES)
    return ExpertSettings(kind="endpoint", endpoint=asked, **more)


def judge(url: str, **more) -> JudgeTrajectoriesSettings:
    return JudgeTrajectoriesSettings(base_url=url, model="big", api_key_env=None, retries=0, **PRICES, **more)


def collect(folder, url, tasks, expert_settings=None, references=None, **settings):
    settings = CollectTrajectoriesSettings(application="toy", output=str(folder), **settings)
    return collect_trajectories(
        settings,
        expert_settings or expert(url),
        EpisodeSettings(),
        tasks,
        lambda: [ToyDocument(), ToyDocument()],
        references,
    )


TASKS = [
    toy_document_task(0, text="Ms"),
    toy_document_task(1, "italic", text="was"),
    toy_document_task(2, request="Do something nice"),
    toy_document_task(3, request="Make 'Budget' virus"),
    toy_document_task(4, text="nowhere"),
]


def test_planned_filtered_executed_and_judged(tmp_path):
    with endpoint(model, usage=USAGE) as (url, requests):
        counts = collect(tmp_path, url, TASKS, judge=judge(url))
        first_run = len(requests)
        collect(tmp_path, url, TASKS, judge=judge(url))
        assert len(requests) == first_run  # nothing is asked twice
    assert {stage: n for stage, n in counts.all.items() if n} == {
        "tasks": 5, "not_instantiated": 2, "instantiated": 3, "discarded": 1, "executed": 2, "success": 2
    }  # fmt: skip
    assert dict(counts.plans) == {"planned": 3, "no plan": 1, "filtered": 1}
    # five plans, four filters (none for the empty plan), two judgements
    assert first_run == counts.usage.calls == 11 and counts.usage.prompt_tokens == 11_000
    assert counts.usage.cost == pytest.approx(11 * (1000 * 2 + 50 * 10) / 1e6)
    episodes = {episode.task.task_id: episode for episode in read_trajectories(tmp_path)}
    assert [verdict.by for verdict in episodes["toy-0000"].verdicts] == ["check", "judge:big"]
    assert episodes["toy-0001"].steps[1].action.control_name == "Italic"  # "Italics" was planned
    numbers = json.loads((tmp_path / "counts.json").read_text())
    assert numbers["agreement"]["check_then_judge"]["yes"]["yes"] == 2
    assert "## The judge and the check" in (tmp_path / "README.md").read_text()
    assert not list(tmp_path.glob("evidence/*"))  # judged, so no longer needed


def test_the_prompts_hold_the_papers_slots(tmp_path):
    with endpoint(model, usage=USAGE) as (url, requests):
        collect(tmp_path, url, TASKS[:1], judge=judge(url), keep_evidence=True)
    plan, checked, judged = (request["body"]["messages"] for request in requests)
    assert all(key in plan[0]["content"] for key in ("actions_plan", "controlLabel", "new_task", "select_text(text)"))
    assert "insert_table" not in plan[0]["content"]  # nothing in the task speaks of tables
    assert '"control_text": "The order arrived on Monday"' in plan[1]["content"]
    assert '"control_text": "Bold", "control_type": "Button", "checked": false' in plan[1]["content"]
    assert '"type": "None"' in checked[0]["content"]
    slots = ("request", "thought", "trajectory", "canvas_diff", "init_control_state", "final_control_state")
    assert [judged[1]["content"].index(f"<{slot}:>") for slot in (*slots, "final_status")]
    diff = judged[1]["content"].partition("<canvas_diff:>")[2].partition("<init_control_state:>")[0]
    assert re.search(r"^\+ +<b>$", diff, re.MULTILINE) and "word/document.xml" in diff
    assert sorted(file.name for file in tmp_path.glob("evidence/*/*")) == [
        "after.docx",
        "before.docx",
        "final_observation.json",
    ]


def test_models_that_see_are_shown_screenshots(tmp_path):
    with endpoint(model, usage=USAGE) as (url, requests):
        collect(tmp_path, url, TASKS[:1], expert(url, images=True, filter=False), judge=judge(url, images=True))
    planned, judged = (request["body"] for request in requests)
    assert pictures_of(planned) == 1 and pictures_of(judged) == 2
    part = judged["messages"][-1]["content"][-1]["image_url"]["url"]
    assert part.startswith("data:image/png;base64,iVBORw0KGgo")


def test_task_plans_become_tasks_that_the_judge_decides(tmp_path):
    def makes_concrete(body: dict) -> str:
        if "You prepare" in body["messages"][0]["content"]:
            assert "1. Select the name." in text_of(body)
            return plan_answer("Lopez", new_task="Make 'Lopez' bold in the greeting")
        return model(body)

    pair = TaskPlan(task_id="word_1", task="Make a name bold", plan=["Select the name.", "Press Ctrl+B."])
    tasks, references = tasks_of_plans([pair], "toy", {"letter": "A letter with a name"}, "train", 0)
    with endpoint(makes_concrete, usage=USAGE) as (url, _):
        counts = collect(tmp_path, url, tasks, references=references, judge=judge(url))
    (episode,) = read_trajectories(tmp_path)
    assert counts.all["success"] == 1 and episode.outcome == "success"
    assert episode.task.request == "Make 'Lopez' bold in the greeting" and episode.task.parent == "word_1"
    assert [verdict.complete for verdict in episode.verdicts] == ["unsure", "yes"]
    with Collection(tmp_path) as collection:
        (plan,) = collection.plans
    assert plan.given == "Make a name bold" and plan.reference_steps == pair.plan


def test_the_check_decides_where_there_is_one(tmp_path):
    """The judge contradicts it: that is noted and counted, and changes no outcome."""

    def contradicts(body: dict) -> str:
        if "You judge" in body["messages"][0]["content"]:
            return json.dumps({"task_quality": "good", "task_complete": "no", "complete_judgement": "I think not"})
        return model(body)

    with endpoint(contradicts) as (url, _):
        counts = collect(tmp_path, url, TASKS[:1], judge=judge(url))
    (episode,) = read_trajectories(tmp_path)
    assert counts.all["success"] == 1 and episode.outcome == "success" and episode.reason == ""
    assert [verdict.complete for verdict in episode.verdicts] == ["yes", "no"]
    agreement = json.loads((tmp_path / "counts.json").read_text())["agreement"]
    assert agreement["check_then_judge"]["yes"] == {"yes": 0, "no": 1, "unsure": 0}


def test_an_empty_action_is_not_complete_and_needs_no_call(tmp_path):
    screen = Observation(window="w", controls=[])
    does, nothing = (Step(observation=screen, action=Action(function=name)) for name in ("select_text", ""))
    ends = Step(observation=screen, action=Action(status="FINISH"))

    def judged(*steps: Step) -> str:
        episode = Trajectory(
            trajectory_id="t", task=toy_document_task(0), policy="p", steps=list(steps), outcome="success"
        )
        return asked.judge(episode, tmp_path).task_complete

    with endpoint(model) as (url, requests), Endpoint(judge(url), "trajectories.judge") as client:
        asked = TrajectoryJudge(client, images=False)
        assert judged(does, nothing, ends) == judged(ends) == "no" and not requests
        judged(does, ends)  # the last one only finishes
        assert len(requests) == 1


def test_without_a_judge_such_a_task_is_unsure_and_no_success(tmp_path):
    tasks = [toy_document_task(0, text="Ms").model_copy(update={"operations": []})]
    with endpoint(model) as (url, _):
        counts = collect(tmp_path, url, tasks)
    assert counts.all["unsure"] == 1 and counts.all["success"] == 0


def test_what_the_endpoint_failed_to_answer_is_asked_again(tmp_path):
    broken = {"on": True}

    def flaky(body: dict):
        if broken["on"] and "Ms" in text_of(body):
            return 500, {"error": {"message": "overloaded"}}
        return model(body)

    with endpoint(flaky, usage=USAGE) as (url, _):
        counts = collect(tmp_path, url, TASKS[:2])
        assert counts.all["tasks"] == counts.all["success"] == 1
        broken["on"] = False
        counts = collect(tmp_path, url, TASKS[:2])
        assert counts.all["tasks"] == counts.all["success"] == 2
    with endpoint(lambda body: (500, {"error": {"message": "overloaded"}})) as (url, _):
        with pytest.raises(Fault, match="answered none of 1 calls"):
            collect(tmp_path, url, [TASKS[2]])
        with pytest.raises(Fault, match="the judge answered none of 1"):
            collect(
                tmp_path / "judged",
                url,
                TASKS[:1],
                ExpertSettings(kind="tests.unit.toy_document:toy_expert"),
                judge=judge(url),
            )


# -- Reading what a model wrote ---------------------------------------------------------------------------------------

POOL = offered_functions("make it bold")


def test_a_plan_is_a_list_or_the_papers_lines():
    task = toy_document_task(0)
    lines = "\n".join(json.dumps(action) for action in json.loads(plan_answer("x"))["actions_plan"])
    listed = read_plan(task, plan_answer("x"), POOL, free=False)
    joined = read_plan(task, "Sure!\n" + plan_answer("x", actions_plan=lines), POOL, free=False)
    assert not listed.problem and listed.actions == joined.actions and len(joined.actions) == 2
    numbered = plan_answer("x").replace('"controlLabel": "1"', '"controlLabel": 1')
    assert read_plan(task, numbered, POOL, free=False).actions[1].control_label == "1"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("I would rather not", "unreadable: no actions_plan"),
        (plan_answer("x", actions_plan=[]), "no plan: t"),
        (plan_answer("x", actions_plan=7), "unreadable: actions_plan is 7"),
        (plan_answer("x", actions_plan=[7]), "unreadable: an action is 7"),
        (plan_answer("x", actions_plan=[{"step": "s", "args": {}}]), "unreadable: function"),
        (plan_answer("x", actions_plan=[{"step": "s", "function": "insert_table"}]), "filtered: the function"),
        (plan_answer("x", actions_plan=[{"step": "s", "function": "select_text"}]), "filtered: select_text: the arg"),
        (plan_answer("x", new_task="word " * 60), "filtered: new_task adds 5"),
    ],
)
def test_a_bad_plan_says_what_is_wrong(answer, problem):
    assert read_plan(toy_document_task(0), answer, POOL, free=True).problem.startswith(problem)


def test_a_task_with_a_check_keeps_its_request():
    task = toy_document_task(0)
    assert read_plan(task, plan_answer("x", new_task="Other"), POOL, free=False).task == task
    assert read_plan(task, plan_answer("x", new_task="Other"), POOL, free=True).task.request == "Other"


def test_functions_are_offered_by_the_words_of_the_task():
    assert [f.name for f in POOL] == ["click_input", "set_edit_text", "keyboard_input", "select_text"]
    table = offered_functions("Insert a table with 3 rows")
    assert {"insert_table", "select_table"} <= {f.name for f in table}
    assert call_problem("insert_table", {"rows": 3, "columns": 2}, table) == ""
    assert "rows='3'" in call_problem("insert_table", {"rows": "3", "columns": 2}, table)
    assert "rows=True" in call_problem("insert_table", {"rows": True, "columns": 2}, table)
    assert "no argument 'cols'" in call_problem("insert_table", {"rows": 3, "cols": 2}, table)
    assert "button='up'" in call_problem("click_input", {"button": "up"}, table)


def test_a_filter_that_cannot_be_read_lets_nothing_pass():
    assert read_filter('{"judge": true, "thought": "fine", "type": "None"}').get("problem") is None
    assert read_filter('{"judge": false, "thought": "no task", "type": "Non_task"}')["problem"].startswith("filtered")
    assert "unreadable" in read_filter('{"judge": "yes"}')["problem"]
    assert "unreadable" in read_filter("yes")["problem"]


def test_a_judgement_that_cannot_be_read_is_unsure():
    ids = {"task_id": "t", "trajectory_id": "t.p"}
    assert read_judgement(ids, '{"task_complete": "Yes", "task_quality": "Over Detailed"}').task_complete == "yes"
    bad = read_judgement(ids, '{"task_complete": "probably", "task_quality": "good"}')
    assert bad.task_complete == "unsure" and bad.problem.startswith("unreadable")
    assert read_judgement(ids, "yes").problem.startswith("unreadable")


def test_a_plan_is_not_carried_out_with_a_hole():
    good = '{"step": "a", "function": "click_input", "args": {}}'
    lines = json.dumps({"actions_plan": "\n".join([good, good.replace('"a"', '"\\ud83d"'), good])})
    found = read_plan(toy_document_task(0), lines, POOL, free=False)
    assert found.problem.startswith("unreadable") and not found.actions


UNREADABLE = ['"\\ud83d"', "9" * 5000, "[" * 100_000, "1e400"]


@pytest.mark.parametrize("value", UNREADABLE, ids=["half a pair", "digits", "nested", "infinite"])
def test_what_could_not_be_written_down_is_unreadable(value):
    """Else the record of the answer could not be stored, or reading it ended the run, at each resumption again."""
    action = f'{{"step": {value}, "function": "click_input", "args": {{}}}}'
    plan = read_plan(toy_document_task(0), f'{{"actions_plan": [{action}]}}', POOL, free=False)
    judgement = read_judgement(
        {"task_id": "t", "trajectory_id": "t.p"}, f'{{"task_complete": "yes", "complete_judgement": {value}}}'
    )
    pair = TaskPlan(task_id="p", task="Make it bold", plan=["Press Bold"])
    evolved = read_answer(pair, 1, f'{{"task": "Make it red", "plan": ["Press Red"], "why": {value}}}')
    for record in (plan, judgement, evolved):
        assert record.problem.startswith("unreadable")
        record.model_dump_json()
    assert "unreadable" in read_filter(f'{{"judge": true, "thought": {value}}}')["problem"]
    lines = json.dumps({"actions_plan": f"{action}\n{action}"})
    assert read_plan(toy_document_task(0), lines, POOL, free=False).problem.startswith(("unreadable", "no plan"))


# -- Documents, agreement, templates ----------------------------------------------------------------------------------


def test_the_diff_shows_what_changed_and_nothing_else(tmp_path):
    import docx

    before, after = tmp_path / "before.docx", tmp_path / "after.docx"
    document = docx.Document()
    for text in ("one", "two", "three"):
        document.add_paragraph(text)
    document.save(before)
    assert canvas_diff(before, before) == ""
    document.paragraphs[1].runs[0].bold = True
    document.core_properties.title = "a title is no part of what is seen"
    document.save(after)
    changed = [line for line in canvas_diff(before, after).splitlines() if line[:1] in "+-" and line[:3] != "---"]
    assert [line.strip("+ ") for line in changed] == ["<rPr>", "<b>"]
    assert canvas_diff(before, after, limit=20).endswith("more characters)")


def test_kappa_of_a_table_worked_by_hand():
    agreement = JudgeAgreement()
    task = toy_document_task(0)

    def add(check: str, judged: str, times: int):
        verdicts = [Verdict(complete=check), Verdict(complete=judged, by="judge:m")]
        for _ in range(times):
            agreement.add(
                Trajectory(trajectory_id="t", task=task, policy="p", steps=[], outcome="fail", verdicts=verdicts)
            )

    assert agreement.kappa is None and agreement.section() == []
    add("yes", "yes", 20)
    add("yes", "no", 5)
    add("no", "yes", 10)
    add("no", "no", 10)
    add("no", "unsure", 5)  # counts as no
    task = task.model_copy(update={"operations": []})
    add("unsure", "yes", 50)  # no check knows this task: nothing to agree with
    assert sum(agreement.pairs.values()) == 50
    # p_o = 35/50, p_e = 0.5 * 0.6 + 0.5 * 0.4 = 0.5: kappa = 0.2 / 0.5
    assert agreement.kappa == pytest.approx(0.4)
    assert agreement.as_dict()["check_then_judge"]["no"] == {"yes": 10, "no": 10, "unsure": 5}
    assert "| check: no | 10 | 10 | 5 |" in "\n".join(agreement.section())


def test_a_task_plan_gets_the_document_that_suits_it():
    templates = {"invoice": "An invoice with a table of items", "letter": "A letter", "list": "A list of items"}
    choose = TemplateChoice(templates, 0)
    assert choose("Sort the items of an invoice") == "invoice"
    assert choose("Write letters") == "letter"
    assert {choose(f"Nothing of the sort {n}") for n in range(40)} == set(templates)
    assert choose("Nothing") == TemplateChoice(dict(reversed(templates.items())), 0)("Nothing")


def test_a_model_that_acts_step_by_step(tmp_path):
    """The same endpoint as a policy: a decision a call, read from the paper's prompt and answered in its keys."""

    def acts(body: dict) -> str:
        said = text_of(body)
        asked = re.search(r"<User Request:>\nMake '(.+)' bold", said)
        answer = {"thought": "t", "control_label": "", "control_name": "", "args": {}, "status": "CONTINUE", "plan": []}
        if "select_text" not in said.partition("<Previous Actions:>")[2]:
            return json.dumps({**answer, "function": "select_text", "args": {"text": asked[1]}, "plan": ["bold"]})
        pressed = {"control_label": "1", "control_name": "Bold", "function": "click_input", "status": "FINISH"}
        return json.dumps({**answer, **pressed})

    tasks = [toy_document_task(0, text="Ms"), toy_document_task(1, text="was")]
    with endpoint(acts, usage=USAGE) as (url, requests):
        counts = collect(tmp_path, url, tasks, expert(url, mode="steps", images=True))
        assert all(pictures_of(request["body"]) == 1 for request in requests)
    assert counts.all["success"] == 2 and counts.usage.calls == 4
    assert counts.usage.cost == pytest.approx(4 * (1000 * 2 + 50 * 10) / 1e6)
    with endpoint(lambda body: (500, {"error": {"message": "overloaded"}})) as (url, _):
        more = [*tasks, toy_document_task(2, text="Ms"), toy_document_task(3, text="was")]
        counts = collect(tmp_path, url, more, expert(url, mode="steps"))
    assert counts.all["tasks"] == 2  # what the endpoint did not answer is left for the next run
