"""Collecting trajectories in a toy word processor: stages, counts, planned execution, store, resumption."""

import errno
import json
import os

import pytest

from lam_train.agent.episode import EpisodeSettings
from lam_train.collect.trajectories.card import Examples
from lam_train.collect.trajectories.collection import Collection
from lam_train.collect.trajectories.counts import CollectionCounts, ending
from lam_train.collect.trajectories.execute import PlannedPolicy, execute
from lam_train.collect.trajectories.experts import ExpertSettings
from lam_train.collect.trajectories.grounding import ground, similarity
from lam_train.collect.trajectories.instantiation import Instantiation, PlannedAction
from lam_train.collect.trajectories.keeper import Keeper
from lam_train.collect.trajectories.pipeline import CollectTrajectoriesSettings, collect_trajectories
from lam_train.collect.trajectories.planner import instantiate
from lam_train.collect.trajectories.store import FolderLock, ShardStore, read_trajectories
from lam_train.collect.trajectories.task_source import read_tasks, select
from lam_train.errors import Fault, UserError
from lam_train.records import Action, Control, Observation, Previous, State, Step, Trajectory
from tests.unit.toy_document import ToyDocument, toy_document_task

EXPERT = ExpertSettings(kind="tests.unit.toy_document:toy_expert")


def collect(folder, tasks, crashes=("toy-0006",), **settings):
    opened = []

    def open_environments():
        opened.extend(ToyDocument(crashes=crashes) for _ in range(2))
        return opened

    settings = CollectTrajectoriesSettings(application="toy", output=str(folder), **settings)
    counts = collect_trajectories(settings, EXPERT, EpisodeSettings(retries=1), tasks, open_environments)
    return counts, opened


TASKS = [
    toy_document_task(0),
    toy_document_task(1, "italic"),
    toy_document_task(2, "underlined"),  # the expert does something else
    toy_document_task(3, request="Please embolden it"),  # the expert does not understand
    toy_document_task(4, text="nowhere", split="explore"),  # select_text is refused
    toy_document_task(5, split="test"),  # not asked for
    toy_document_task(6),  # the application breaks
]


def test_stages_add_up(tmp_path):
    counts, _ = collect(tmp_path / "out", TASKS, shard_size=2)
    assert {stage: n for stage, n in counts.all.items() if n} == {
        "tasks": 6, "not_instantiated": 1, "instantiated": 5, "broken": 1, "discarded": 1, "executed": 3, "success": 2,
        "fail": 1,
    }  # fmt: skip
    assert dict(counts.reasons) == {
        ("fail", "early finish"): 1,
        ("not_instantiated", "no plan"): 1,
        ("discarded", "wrong argument"): 1,
        ("broken", "application error"): 1,
    }
    assert counts.by["split"]["explore"]["discarded"] == 1 and "test" not in counts.by["split"]
    episodes = {episode.task.task_id: episode for episode in read_trajectories(tmp_path / "out")}
    assert episodes["toy-0000"].outcome == "success" and len(episodes["toy-0000"].steps) == 2
    assert episodes["toy-0000"].verdicts[0].by == "check"
    assert episodes["toy-0004"].steps[0].error and "nowhere" in episodes["toy-0004"].steps[0].result
    assert len(list((tmp_path / "out").glob("episodes-*.jsonl"))) == 3
    written = json.loads((tmp_path / "out" / "counts.json").read_text())
    assert written["all"]["success"] == 2 and written["by"]["family"]["bold"]["tasks"] == 4
    card = (tmp_path / "out" / "README.md").read_text()
    assert "2 successes (33.3%), 2.00 steps each" in card and "Make 'Dear' bold" in card


def test_going_on_adds_what_is_missing_and_opens_nothing_when_all_is_there(tmp_path):
    collect(tmp_path, TASKS[:2])
    first = list(read_trajectories(tmp_path))
    counts, opened = collect(tmp_path, TASKS)
    episodes = list(read_trajectories(tmp_path))
    assert episodes[:2] == first and counts.all["tasks"] == len(episodes) == 6 and opened
    assert len({episode.trajectory_id for episode in episodes}) == 6
    whole, _ = collect(tmp_path, TASKS, crashes=[])  # the episode that the application broke is made again
    again, opened = collect(tmp_path, TASKS)
    assert again.as_dict() == whole.as_dict() and not opened


