"""UFO's result files and folders, out and in; step samples in the paper's format."""

import json
from collections import Counter
from pathlib import Path

import pytest

from lam_train.agent.episode import EpisodeSettings
from lam_train.collect.trajectories.collection import Collection
from lam_train.collect.trajectories.experts import ExpertSettings
from lam_train.collect.trajectories.pipeline import (
    CollectTrajectoriesSettings,
    collect_trajectories,
    import_results,
)
from lam_train.collect.trajectories.postprocess import step_samples
from lam_train.collect.trajectories.store import read_trajectories
from lam_train.collect.trajectories.task_source import read_task_plans
from lam_train.collect.trajectories.ufo import from_ufo, to_ufo
from lam_train.collect.trajectories.ufo_files import read_ufo_results, read_ufo_tasks
from lam_train.collect.trajectories.ufo_schema import UfoResult
from lam_train.errors import UserError
from lam_train.language.step_format import StepFormat
from lam_train.language.steps import parse_answer, read_state, remembered
from tests.conftest import ROOT
from tests.unit.toy_document import ToyDocument, toy_document_task

UFO = ROOT / "tests" / "fixtures" / "ufo"
RESULTS = sorted((UFO / "results").rglob("*.json"))


def read(file: Path) -> UfoResult:
    return UfoResult.model_validate_json(file.read_text())


def again(result: UfoResult) -> UfoResult:
    episode = from_ufo(result)
    document = episode.trajectory.task.template or None
    return to_ufo(episode.trajectory, episode.instantiation, episode.judgement, document)


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_result_survives_our_records(file):
    """All but the traceback, and the total, which becomes the sum of its parts."""
    expected, found = read(file).model_dump(), again(read(file)).model_dump()
    times = expected["time_cost"]
    times["total"] = sum(value for key, value in times.items() if key != "total" and value is not None)
    if expected["execution_result"] and expected["execution_result"]["error"]:
        expected["execution_result"]["error"]["traceback"] = ""
    assert found == expected


def test_every_kind_of_result_is_what_it_says():
    episodes = {r.unique_id: from_ufo(r).trajectory for r in read_ufo_results(UFO / "results")}
    assert {task: (e.outcome, e.reason) for task, e in episodes.items()} == {
        "word_11": ("success", ""),
        "word_12": ("error", "application error: ControlNotFound: no control named 'Watermark' was found"),
        "word_13": ("unsure", "The screenshots do not show the cell."),
        "word_14": ("fail", "no plan"),
    }
    good = episodes["word_11"]
    assert good.task.app == "word" and good.task.request == "Make the word 'harbour' bold in the first line"
    assert [step.action.function for step in good.steps] == ["select_text", "click_input"]
    assert good.steps[1].action.control_name == "Bold (Ctrl+B)" and good.steps[1].action.status == "FINISH"
    assert good.verdicts[0].by == "judge:ufo"
    assert len(episodes["word_12"].steps) == 2 and episodes["word_12"].steps[1].error


def test_a_yes_about_a_plan_of_which_an_action_failed_is_no_success():
    result = read(UFO / "results/dataflow/execution_pass/word_11.json").model_copy(deep=True)
    result.instantiation_result.prefill.result.instantiated_plan[1].Success = False
    assert from_ufo(result).trajectory.outcome == "fail"
    assert again(result).execution_result.result.complete == "yes"  # UFO's own word is kept


def test_the_printed_example_that_leaves_keys_out_is_read():
    (result,) = read_ufo_results(UFO / "lenient.json")
    episode = from_ufo(result)
    assert episode.trajectory.outcome == "success" and episode.trajectory.steps[0].action.function == "summary"
    written = again(result).model_dump()
    item = written["instantiation_result"]["prefill"]["result"]["instantiated_plan"][0]
    assert set(item) == {
        "Step", "Subtask", "ControlLabel", "ControlText", "Function", "Args", "Success", "MatchedControlText"
    }  # fmt: skip


