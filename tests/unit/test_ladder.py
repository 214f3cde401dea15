"""The ladder's page: made of one JSON, with differences the right way round and reward hacking said."""

import json

import pytest

from lam_train.__main__ import main
from lam_train.evaluate.acting_results import ActingReport, Group, PairedDifference, Score
from lam_train.evaluate.statistics import Estimate
from lam_train.phases.ladder import gather
from lam_train.phases.lineage import Lineage
from lam_train.report.ladder import hacking, page


def estimate(mean: float) -> Estimate:
    return Estimate(mean=mean, low=mean - 0.05, high=mean + 0.1)


def report(kind: str, **rates: float) -> dict:
    names = list(rates)
    metrics = ("step", "task") if kind == "offline" else ("success",)

    def told(value: float) -> dict[str, Estimate]:
        return {metric: estimate(value) for metric in metrics}

    single = {"single operations": Group(tasks=9, steps=30, estimates=told(0.5))}
    scores = [Score(name=n, estimates=told(r), groups=single, failures={"early finish": 2}) for n, r in rates.items()]
    pairs = [(a, b) for place, a in enumerate(names) for b in names[:place]]
    differences = [PairedDifference(name=a, baseline=b, estimates=told(rates[a] - rates[b])) for a, b in pairs]
    made = ActingReport(
        kind=kind, data="d", split="test", tasks=10, steps=30, templates=2, cluster="task", clusters=10, level=0.95,
        resamples=100, seed=0, scores=scores, differences=differences,
    )  # fmt: skip
    return made.model_dump()


@pytest.fixture
def found() -> dict:
    return {
        "stages": {"phase2": {"seconds": 90, "optimizer_steps": 20, "tokens_logical": 12345, "tokens_physical": 4000,
                              "tokens_supervised": 900}, "online": {"seconds": 60}},
        "offline": report("offline", LAM2=0.8, LAM3=0.85, LAM4=0.9),
        "online": report("online", expert=0.4, LAM2=0.5, LAM3=0.6, LAM4=0.55),
        "trajectories": {"all": {"tasks": 100, "success": 70}, "success_rate": 0.7},
        "exploration": {"all": {"won": 20, "tried": 80, "successes": 30, "rollouts": 160, "kept": 25},
                        "task_yield": 0.25},
        "reward_model": {"steps": {"auc": 0.91, "number": 40, "accuracy": 0.8},
                         "trajectories": {"auc": None, "number": 9}},
        "ppo": {"sampled": {"reward": [0.1, 0.3], "format_valid_rate": [0.98, 0.99]}, "stopped": "", "warnings": []},
    }  # fmt: skip


def test_the_page_tells_all_of_it(found):
    made = page(found)
    assert "| LAM4 | 90.0 [85.0, 100.0] | 90.0 [85.0, 100.0] | 55.0 [50.0, 65.0] | 50.0 [45.0, 60.0] | - |" in made
    assert "| LAM4 - LAM2 | +10.0 [+5.0, +20.0] | +5.0 [+0.0, +15.0] |" in made
    assert "| LAM4 - expert | - | +15.0 [+10.0, +25.0] |" in made
    assert (
        "20 of 80 tasks that the expert failed were won (25.0%)" in made and "70 successes of 100 tasks (70.0%)" in made
    )
    assert "AUC 0.910 of 40 steps, - of 9 trajectories" in made
    assert "| phase2 | 1.5 | 20 | 12,345 | 4,000 | 900 |" in made and "| together | 2.5 |" in made
    assert made.index("| LAM4 |") < made.index("| expert |")


def test_a_difference_that_was_taken_the_other_way_round_is_turned(found):
    found["online"] = report("online", LAM2=0.5, expert=0.4)
    found["online"]["differences"] = [
        {"name": "LAM2", "baseline": "LAM4", "estimates": {"success": {"mean": -0.1, "low": -0.2, "high": 0.05}}}
    ]
    assert "| LAM4 - LAM2 | +10.0 [+5.0, +20.0] | +10.0 [-5.0, +20.0] |" in page(found)


def test_a_reward_that_rose_while_success_fell_is_called_hacking(found):
    (warning,) = hacking(found, ActingReport.model_validate(found["online"]))
    assert "rose from 0.100 to 0.300 while success in Writer fell from 60.0% to 55.0%" in warning
    assert warning in page(found)
    found["ppo"]["sampled"]["reward"] = [0.3, 0.1]
    assert "hacking" not in page(found)


def test_it_is_made_again_of_its_json_alone(found, tmp_path):
    (tmp_path / "ladder.json").write_text(json.dumps(found))
    assert main(["+recipe=ladder", f"ladder.data={tmp_path}/ladder.json", f"run_dir={tmp_path}/run"]) == 0
    assert (tmp_path / "run/ladder/README.md").read_text() == page(found)
    assert json.loads((tmp_path / "run/ladder/ladder.json").read_text()) == json.loads(json.dumps(found))
    assert (tmp_path / "run/ladder/ladder.png").stat().st_size > 10_000


def ended(folder, seconds: float, *inputs: str) -> None:
    folder.mkdir(parents=True)
    Lineage(command=[], inputs=dict.fromkeys(inputs, "x"), seconds=seconds, ended=f"2026-01-{seconds:02}").write(folder)


def test_shared_stages_count_where_something_was_made_from_them(found, tmp_path):
    whole, without = tmp_path / "whole", tmp_path / "without"
    ended(whole / "phase1", 1)
    ended(whole / "trajectories", 2)
    ended(whole / "phase2", 3, "phase1/model", "trajectories/data")
    ended(whole / "test_trajectories", 4)
    ended(without / "phase2", 5, "trajectories/data")
    ended(without / "offline", 6, "phase2/model", "test_trajectories/data")
    for folder, successes in ((whole / "trajectories/data", 70), (without / "offline/evaluation", None)):
        folder.mkdir(parents=True)
        told = {"all": {"tasks": 100, "success": successes}} if successes else found["offline"]
        (folder / ("counts.json" if successes else "evaluation.json")).write_text(json.dumps(told))
    made = gather(without, "without", whole)
    assert {name: cost["seconds"] for name, cost in made["stages"].items()} == {
        "trajectories": 2, "test_trajectories": 4, "phase2": 5, "offline": 6
    }  # fmt: skip
    assert made["trajectories"]["all"]["success"] == 70
    assert "trajectories" not in gather(without, "without")


def test_missing_inputs_are_named(tmp_path, caplog):
    assert main(["+recipe=ladder", f"run_dir={tmp_path}/run"]) == 2
    assert main(["+recipe=ladder", "ladder.data=/nowhere.json", f"run_dir={tmp_path}/run"]) == 2
    (tmp_path / "all/phase1").mkdir(parents=True)
    assert main(["+recipe=ladder", f"ladder.run={tmp_path}/all", f"run_dir={tmp_path}/run"]) == 2
    Lineage(command=[], inputs={}, seconds=1, ended="2026").write(tmp_path / "all/phase1")
    assert main(["+recipe=ladder", f"ladder.run={tmp_path}/all", f"run_dir={tmp_path}/run"]) == 2
    for said in ("give a curriculum's run directory", "/nowhere.json: no such file", "no finished stage", "neither"):
        assert said in caplog.text