def test_what_is_interrupted_is_counted_all_the_same(tmp_path):
    class Breaks(ToyDocument):
        def reset(self, **options):
            if self.resets == 2:
                raise KeyboardInterrupt
            return super().reset(**options)

    settings = CollectTrajectoriesSettings(application="toy", output=str(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        collect_trajectories(settings, EXPERT, EpisodeSettings(), TASKS, lambda: [Breaks()])
    assert json.loads((tmp_path / "counts.json").read_text())["all"]["tasks"] == len(list(read_trajectories(tmp_path)))
    counts, _ = collect(tmp_path, TASKS)
    assert counts.all["tasks"] == 6


def test_another_expert_does_not_go_on_in_the_same_folder(tmp_path):
    collect(tmp_path, TASKS[:1])
    with Collection(tmp_path) as collection, pytest.raises(UserError, match="expert=toy-expert, now it is other"):
        collection.check_identity({"application": "toy", "expert": "other"})


# -- The store --------------------------------------------------------------------------------------------------------


def episode(number: int) -> Trajectory:
    task = toy_document_task(number)
    return Trajectory(trajectory_id=f"t{number}", task=task, policy="p", steps=[], outcome="fail", reason="no plan")


def test_a_line_cut_off_at_any_byte_is_healed(tmp_path):
    store = ShardStore(tmp_path, "episodes", Trajectory, 10)
    for number in range(3):
        store.append(episode(number))
    store.close()
    whole = (tmp_path / "episodes-00000.jsonl").read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == 10]
    for size in range(0, len(whole), 17):
        (tmp_path / "episodes-00000.jsonl").write_bytes(whole[:size])
        store = ShardStore(tmp_path, "episodes", Trajectory, 10)
        kept = sum(end <= size for end in ends)
        assert store.healed == (size not in (0, *ends))
        assert [e.trajectory_id for e in store] == [f"t{n}" for n in range(kept)]
        store.append(episode(kept))
        store.close()
        assert [e.trajectory_id for e in store] == [f"t{n}" for n in range(kept + 1)]


def test_a_line_that_the_disk_takes_in_pieces_is_whole(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:50]))
    store = ShardStore(tmp_path, "episodes", Trajectory, 3)
    store.append(episode(0))
    store.append(episode(1))
    assert [e.trajectory_id for e in store] == ["t0", "t1"]


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    """One that stayed would be glued to the next record, and to what the summary reads."""
    store = ShardStore(tmp_path, "episodes", Trajectory, 3)
    store.append(episode(0))
    with monkeypatch.context() as disk:
        fill(disk, after=50)
        with pytest.raises(Fault, match="No space left on device; all earlier records are kept"):
            store.append(episode(1))
    assert [e.trajectory_id for e in store] == ["t0"]
    store.append(episode(2))
    assert [e.trajectory_id for e in store] == ["t0", "t2"]


def fill(monkeypatch, after: int) -> None:
    """A disk that takes so many bytes more."""
    write, left = os.write, [after]

    def full(file, data):
        data = data[: left[0]]
        left[0] -= len(data)
        if not data:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, data)

    monkeypatch.setattr(os, "write", full)


