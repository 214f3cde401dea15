"""Stages: their commands, what they are made from, skipping, sharing, going on; with stages that only write files."""

from pathlib import Path

import pytest

from lam_train.__main__ import main
from lam_train.errors import UserError
from lam_train.phases import stages as stages_module
from lam_train.phases.lineage import Lineage, digest, set_aside
from lam_train.phases.stages import Stages
from lam_train.recipe import compose_recipe


@pytest.fixture
def ran(monkeypatch) -> list[list[str]]:
    """The commands that are run, in their order; running one writes the model or data that it would make."""
    commands: list[list[str]] = []

    def run(command: list[str], _config_dir: Path | None) -> None:
        commands.append(command)
        folder = next(word.removeprefix("run_dir=") for word in command if word.startswith("run_dir="))
        for inner in ("model/model.safetensors", "data/episodes-00000.jsonl", "data/train.jsonl"):
            file = Path(folder) / inner
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(" ".join(word.replace(str(Path(folder).parent), "") for word in command))

    monkeypatch.setattr(stages_module, "_run", run)
    return commands


def names(commands) -> list[str]:
    return [word.rpartition("/")[2] for command in commands for word in command if word.startswith("run_dir=")]


def curriculum(tmp_path, *more: str, name: str = "whole") -> list[str]:
    return ["+recipe=curriculum", "size=tiny", f"run_dir={tmp_path}/{name}", *more]


ALL = [
    *("plans", "phase1", "trajectories", "phase2", "explore_trajectories", "exploration", "phase3"),
    *("phase4a", "phase4b", "test_trajectories", "offline", "online", "ladder"),
]


def test_every_stage_runs_once_in_its_order(tmp_path, ran):
    assert main(curriculum(tmp_path)) == 0
    assert names(ran) == ALL
    assert main(curriculum(tmp_path)) == 0
    assert names(ran) == ALL
    lineage = Lineage.of(tmp_path / "whole/phase3")
    assert set(lineage.inputs) == {
        "phase2/model",
        "trajectories/data",
        "explore_trajectories/data",
        "exploration/data/selected",
    }


def test_a_stage_whose_input_changed_is_run_again_and_the_old_one_kept(tmp_path, ran, caplog):
    main(curriculum(tmp_path))
    ran.clear()
    (tmp_path / "whole/exploration/data/episodes-00000.jsonl").write_text("other")
    assert main(curriculum(tmp_path)) == 0
    assert names(ran) == ["phase4a", "phase4b"]  # phase 3 reads exploration/data/selected, which is the same
    assert "its inputs changed (exploration/data)" in caplog.text
    assert (tmp_path / "whole/phase4a.before-1/model/model.safetensors").exists()


def test_a_stage_that_reads_other_inputs_than_before_begins_anew(tmp_path, ran, caplog):
    """Else phase 2 would find its last checkpoint, made from LAM1, and be told to be one from the base model."""
    main(curriculum(tmp_path))
    ran.clear()
    assert main(curriculum(tmp_path, "curriculum.skip=[phase1]")) == 0
    assert names(ran)[0] == "phase2" and "its inputs changed (phase1/model)" in caplog.text
    assert (tmp_path / "whole/phase2.before-1/model/model.safetensors").exists()


@pytest.mark.parametrize("name", ["Bücher (neu)", "a,b=c", "it's"])
def test_a_folder_may_have_any_name(tmp_path, ran, name):
    from lam_train.recipe import quoted

    recipe = compose_recipe([*curriculum(tmp_path)[:2], f"run_dir={quoted(f'{tmp_path}/{name}')}"])
    stages = Stages(recipe, Path(recipe.run_dir))
    assert recipe.run_dir == f"{tmp_path}/{name}"
    for stage in stages.kept:
        composed = compose_recipe(stages.command(stage))
        assert composed.run_dir == f"{tmp_path}/{name}/{stage}"
        if stage == "ladder":
            assert composed.ladder.run == f"{tmp_path}/{name}"
        if stage == "phase3":
            assert composed.data.train[0] == f"{tmp_path}/{name}/trajectories/data"


def test_a_stage_with_another_setting_goes_on_in_its_folder(tmp_path, ran):
    main(curriculum(tmp_path))
    ran.clear()
    more = "stages.phase4b.overrides=['batching.max_tokens=900']"
    assert main(curriculum(tmp_path, more)) == 0
    assert names(ran)[0] == "phase4b" and not (tmp_path / "whole/phase4b.before-1").exists()
    assert "offline" in names(ran)  # it reads LAM4, which is another now


