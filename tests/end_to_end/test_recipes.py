"""Every recipe that trains does, the README's commands run, the wheel carries what it needs."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lam_train.__main__ import main
from lam_train.phases.run import ALONE, TRAINS
from lam_train.recipe import Recipe, compose_recipe, recipe_files
from lam_train.records import write_jsonl
from tests.conftest import ROOT, base_overrides, metrics, plan_rows, write_rows
from tests.hand_made import trajectory

README = (ROOT / "README.md").read_text()


def kind_of(file: Path) -> str:
    return yaml.safe_load(file.read_text())["run"]


def test_every_kind_of_run_is_wired():
    kinds = set(Recipe.model_fields["run"].annotation.__args__)
    assert kinds == TRAINS.keys() | ALONE.keys()
    assert {kind_of(file) for file in recipe_files().values()} == kinds


@pytest.mark.parametrize("name", [name for name, file in recipe_files().items() if kind_of(file) in TRAINS])
def test_recipe_that_trains_takes_two_steps_with_the_tiny_model(plans, tmp_path, name):
    overrides = [f"+recipe={name}", *base_overrides(plans)[1:], f"run_dir={tmp_path}/run"]
    kind = kind_of(recipe_files()[name])
    if kind in ("reward_model", "offline_ppo"):
        failures = [trajectory(n, outcome="fail").model_copy(update={"trajectory_id": f"fail-{n}"}) for n in range(9)]
        write_jsonl(tmp_path / "judged.jsonl", [*(trajectory(n) for n in range(9)), *failures])
        overrides += [f"data.train={tmp_path}/judged.jsonl", "trainer.epochs=2"]
    if kind == "reward_model":
        overrides += ["reward.held_out=0.4"]
    if kind == "offline_ppo":
        judge = [
            "model=tiny",
            "model.lora=null",
            "reward.held_out=0.4",
            "trainer.max_steps=1",
            f"run_dir={tmp_path}/judge",
        ]
        format = [f"format.kind={'compact' if 'small' in name else 'paper'}"]
        recipe = "+recipe=phase4a_small" if "small" in name else "+recipe=phase4a"
        assert main([recipe, *judge, *format, f"data.train={tmp_path}/judged.jsonl", "batching.max_tokens=8192"]) == 0
        overrides += [f"ppo.reward_model={tmp_path}/judge/model", "ppo.states=4", "ppo.probe_states=2"]
        overrides += ["policy.local.max_new_tokens=4", "batching.max_tokens=8192", "ppo.kl_limit=null"]
    assert main([*overrides, "trainer.max_steps=2"]) == 0
    assert [row["step"] for row in metrics(tmp_path / "run")] == [1, 2]


@pytest.mark.writer
def test_the_whole_curriculum_runs_with_the_tiny_model_in_a_real_writer(tmp_path, monkeypatch):
    """All thirteen stages, with plans of one's own in place of the download; then the table again from its JSON."""
    monkeypatch.chdir(tmp_path)
    rows = [
        row | {"page": f"page {i // 2}", "task": f"Insert the {row['task']} of item {row['task_id']}"}
        for i, row in enumerate(plan_rows(60, seed=5))
    ]
    for row in rows:
        row["plan"] = [f"Click the {step} button of {row['task_id']}." for step in row["plan"]]
    write_rows(tmp_path / "own.jsonl", rows)
    plans = f"stages.plans.size=['collect.packages=[]','collect.own={tmp_path}/own.jsonl']"
    assert main(["+recipe=curriculum", "size=tiny", plans, "run_dir=runs/all"]) == 0
    run_dir = tmp_path / "runs/all"
    page = (run_dir / "ladder/ladder/README.md").read_text()
    for row in (
        "| untrained |",
        "| LAM1 |",
        "| LAM2 |",
        "| LAM3 |",
        "| LAM4 |",
        "| expert |",
        "LAM4 - LAM2",
        "## Cost",
    ):
        assert row in page
    counts = json.loads((run_dir / "exploration/data/counts.json").read_text())
    assert counts["all"]["rollouts"] == 4
    made = ["plans/data/card.md", "phase1/model/config.json", "trajectories/data/README.md", "phase2/loss.png"]
    made += ["phase2/model/step_format.json", "online/evaluation/episodes.html"]
    for path in (*made, *yaml.safe_load((ROOT / "recipes/curriculum.yaml").read_text())["results"]):
        assert (run_dir / path).exists(), path
    again = ["+recipe=ladder", f"ladder.data={run_dir}/ladder/ladder/ladder.json", "ladder.output=again"]
    assert main(again) == 0 and (tmp_path / "again/README.md").read_text() == page
    assert (tmp_path / "again/ladder.png").stat().st_size > 10_000


