"""Evolving: tasks by rule, from the real generator; task-plan pairs with a model behind a real HTTP server."""

import json
from collections import Counter

import pytest
from chat_server import endpoint

from lam_train.apps.writer.tasks.generate import SplitCounts, TaskSettings, generate_tasks, load_sources
from lam_train.apps.writer.tasks.splits import assert_disjoint, takes
from lam_train.collect.evolve import validated
from lam_train.collect.evolve.evolve_plans import EvolvePlansSettings, evolve_plans, read_answer, rounds_of
from lam_train.collect.evolve.evolve_tasks import Evolution, Moves
from lam_train.collect.evolve.wording_slots import slots_of
from lam_train.endpoint import EndpointSettings
from lam_train.errors import Fault, UserError
from lam_train.records import Task, TaskPlan, Trajectory, read_jsonl, write_jsonl

FAMILIES = ["bold", "font_size", "alignment", "heading", "find_replace"]


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    singles = SplitCounts(train=12, explore=6, validation=3, test=3)
    together = SplitCounts(train=6, explore=3, validation=1, test=2)
    return generate_tasks(TaskSettings(families=FAMILIES, singles=singles, compositions=together))


@pytest.fixture(scope="module")
def sources():
    return load_sources()


def evolved(tasks, sources, moves=None, seed=0):
    evolution = Evolution(sources, seed)
    parents = [task for task in tasks if task.split in ("train", "explore")]
    return evolution.evolve(parents, moves or Moves(), tasks), evolution.counts


def test_a_request_is_read_backwards_into_its_slots(tasks):
    singles = [task for task in tasks if len(task.operations) == 1]
    slots = [slots_of(task) for task in singles]
    assert sum(found is not None for found in slots) >= 0.95 * len(singles)
    for task, found in zip(singles, slots, strict=True):
        if task.family == "bold" and found:
            assert found["phrase"] == task.operations[0].parameters["phrase"]
        if task.family == "font_size" and found:
            assert found["size"] == task.operations[0].parameters["size"]
    assert slots_of(next(task for task in tasks if len(task.operations) > 1)) is None
    assert slots_of(singles[0].model_copy(update={"request": "Something else"})) is None
    shouted = next(task for task in singles if task.family == "bold" and " bold" in task.request)
    assert slots_of(shouted.model_copy(update={"request": shouted.request.replace(" bold", " BOLD")})) is None
    assert slots_of(singles[0].model_copy(update={"wording": "no/such/wording/9"})) is None


def test_evolved_tasks_are_new_and_keep_to_their_parents_split(tasks, sources):
    new, counts = evolved(tasks, sources)
    assert_disjoint([*tasks, *new])
    assert len({task.task_id for task in [*tasks, *new]}) == len(tasks) + len(new)
    parents = {task.task_id: task for task in tasks}
    for task in new:
        parent = parents[task.parent]
        assert (task.split, task.template) == (parent.split, parent.template)
        assert takes(task.split, 0, task.template, task.operations)
        if task.source == "evolved:wording":
            assert task.operations == parent.operations and task.wording != parent.wording
        elif task.source == "evolved:parameters":
            assert task.wording == parent.wording and task.operations != parent.operations
            assert task.family == parent.family
        else:
            assert len(task.operations) == 2 and parent.operations[0] in task.operations
    made = Counter(task.source for task in new)
    assert all(made[f"evolved:{move}"] > 5 for move in ("wording", "parameters", "composition"))
    assert {move: counts[move, "proposed"] for move in ("wording", "parameters")} == {
        move: made[f"evolved:{move}"] for move in ("wording", "parameters")
    }
    assert sum(counts.values()) == 3 * sum(task.split in ("train", "explore") for task in tasks)


def test_evolving_is_the_same_every_time(tasks, sources):
    assert evolved(tasks, sources) == evolved(tasks, sources)
    more, _ = evolved(tasks, sources, Moves(wording=3, parameters=0, composition=0))
    assert {task.source for task in more} == {"evolved:wording"}


def test_only_what_the_expert_did_is_kept(tmp_path, tasks, sources):
    new, counts = evolved(tasks, sources)
    outcomes = ["success", "fail", "unsure", "error"]
    episodes = [
        Trajectory(
            trajectory_id=task.task_id,
            task=task,
            policy="p",
            steps=[],
            outcome=outcomes[index % 4],
            reason="early finish",
        )
        for index, task in enumerate(new)
    ]
    write_jsonl(tmp_path / "episodes-00000.jsonl", episodes)
    kept = validated._keep(tmp_path, tasks[:10], new, counts)
    assert len(kept) == (len(new) + 3) // 4
    assert list(read_jsonl(tmp_path / "tasks.jsonl", Task)) == sorted(kept, key=lambda task: task.task_id)
    numbers = json.loads((tmp_path / "evolution.json").read_text())
    assert numbers["parents_and_kept"] == 10 + len(kept)
    assert sum(row["kept"] for row in numbers["moves"].values()) == len(kept)
    assert sum(row["tried"] for row in numbers["moves"].values()) == len(new)