def test_a_skipped_stage_is_passed_over_by_those_behind_it(tmp_path, ran):
    assert main(curriculum(tmp_path, "curriculum.skip=[phase1,exploration,phase3]")) == 0
    commands = dict(zip(names(ran), ran, strict=True))
    assert "model=tiny" in commands["phase2"] and not any("model.path" in word for word in commands["phase2"])
    assert f"model.path={tmp_path}/whole/phase2/model" in commands["phase4b"]
    (data,) = [word for word in commands["phase4a"] if word.startswith("data.train")]
    assert data == f"data.train=[{tmp_path}/whole/trajectories/data,{tmp_path}/whole/explore_trajectories/data]"
    evaluated = [word for word in commands["online"] if ".models." in word and not word.startswith("~")]
    assert [word.partition("=")[0].rpartition(".")[2] for word in evaluated] == ["LAM2", "LAM4"]


def test_a_size_can_leave_data_out(tmp_path, ran):
    assert main(curriculum(tmp_path, "stages.phase3.without=[trajectories/data]")) == 0
    (data,) = [word for word in ran[names(ran).index("phase3")] if word.startswith("data.train")]
    assert data == f"data.train=[{tmp_path}/whole/explore_trajectories/data,{tmp_path}/whole/exploration/data/selected]"
    assert "trajectories/data" not in Lineage.of(tmp_path / "whole/phase3").inputs


def test_a_size_can_add_a_stage_and_its_data(tmp_path, ran):
    assert main(curriculum(tmp_path, "size=laptop")) == 0
    at = names(ran).index("exploration_lam3")
    assert names(ran)[at - 1 : at + 2] == ["phase3", "exploration_lam3", "phase4a"]
    assert f"model.path={tmp_path}/whole/phase3/model" in ran[at]
    assert f"explore.expert={tmp_path}/whole/explore_trajectories/data" in ran[at]
    (data,) = [word for word in ran[at + 1] if word.startswith("data.train")]
    assert data == f"data.train=[{tmp_path}/whole/exploration/data,{tmp_path}/whole/exploration_lam3/data]"
    assert "exploration_lam3/data" in Lineage.of(tmp_path / "whole/phase4b").inputs


def test_what_another_run_has_made_of_the_same_is_shared(tmp_path, ran):
    main(curriculum(tmp_path))
    ran.clear()
    shared = [f"curriculum.share={tmp_path}/whole", "curriculum.skip=[phase1]"]
    assert main(curriculum(tmp_path, *shared, name="without")) == 0
    assert names(ran) == ["phase2", "exploration", "phase3", "phase4a", "phase4b", "offline", "online", "ladder"]
    commands = dict(zip(names(ran), ran, strict=True))
    assert f"data.train=[{tmp_path}/whole/trajectories/data]" in commands["phase2"]
    assert f"evaluate_offline.data={tmp_path}/whole/test_trajectories/data" in commands["offline"]
    assert f"explore.output={tmp_path}/without/exploration/data" in commands["exploration"]
    assert f"ladder.shared={tmp_path}/whole" in commands["ladder"]
    ran.clear()
    assert main(curriculum(tmp_path, *shared, name="without")) == 0 and not ran


def test_another_seed_trains_and_samples_anew_on_the_same_data(tmp_path, ran):
    main(curriculum(tmp_path))
    ran.clear()
    seeded = ["curriculum.seed=3", f"curriculum.share={tmp_path}/whole"]
    assert main(curriculum(tmp_path, *seeded, name="seed3")) == 0
    commands = dict(zip(names(ran), ran, strict=True))
    assert not {"plans", "trajectories", "explore_trajectories", "test_trajectories"} & commands.keys()
    said = {name: [word for word in commands[name] if word.endswith("seed=3")] for name in commands}
    assert said["phase1"] == said["phase3"] == said["phase4a"] == ["trainer.seed=3"]
    assert said["exploration"] == ["policy.local.seed=3"] and said["online"] == []
    assert said["phase4b"] == ["trainer.seed=3", "policy.local.seed=3"]


def test_the_seconds_of_a_stopped_attempt_count(tmp_path, monkeypatch):
    clock = iter([0, 5, 100, 102, 200, 201])  # begun and ended, three times
    monkeypatch.setattr(stages_module.time, "perf_counter", lambda: next(clock))
    ends = iter([KeyboardInterrupt(), None, None])

    def run(_command: list[str], _config_dir: Path | None) -> None:
        if (stopped := next(ends)) is not None:
            raise stopped

    monkeypatch.setattr(stages_module, "_run", run)
    with pytest.raises(KeyboardInterrupt):
        stages_module.run_and_mark([], tmp_path / "stage", {})
    assert not (tmp_path / "stage/stage.json").exists()
    assert stages_module.run_and_mark([], tmp_path / "stage", {}) == 5 + 2
    assert stages_module.run_and_mark([], tmp_path / "stage", {}) == 1


