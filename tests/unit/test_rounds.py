"""Phase 3 in rounds: what each round is made from, when it ends, what is kept; the steps only write files here.

`tests/writer/test_exploration.py` and `tests/end_to_end` run the steps themselves.
"""

import json
from pathlib import Path

import pytest

from lam_train.__main__ import main
from lam_train.evaluate.acting_results import ActingReport, Score
from lam_train.evaluate.statistics import Estimate
from lam_train.phases import stages as stages_module
from lam_train.recipe import compose_recipe

ONLINE = {"kind": "online", "data": "generated", "split": "validation", "tasks": 4, "steps": 0, "templates": 1,
          "cluster": "task", "clusters": 4, "level": 0.95, "resamples": 10, "seed": 0, "differences": []}  # fmt: skip


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """(commands, success rates that the validations give, one after the other)."""
    commands: list[list[str]] = []
    rates: list[float] = []

    def run(command: list[str], _config_dir: Path | None) -> None:
        compose_recipe(command)
        commands.append(command)
        folder = Path(next(word.removeprefix("run_dir=") for word in command if word.startswith("run_dir=")))
        if folder.name == "validation":
            rate = rates.pop(0)
            estimate = Estimate(mean=rate, low=max(rate - 0.1, 0), high=min(rate + 0.1, 1))
            score = Score(name="model", estimates={"success": estimate}, groups={})
            write(folder / "evaluation/evaluation.json", ActingReport(**ONLINE, scores=[score]).model_dump_json())
        elif folder.name == "exploration":
            write(folder / "data/counts.json", json.dumps({"all": {"won": 1, "tried": 3}}))
            write(folder / "data/selected/episodes-00000.jsonl", str(folder))
        else:
            write(folder / "model/model.safetensors", str(folder))

    monkeypatch.setattr(stages_module, "_run", run)
    for name in ("lam2/model.safetensors", "expert/episodes-00000.jsonl", "explored/episodes-00000.jsonl"):
        write(tmp_path / name, name)
    return commands, rates


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def rounds(tmp_path, *more: str) -> int:
    expert = f"rounds.expert=[{tmp_path}/expert,{tmp_path}/explored]"
    return main(["+recipe=phase3_rounds", f"rounds.model={tmp_path}/lam2", expert, f"run_dir={tmp_path}/run", *more])


def steps(commands) -> list[str]:
    return [next(w for w in c if w.startswith("run_dir=")).partition("/run/")[2] for c in commands]


def test_rounds_go_on_while_they_gain_and_the_best_is_kept(tmp_path, ran):
    commands, rates = ran
    rates += [0.4, 0.5, 0.45]
    assert rounds(tmp_path, "rounds.rounds=5") == 0
    parts = ("exploration", "training", "validation")
    assert steps(commands) == ["round-0/validation", *(f"round-{n}/{part}" for n in (1, 2) for part in parts)]
    assert (tmp_path / "run/model/model.safetensors").read_text().endswith("round-1/training")
    told = json.loads((tmp_path / "run/rounds.json").read_text())
    assert [row["kept"] for row in told] == [True, True, False]
    page = (tmp_path / "run/README.md").read_text()
    assert "| 2 | 1 of 3 | 45.0 [35.0, 55.0] | no |" in page
    second = commands[4:6]
    assert f"model.path={tmp_path}/run/round-1/training/model" in second[0]
    (data,) = [word for word in second[1] if word.startswith("data.train")]
    found = [f"{tmp_path}/run/round-{n}/exploration/data/selected" for n in (1, 2)]
    assert data == f"data.train=[{tmp_path}/expert,{tmp_path}/explored,{','.join(found)}]"


def test_what_ended_is_not_run_again(tmp_path, ran):
    commands, rates = ran
    rates += [0.4, 0.5]
    assert rounds(tmp_path, "rounds.rounds=1") == 0
    before = len(commands)
    assert rounds(tmp_path, "rounds.rounds=1") == 0 and len(commands) == before
    rates += [0.6]
    assert rounds(tmp_path, "rounds.rounds=2") == 0
    assert steps(commands[before:]) == ["round-2/exploration", "round-2/training", "round-2/validation"]


def test_nothing_gained_leaves_the_first_model(tmp_path, ran):
    ran[1].extend([0.5, 0.5])
    assert rounds(tmp_path) == 0
    assert (tmp_path / "run/model/model.safetensors").read_text() == "lam2/model.safetensors"


def test_a_missing_model_is_said_before_anything_runs(tmp_path, ran, caplog):
    assert main(["+recipe=phase3_rounds", "rounds.model=/nowhere", f"run_dir={tmp_path}/run"]) == 2
    assert "/nowhere is not there; rounds.model is LAM2" in caplog.text and not ran[0]


def test_a_folder_may_have_any_name(tmp_path):
    from lam_train.phases.rounds import Rounds

    recipe = compose_recipe(
        ["+recipe=phase3_rounds", f"rounds.expert=['{tmp_path}/é,1']", f"rounds.model='{tmp_path}/é,1'"]
    )
    (tmp_path / "é,1").mkdir()
    made = Rounds(recipe, tmp_path / "né(w)")
    explore, train, validate = map(compose_recipe, made.commands(1, f"{tmp_path}/é,1", [f"{tmp_path}/it's=1"]))
    assert explore.run_dir == f"{tmp_path}/né(w)/round-1/exploration" and explore.model.path == f"{tmp_path}/é,1"
    assert train.data.train == [
        f"{tmp_path}/é,1",
        f"{tmp_path}/it's=1",
        f"{tmp_path}/né(w)/round-1/exploration/data/selected",
    ]
    assert validate.evaluate_online.models["model"] == f"{tmp_path}/né(w)/round-1/training/model"