def test_files_that_are_no_results_are_named(tmp_path):
    (tmp_path / "x.json").write_text('{"unique_id": 5}')
    with pytest.raises(UserError, match=r"x\.json: not a UFO file: unique_id"):
        list(read_ufo_results(tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: no \.json file"):
        list(read_ufo_results(tmp_path / "empty"))
    with pytest.raises(UserError, match="No such file"):
        list(read_ufo_results(tmp_path / "y.json"))


def test_task_files_become_task_plans():
    plans = {plan.task_id: plan for plan in read_ufo_tasks(UFO / "tasks")}
    assert set(plans) == {"ufo/21", "ufo/22"} and plans["ufo/22"].app == "excel"
    assert plans["ufo/21"].plan == ["Open the Layout tab", "Choose Margins > Narrow"]
    assert read_task_plans(UFO / "tasks") == list(plans.values())


def test_results_are_imported_once_with_counts_and_card(tmp_path):
    settings = CollectTrajectoriesSettings(ufo_results=str(UFO / "results"), output=str(tmp_path), ufo_folders=True)
    import_results(settings)
    counts = import_results(settings)
    assert {stage: n for stage, n in counts.all.items() if n} == {
        "tasks": 4, "not_instantiated": 1, "instantiated": 3, "broken": 1, "executed": 2, "success": 1, "unsure": 1
    }  # fmt: skip
    assert len(list(read_trajectories(tmp_path))) == 4
    written = {r.unique_id: r for r in read_ufo_results(tmp_path / "ufo")}
    for result in read_ufo_results(UFO / "results"):
        assert written[result.unique_id].original == result.original
        assert written[result.unique_id].instantiation_result == result.instantiation_result


def collect(folder: Path, **settings):
    tasks = [
        toy_document_task(0, text="Ms"),
        toy_document_task(2, "underlined", text="on"),
        toy_document_task(3, request="Something else"),
        toy_document_task(4, text="nowhere"),
    ]
    settings = CollectTrajectoriesSettings(application="toy", output=str(folder), **settings)
    expert = ExpertSettings(kind="tests.unit.toy_document:toy_expert")
    return collect_trajectories(settings, expert, EpisodeSettings(), tasks, lambda: [ToyDocument()])


def test_our_episodes_in_ufos_folders(tmp_path):
    collect(tmp_path, ufo_folders=True)
    collect(tmp_path, ufo_folders=True)  # written anew, the same
    files = Counter(str(file.parent.relative_to(tmp_path / "ufo")) for file in (tmp_path / "ufo").rglob("*.json"))
    assert files == {
        "dataflow/execution_pass": 1,
        "dataflow/execution_fail": 2,
        "instantiation/instantiation_pass": 3,
        "instantiation/instantiation_fail": 1,
    }
    results = {r.unique_id: r for r in map(read, (tmp_path / "ufo" / "dataflow").rglob("*.json"))}
    good = results["toy-0000"]
    assert good.execution_result.result.complete == "yes" and good.execution_result.result.sub_scores == {
        "check": "yes"
    }
    assert (tmp_path / "ufo" / good.instantiation_result.choose_template.result).is_file()  # the saved document
    assert results["toy-0004"].execution_result.error.type == "wrong argument"
    assert "nothing is selected" in results["toy-0004"].execution_result.error.message
    ours = {episode.task.task_id: episode for episode in read_trajectories(tmp_path)}
    for task_id, result in results.items():  # and back
        found = from_ufo(result).trajectory
        assert (found.outcome, found.reason) == (ours[task_id].outcome, ours[task_id].reason), task_id


def test_samples_in_the_papers_format(tmp_path):
    collect(tmp_path, samples=True)
    good, bad = (
        [json.loads(line) for line in (tmp_path / "samples" / f"{name}.jsonl").read_text().splitlines()]
        for name in ("success", "fail")
    )
    assert [sample["metadata"]["step"] for sample in good] == [1, 2]
    assert {sample["metadata"]["task_id"] for sample in bad} == {"toy-0002", "toy-0004"}
    refused = [sample["metadata"] for sample in bad if sample["metadata"]["refused"]]
    assert len(refused) == 3 and "nowhere" in refused[0]["feedback"]
    episode = next(e for e in read_trajectories(tmp_path) if e.task.task_id == "toy-0000")
    for sample, step, state in zip(good, episode.steps, episode.states(), strict=True):
        assert json.loads(sample["assistant"]).keys() == {
            "thought", "control_label", "control_name", "function", "args", "status", "plan"
        }  # fmt: skip
        assert parse_answer(sample["assistant"], step.observation, StepFormat()) == step.action
        messages = [{"role": role, "content": sample[role]} for role in ("system", "user")]
        assert read_state(messages, StepFormat()) == remembered(state)
        assert 0 < sample["metadata"]["execution_seconds"] == step.seconds


def test_a_collection_is_not_mixed_with_imported_results(tmp_path):
    collect(tmp_path)
    with pytest.raises(UserError, match="was begun with"):
        import_results(CollectTrajectoriesSettings(ufo_results=str(UFO / "results"), output=str(tmp_path)))
    with Collection(tmp_path) as collection:
        assert len(collection.done()) == 4


def test_a_refused_step_of_a_success_is_history_and_no_sample(tmp_path):
    collect(tmp_path)
    episode = next(e for e in read_trajectories(tmp_path) if e.outcome == "success")
    first = episode.steps[0].model_copy(update={"error": True, "result": "Error: not found"})
    samples = list(step_samples(episode.model_copy(update={"steps": [first, *episode.steps]}), StepFormat()))
    assert [sample.metadata.step for sample in samples] == [2, 3]
    assert "Error: not found" in samples[0].user
    failed = episode.model_copy(update={"steps": [first, *episode.steps], "outcome": "fail"})
    assert [sample.metadata.step for sample in step_samples(failed, StepFormat())] == [1, 2, 3]