def test_stages_find_recipes_and_groups_of_the_users_own(tmp_path, monkeypatch, caplog):
    own = tmp_path / "own"
    (own / "model").mkdir(parents=True)
    (own / "model/mine.yaml").write_text("source: tiny\n")
    (own / "my_plans.yaml").write_text("# Mine\nrun: collect_plans\n")
    (own / "my_phase1.yaml").write_text("# Mine\ndefaults: [/recipe@_global_: phase1_small, _self_]\n")
    ran = []

    def run(command: list[str], config_dir: Path | None) -> None:
        recipe = compose_recipe(command, config_dir)
        Path(recipe.run_dir, "data").mkdir(parents=True)
        ran.append(recipe)

    monkeypatch.setattr(stages_module, "_run", run)
    more = [
        "curriculum.model=mine",
        "stages.plans.recipe=my_plans",
        "stages.phase1.recipe=my_phase1",
        "curriculum.seed=3",
        f"curriculum.skip=[{','.join(ALL[2:])}]",
    ]
    with caplog.at_level("INFO"):
        assert main([*curriculum(tmp_path, *more), "--config-dir", str(own)]) == 0
    assert [recipe.name for recipe in ran] == ["my_plans", "my_phase1"] and ran[1].model.source == "tiny"
    assert ran[1].trainer.seed == 3
    assert f"--config-dir {own}" in caplog.text


@pytest.mark.parametrize(
    "launched", [{"RANK": "1", "WORLD_SIZE": "2"}, {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}]
)
def test_a_launcher_is_refused_by_what_starts_its_own_processes(tmp_path, ran, monkeypatch, caplog, launched):
    for name, value in launched.items():
        monkeypatch.setenv(name, value)
    assert main(curriculum(tmp_path)) == 2 and not ran and not caplog.text  # rank 0 says it
    monkeypatch.setenv("RANK" if "RANK" in launched else "SLURM_PROCID", "0")
    assert main(curriculum(tmp_path)) == 2 and not ran
    assert "plain python" in caplog.text


def test_the_plan_runs_nothing(tmp_path, ran, capsys):
    assert main(curriculum(tmp_path, "curriculum.plan=true", "curriculum.skip=[phase4b]")) == 0
    said = capsys.readouterr().out
    assert not ran and "skipped: phase4b" in said and "memory of a rank" in said
    assert "reads: exploration/data/selected (not there yet)" in said and "8. phase4a" in said


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("curriculum.skip=[phase9]", "curriculum.skip: no stage phase9; there are plans, phase1"),
        ("curriculum.share=/nowhere", "curriculum.share=/nowhere: no such run directory"),
        ("stages.phase3.model=phase9", "stages.phase3.model=phase9: no such stage"),
        ("stages.phase3.data=[nowhere/data]", "nowhere/data lies in no stage's folder"),
        ("curriculum.skip=[plans]", "all its data is left out or of skipped stages"),
        ("stages.phase3.without=[plans/data]", "stages.phase3.without: no plans/data in its data, trajectories/data"),
        ("size=huge", "size=huge: no such option"),
        ("stages.phase4b.size=['ppo.klip=1']", "unknown setting ppo.klip; did you mean ppo.clip?"),
    ],
)
def test_what_cannot_work_is_said_before_anything_runs(tmp_path, ran, caplog, override, said):
    overrides = [
        word for word in curriculum(tmp_path, override) if not ("size=huge" in override and word == "size=tiny")
    ]
    assert main(overrides) == 2
    assert said in caplog.text and not ran


@pytest.mark.parametrize("size", ["minutes", "laptop", "gpu", "7b"])
def test_every_size_composes(tmp_path, size):
    recipe = compose_recipe(["+recipe=curriculum", f"size={size}"])
    stages = Stages(recipe, tmp_path)
    assert [name for name in recipe.stages if name != "exploration_lam3"] == ALL
    assert ("exploration_lam3" in recipe.stages) == (size in ("laptop", "gpu"))
    for name in stages.kept:
        compose_recipe(stages.command(name))


def test_a_digest_is_of_what_others_read(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_text("weights")
    (folder / "log").write_text("begun at noon")
    before = digest(folder)
    (folder / "log").write_text("begun at one")
    assert digest(folder) == before
    (folder / "config.json").write_text("{}")
    assert digest(folder) != before and digest(tmp_path / "nothing") == "missing"
    assert set_aside(folder).name == "model.before-1"


def test_an_unknown_stage_of_a_users_own_is_refused(tmp_path):
    recipe = compose_recipe(curriculum(tmp_path)).model_copy(update={"stages": {}})
    with pytest.raises(UserError, match="stages is empty"):
        Stages(recipe, tmp_path)