def test_stages_are_checked_before_the_first_one_runs(tmp_path):
    overrides = ["+recipe=curriculum", "stages.online.size=[evaluate_online.limitt=3]", f"run_dir={tmp_path}"]
    assert main(overrides) == 2
    assert not (tmp_path / "plans").exists()


def test_collect_then_evaluate_by_their_recipes(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    assert main(["+recipe=evaluate_plans", "model=tiny", "run_dir=runs/early"]) == 2
    assert "evaluate.data=collected/plans/test.jsonl: no such file; +recipe=collect_plans makes one" in caplog.text
    rows = [
        row | {"page": f"page {i}", "task": f"Insert row {i} into the table"} for i, row in enumerate(plan_rows(80))
    ]
    own = write_rows(tmp_path / "own.jsonl", rows)
    assert main(["+recipe=collect_plans", "collect.packages=[]", f"collect.own={own}", "run_dir=runs/collect"]) == 0
    assert (tmp_path / "collected/plans/examples.md").exists()
    overrides = ["+recipe=evaluate_plans", "model=tiny", "evaluate.limit=2", "evaluate.max_new_tokens=4"]
    missing = [*overrides, "run_dir=runs/evaluate"]
    assert main(missing) == 2  # LAM1's folder is not there, and is named before anything is generated
    assert main([*missing, "~evaluate.models.LAM1"]) == 0
    assert "untrained" in (tmp_path / "runs/evaluate/evaluation/evaluation.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("python -m lam_train")])
def test_readme_command_runs(line, tmp_path):
    (tmp_path / "my_plans.jsonl").write_text("".join(blocks("json")))
    done = subprocess.run(
        [sys.executable, *shlex.split(line)[1:]], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_readme_has_no_other_command_than_the_tested_and_the_two_of_make():
    others = [line for line in COMMANDS if not line.startswith("python -m lam_train")]
    assert others == ["make quickstart", "make test"]
    for line in others:
        dry = subprocess.run([*line.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
        assert dry.returncode == 0 and ("lam_train +recipe=curriculum" in dry.stdout) == (line == "make quickstart")


def test_readme_launch_lines_are_marked_and_compose():
    lines = re.findall(r"^\| (.*?) \| `(.*?)` \|$", README[README.index("## Where it runs") :], flags=re.MULTILINE)
    assert len(lines) == 3
    for where, line in lines:
        assert "needs" in where and "GPU" in where
        overrides = [part for part in shlex.split(line) if "=" in part and not part.startswith("--")]
        assert compose_recipe(overrides).engine.zero_stage == 3
        script = [part for part in shlex.split(line) if part.endswith(".sbatch")]
        assert all((ROOT / part).exists() for part in script)


def test_readme_lists_every_recipe_and_its_links_exist():
    table = README[README.index("## Recipes") : README.index("A recipe is a short YAML")]
    assert set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == set(recipe_files())
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_settings_page_is_what_the_classes_say():
    done = subprocess.run(
        [sys.executable, "-c", "import runpy; print(runpy.run_path('docs/make_settings.py')['page'](), end='')"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    expected = (ROOT / "docs" / "settings.md").read_text()
    assert done.stdout == expected, "run: python docs/make_settings.py"


def test_a_wheel_runs_a_recipe_from_any_directory(tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    wheel = next(tmp_path.glob("*.whl"))
    site = tmp_path / "site"
    subprocess.run(
        [*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)], check=True, capture_output=True
    )
    where = tmp_path / "elsewhere"
    where.mkdir()
    env = {**os.environ, "PYTHONPATH": str(site)}
    found = subprocess.run(
        [sys.executable, "-c", "import lam_train; print(lam_train.__file__)"],
        cwd=where,
        env=env,
        capture_output=True,
        text=True,
    )
    assert found.stdout.strip().startswith(str(site))
    line = [
        sys.executable,
        "-m",
        "lam_train",
        "+recipe=phase1",
        "model=tiny",
        "trainer.max_steps=2",
        "batching.workers=0",
    ]
    done = subprocess.run(line, cwd=where, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    run_dir = next((where / "runs" / "phase1").iterdir())
    assert [row["step"] for row in metrics(run_dir)] == [1, 2] and metrics(run_dir, "validation")