def test_a_full_disk_is_the_error_that_is_told(tmp_path, monkeypatch, caplog):
    """Not what breaks after it, when counts and card are written to the same disk."""

    def no_room(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk, pytest.raises(Fault, match=r"episodes-00000\.jsonl: No space left"):
        fill(disk, after=3000)
        disk.setattr("lam_train.collect.trajectories.results.card_text", no_room)
        collect(tmp_path, TASKS)
    assert "counts.json and README.md are not up to date: [Errno 28]" in caplog.text
    counts, _ = collect(tmp_path, TASKS)
    assert counts.all["tasks"] == 6


def test_shards_are_filled_and_gone_on_with(tmp_path):
    for number in range(7):  # opened anew for every record
        store = ShardStore(tmp_path, "episodes", Trajectory, 3)
        store.append(episode(number))
        store.close()
    lines = [shard.read_bytes().count(b"\n") for shard in store.shards()]
    assert lines == [3, 3, 1] and [e.trajectory_id for e in store] == [f"t{n}" for n in range(7)]
    (tmp_path / "episodes-00001.jsonl").unlink()
    with pytest.raises(UserError, match=r"episodes-00001\.jsonl is missing"):
        list(read_trajectories(tmp_path))


def test_two_collections_do_not_share_a_folder(tmp_path):
    lock = FolderLock(tmp_path)
    with pytest.raises(UserError, match="another collection"):
        FolderLock(tmp_path)
    lock.release()
    FolderLock(tmp_path).release()


# -- Episodes that the application broke ------------------------------------------------------------------------------


def test_what_the_application_broke_is_made_again_and_counted_once(tmp_path, caplog):
    broken, _ = collect(tmp_path, TASKS, samples=True, ufo_folders=True)
    assert (broken.all["tasks"], broken.all["broken"], broken.all["success"]) == (6, 1, 2)
    assert "the application broke 1 episodes; the same command makes them again" in caplog.text
    caplog.clear()
    counts, _ = collect(tmp_path, TASKS, crashes=[], samples=True, ufo_folders=True)
    assert (counts.all["tasks"], counts.all["broken"], counts.all["success"]) == (6, 0, 3)
    assert "broke" not in caplog.text
    outcomes = [e.outcome for e in read_trajectories(tmp_path) if e.task.task_id == "toy-0006"]
    assert outcomes == ["error", "success"]  # what happened is kept
    samples = (tmp_path / "samples" / "fail.jsonl").read_text()
    assert "toy-0006" not in samples and "toy-0006" in (tmp_path / "samples" / "success.jsonl").read_text()
    files = [file for file in (tmp_path / "ufo" / "dataflow").rglob("*.json") if "0006" in file.name]
    assert [file.parent.name for file in files] == ["execution_pass"]


# -- Tasks ------------------------------------------------------------------------------------------------------------


def test_a_folder_without_tasks_is_named_by_its_key(tmp_path):
    with pytest.raises(UserError, match=f"^evaluate_online.data={tmp_path}: no .jsonl file of tasks there$"):
        read_tasks(tmp_path, "evaluate_online.data")
    with pytest.raises(UserError, match=f"^{tmp_path}: no .jsonl file of tasks there$"):
        read_tasks(tmp_path)


def test_selection_is_a_sample_that_depends_on_the_seed_alone():
    tasks = [toy_document_task(n, split=("train", "test")[n % 5 == 0]) for n in range(50)]
    chosen = select(tasks, ["train"], None, 10, seed=1)
    assert chosen == select(tasks[::-1], ["train"], None, 10, seed=1) != select(tasks, ["train"], None, 10, seed=2)
    assert select(tasks, ["train"], None, 20, seed=1)[:10] == chosen and all(t.split == "train" for t in chosen)
    with pytest.raises(UserError, match="comes twice"):
        select([*tasks, tasks[0]], ["train"], None, None, 0)
    with pytest.raises(UserError, match="family blod"):
        select(tasks, ["train"], ["blod"], None, 0)
    with pytest.raises(UserError, match="no task is left of 50"):
        select(tasks, ["explore"], None, None, 0)


# -- Grounding and execution of plans ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("planned", "shown", "same"),
    [
        ("Highlight", "Text Highlight Color", True),  # the paper's example
        ("Bold", "bold", True),
        ("Paragraph", "_Paragraph...", True),
        ("Bold", "Bold (Ctrl+B)", True),
        ("Insert Table", "Table", True),
        ("OK", "Look Up", False),
        ("Bold", "Italic", False),
        ("Font Size", "Font Color", False),
        ("Columns", "Rows", False),
    ],
)
def test_names_that_mean_the_same_control(planned, shown, same):
    assert (similarity(planned, shown) >= 80) == same


def controls(*names: str) -> Observation:
    listed = [Control(label=str(i), control_text=n, control_type="Button") for i, n in enumerate(names, start=1)]
    return Observation(window="w", controls=listed)


def test_the_nearest_control_wins_and_a_far_one_never():
    screen = controls("Font Size", "Increase Font Size", "Bold", "Bold")
    plan = PlannedAction(step="s", control_text="Font Size", function="click_input")
    assert ground(plan, screen, 80, first=True).label == "1"
    labelled = PlannedAction(step="s", control_label="4", control_text="Bold", function="click_input")
    assert ground(labelled, screen, 80, first=True).label == "4"
    assert ground(labelled, screen, 80, first=False).label == "3"  # labels of an earlier screen say nothing
    missing = ground(plan.model_copy(update={"control_text": "Watermark"}), screen, 80, first=True)
    assert "nothing like 'Watermark'" in missing
    assert ground(plan.model_copy(update={"control_text": ""}), screen, 80, first=True) is None


class Planner:
    """Plans from a table; counts its calls."""

    name, parallel, images = "planner", 2, False

    def __init__(self, plans):
        self.plans, self.calls = plans, []

    def plan(self, task, steps, document, screenshot):
        self.calls.append(task.task_id)
        assert any(control.control_text == "Bold" for control in document.controls)
        given = self.plans.get(task.task_id)
        if given is None:
            return Instantiation(task=task, problem="no plan: too hard")
        return Instantiation(task=task, actions=given)