# -- Pairs ------------------------------------------------------------------------------------------------------------

PAIRS = [
    TaskPlan(task_id=f"p{n}", task=f"Insert table {n}", plan=["Choose Table."], app="Writer", license="MPL", page="x")
    for n in range(6)
]


def evolves(body: dict) -> str:
    said = body["messages"][1]["content"]
    task = said.partition("Given task: ")[2].partition("\n")[0]
    again = said.partition("made of it before:\n")[2].count("- ")
    if task.endswith("5"):
        return json.dumps({"task": "Insert table 0", "plan": ["x"]})  # another pair's task
    return json.dumps({"task": f"{task} with {again + 2} rows", "plan": ["1. Choose **Table**.", "2. Press **OK**."]})


def settings(folder, url="http://127.0.0.1:1/v1", **more) -> EvolvePlansSettings:
    asked = EndpointSettings(base_url=url, model="m", api_key_env=None, retries=0)
    return EvolvePlansSettings(data=str(folder / "data"), endpoint=asked, output=str(folder / "out"), **more)


def given(folder):
    write_jsonl(folder / "data" / "train.jsonl", PAIRS[:4])
    write_jsonl(folder / "data" / "test.jsonl", PAIRS[4:])
    return folder


def test_pairs_are_evolved_in_rounds_within_their_split(tmp_path):
    given(tmp_path)
    with endpoint(evolves) as (url, requests):
        ends = evolve_plans(settings(tmp_path, url, per_pair=1.5))
        assert len(requests) == 9
        assert evolve_plans(settings(tmp_path, url, per_pair=1.5)) == ends and len(requests) == 9  # nothing asked twice
    assert "Tasks made of it before:\n- Insert table" in requests[-1]["body"]["messages"][1]["content"]
    train, test = (list(read_jsonl(tmp_path / "out" / f"{name}.jsonl", TaskPlan)) for name in ("train", "test"))
    assert {pair.task_id.split("/")[0] for pair in train} == {"p0", "p1", "p2", "p3"}
    assert {pair.task_id.split("/")[0] for pair in test} == {"p4"}
    assert train[0].plan == ["Choose **Table**.", "Press **OK**."] and train[0].license == "MPL"
    assert ends["duplicate"] in (1, 2) and ends["kept"] == len(train) + len(test) == 9 - ends["duplicate"]
    assert "| all | 6 |" in (tmp_path / "out" / "README.md").read_text()


def test_what_the_endpoint_did_not_answer_is_asked_again(tmp_path):
    given(tmp_path)
    down = {"on": True}

    def flaky(body: dict):
        if down["on"] and "table 3" in body["messages"][1]["content"]:
            return 500, {"error": {"message": "overloaded"}}
        return evolves(body)

    with endpoint(flaky) as (url, requests):
        assert evolve_plans(settings(tmp_path, url, per_pair=1))["kept"] == 4
        down["on"] = False
        assert evolve_plans(settings(tmp_path, url, per_pair=1))["kept"] == 5 and len(requests) == 7
    with endpoint(lambda body: (500, {"error": {"message": "overloaded"}})) as (url, _), pytest.raises(Fault):
        evolve_plans(settings(tmp_path, url, per_pair=2))
    with pytest.raises(UserError, match="no task-plan pairs there"):
        evolve_plans(settings(tmp_path, data_nowhere := "x").model_copy(update={"data": data_nowhere}))
    with pytest.raises(UserError, match=r"evolve_plans\.endpoint"):
        evolve_plans(EvolvePlansSettings())


def test_the_papers_ratio():
    asked = [len(pairs) for pairs in rounds_of(PAIRS, settings_of_ratio(47_490 / 29_182))]
    assert asked == [6, 4]
    assert [len(pairs) for pairs in rounds_of(PAIRS, settings_of_ratio(0.5))] == [3]


def settings_of_ratio(per_pair: float) -> EvolvePlansSettings:
    return EvolvePlansSettings(per_pair=per_pair)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("no", "unreadable"),
        ('{"task": "x", "plan": 5}', "unreadable"),
        ('{"task": "x", "plan": [5]}', "unreadable"),
        ('{"task": "x", "plan": []}', "empty"),
        ('{"task": "", "plan": ["y"]}', "empty"),
        (json.dumps({"task": "word " * 40, "plan": ["y"]}), "too long: 37 more"),
        ('{"task": "insert TABLE 0.", "plan": ["y"]}', "unchanged"),
        ('{"task": "Insert a red table", "plan": "1. y\\n2. z"}', ""),
    ],
)
def test_a_bad_answer_says_what_is_wrong(answer, problem):
    found = read_answer(PAIRS[0], 1, answer).problem
    assert found.startswith(problem) and bool(found) == bool(problem)