def bold(text: str, control: str = "Make bold") -> list[PlannedAction]:
    return [
        PlannedAction(step="Select it", function="select_text", args={"text": text}),
        PlannedAction(step="Press Bold", control_text=control, function="click_input"),
    ]


def test_plans_are_executed_and_any_error_discards(tmp_path):
    tasks = [toy_document_task(n, text=word) for n, word in enumerate(("Ms", "was", "Ms", "meeting", "Ms"))]
    tasks.append(toy_document_task(6, text="Ms"))  # the same request again, on the same text
    plans = {
        "toy-0000": bold("Ms"),
        "toy-0001": bold("was", "Watermark"),  # no such control
        "toy-0002": bold("nobody"),  # no such text: the second action must not run
        "toy-0003": bold("meeting", "Italic"),
        "toy-0006": [*bold("Ms"), *bold("Ms", "Italic")],
    }
    planner = Planner(plans)
    environments = [ToyDocument(), ToyDocument()]
    with Collection(tmp_path) as collection:
        for _ in range(2):
            instantiate(collection, tasks, {}, planner, environments[0])
            with Keeper(collection) as keeper:
                execute(collection, tasks, "planner", environments, 80.0, EpisodeSettings(max_steps=2), keeper)
    assert sorted(planner.calls) == [task.task_id for task in tasks]  # no call is made twice
    episodes = {episode.task.task_id: episode for episode in read_trajectories(tmp_path)}
    assert len(episodes) == 6
    ends = {task_id: (ending(e), e.reason, len(e.steps)) for task_id, e in episodes.items()}
    assert ends == {
        "toy-0000": ("success", "", 2),
        "toy-0001": ("discarded", "wrong control", 2),
        "toy-0002": ("discarded", "wrong argument", 1),
        "toy-0003": ("fail", "early finish", 2),
        "toy-0004": ("not_instantiated", "no plan", 0),
        "toy-0006": ("fail", "early finish", 4),  # longer than the step limit, and executed whole
    }
    step = episodes["toy-0000"].steps[1]
    assert step.action.control_name == "Bold" and step.action.status == "FINISH" and step.action.plan == []
    assert json.loads(step.answer)["controlText"] == "Make bold"
    assert episodes["toy-0000"].steps[0].action.plan == ["Press Bold"]
    counts = CollectionCounts()
    for kept in episodes.values():
        counts.add(kept)
    counts.check()
    assert counts.all["success"] == 1 and counts.all["not_instantiated"] == 1


def test_a_plan_ends_at_a_refused_action_whoever_runs_it():
    policy = PlannedPolicy("p", [Instantiation(task=toy_document_task(0), actions=bold("Ms"))], 80.0)
    done = Action(function="select_text", args={"text": "Ms"})
    state = State(request=toy_document_task(0).request, observation=controls("Bold"))
    after = {
        error: policy.decide([state.model_copy(update={"previous": [Previous(action=done, error=error)]})])[0]
        for error in (False, True)
    }
    assert after[False].action.control_name == "Bold"
    assert after[True].action is None and after[True].problem.startswith("discarded: step 1")


def test_an_expert_that_is_stuck_half_way_has_understood_the_task():
    """ "no plan" after an action was done is an execution that failed, no failed instantiation."""
    acted = Step(observation=controls("Bold"), action=Action(function="click_input", control_label="1"))
    stuck = Step(
        observation=controls("Bold"), action=Action(), problem="no plan: Italic is not on the screen", error=True
    )
    assert ending(episode(0).model_copy(update={"steps": [stuck]})) == "not_instantiated"
    assert ending(episode(0).model_copy(update={"steps": [acted, stuck]})) == "discarded"


def test_the_cards_examples_are_a_fair_sample():
    """Each of 20 episodes is among 5 examples in about a quarter of the draws, wherever it stands."""
    seen = [0] * 20
    episodes = [episode(number) for number in range(20)]
    for seed in range(400):
        examples = Examples(5, seed)
        for kept in episodes:
            examples.add(kept)
        assert len(examples.kept) == len({kept.trajectory_id for kept in examples.kept}) == 5
        for kept in examples.kept:
            seen[int(kept.trajectory_id[1:])] += 1
    assert sum(seen) == 2000 and all(60 < count < 140 for count in seen)  # 100 expected, standard deviation 8.7
