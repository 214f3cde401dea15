"""What the speed benchmarks conclude: turns, ratios, and the refusal to compare sides that do not learn the same."""

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from sides import faster, in_turn, told_faster
from train_speed import OURS, check_losses, page, summary, timed


def step(seconds: float, loss: float, supervised: int = 10) -> dict:
    tokens = {"logical": 100, "physical": 40, "supervised": supervised}
    return {"seconds": seconds, "loss": loss, "flops": 3e12, **tokens}


def test_every_second_turn_is_in_reverse():
    assert list(in_turn(["a", "b"], 3)) == [(0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b")]


def test_ratios_are_of_the_same_turn():
    ratio = faster([1.0, 2.0, 4.0], [3.0, 8.0, 8.0])
    assert ratio == {"median": 3.0, "low": 2.0, "high": 4.0}
    assert told_faster(ratio) == "3.00 (2.00 to 4.00)" and told_faster(None) == "-"


def test_the_first_step_warms_up_and_the_loss_is_of_all_tokens():
    run = timed([step(50, 3.0, 30), step(2, 1.0), step(3, 2.0)], peak=1.5)
    assert (run["seconds"], run["logical"], run["physical"], run["supervised"]) == (5, 200, 80, 20)
    assert run["loss"] == pytest.approx((90 + 10 + 20) / 50) and run["all_supervised"] == 50


def test_a_packed_sides_last_step_counts_for_the_loss_and_not_for_the_time():
    steps = [step(50, 3.0), step(2, 1.0), step(0.5, 2.0, 4) | {"whole": False}]
    run = timed(steps, peak=1.5)
    assert (run["seconds"], run["all_supervised"]) == (2, 24) and run["loss"] == pytest.approx(48 / 24)
    with pytest.raises(SystemExit, match="take more --steps"):
        timed(steps[1:], peak=1.5)


def test_sides_that_do_not_learn_the_same_are_not_compared():
    ours, same = timed([step(1, 2.0), step(1, 2.0)], 1.0), timed([step(1, 2.01), step(1, 2.01)], 1.0)
    check_losses({OURS: [ours], "theirs": [same]}, tolerance=0.01)
    other = timed([step(1, 2.1), step(1, 2.1)], 1.0)
    with pytest.raises(SystemExit, match="theirs does not learn the same"):
        check_losses({OURS: [ours], "theirs": [other]}, tolerance=0.01)
    fewer = timed([step(1, 2.0, 9), step(1, 2.0)], 1.0)
    with pytest.raises(SystemExit, match="of 19 tokens"):
        check_losses({OURS: [ours], "theirs": [fewer]}, tolerance=0.01)


def test_the_table_says_who_is_faster_a_token():
    turns = {
        OURS: [timed([step(9, 2.0), step(1, 2.0)], 1.0), timed([step(9, 2.0), step(2, 2.0)], 3.0)],
        "theirs": [timed([step(9, 2.0), step(5, 2.0)], 2.0), timed([step(9, 2.0), step(6, 2.0)], 2.0)],
    }
    args = Namespace(recipe="phase2", model="tiny", set=[], steps=1, repeats=2)
    report = summary(turns, args, [[0, 1], [2, 3]])
    assert report["sides"]["theirs"]["ours_is_faster"] == {"median": 4.0, "low": 3.0, "high": 5.0}
    assert report["sides"][OURS]["tokens_per_s"]["logical"] == 75 and report["sides"][OURS]["peak_gib"] == 3.0
    assert report["sides"][OURS]["mfu"] * report["peak_tflops"] == pytest.approx(2.25)  # of 3 and 1.5 TFLOP/s
    assert "| theirs | 18 |" in page(report) and "4.00 (3.00 to 5.00)" in page(report)


PARTS = "tests mfu_7b head phase2 phase1 ppo decide mfu_small attention"
STAND_IN = """#!{python}
# In the place of a GPU machine's Python: takes each benchmark's arguments as it would, and leaves what it would.
import runpy, sys, time
if sys.argv[1:2] == ["-c"]:
    raise SystemExit({lacks!r} in sys.argv[2])
if sys.argv[1:3] == ["-m", "pytest"]:
    time.sleep(30)  # the GPU tests hang
if sys.argv[1:3] == ["-m", "lam_train"]:
    from lam_train.recipe import compose_recipe
    raise SystemExit(compose_recipe(sys.argv[3:]) is None)
del sys.argv[0]
script = sys.argv[0]
sys.path.insert(0, "benchmarks")
args = runpy.run_path(script)["parsed"]()
if script.endswith("head.py"):
    raise SystemExit("out of memory")
args.output.mkdir(parents=True)
(args.output / "README.md").write_text("# Made by " + script)
"""


def gpu_sh(folder: Path, lacks: str) -> subprocess.CompletedProcess:
    """Runs the script into `folder`/out, where a package is missing."""
    root, tools, model = Path(__file__).resolve().parents[2], folder / "tools", folder / "model"
    for made in (tools, model):
        made.mkdir()
    (model / "model.safetensors").touch()
    (folder / "plans.jsonl").touch()
    for name, text in {
        "python": STAND_IN.format(python=sys.executable, lacks=lacks),
        "nvidia-smi": "#!/bin/sh\necho A card\n",
    }.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    environment = os.environ | {"PYTHON": str(tools / "python"), "TESTS_SECONDS": "1"}
    environment["PATH"] = f"{tools}:{environment['PATH']}"
    script = ["bash", str(root / "benchmarks" / "gpu.sh"), "out", "model", "model", "model", "plans.jsonl"]
    return subprocess.run(script, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_gpu_sh_gives_every_benchmark_what_it_takes_and_tells_what_failed(tmp_path):
    done = gpu_sh(tmp_path, lacks="import xdist")
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in (tmp_path / "out" / "SUMMARY.md").read_text().splitlines() if "| " in line]
    told = {row[0].strip("| "): row[-1].strip("| ") for row in rows}
    assert told.pop("tests") == "failed (124), see tests.log" and told.pop("head") == "failed (1), see head.log"
    del told["part"]
    assert set(told) == {"models", "answers", "ahead_7b", "ahead_small", *PARTS.split()} - {"tests", "head"}
    assert set(told.values()) == {"done"}
    assert "Made by benchmarks/train_speed.py" in (tmp_path / "out" / "SUMMARY.md").read_text()


@pytest.mark.parametrize(
    ("given", "said"),
    [([], "benchmarks/gpu.sh OUTPUT_FOLDER"), (["out", *["missing"] * 4], "missing: no such file or folder")],
)
def test_gpu_sh_says_what_it_takes(tmp_path, given, said):
    script = Path(__file__).resolve().parents[2] / "benchmarks" / "gpu.sh"
    done = subprocess.run(["bash", str(script), *given], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and said in done.stderr and not list(tmp_path.iterdir())


def test_gpu_sh_begins_nothing_where_a_package_is_missing(tmp_path):
    done = gpu_sh(tmp_path, lacks="trl")
    assert done.returncode == 1 and "put it into the WHEELS_FOLDER" in done.stderr
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["train_speed.py", "out", "--data", "nothing"], "data.train=nothing: no such file or folder"),
        (["rollout_speed.py", "out", "--model", "./nothing"], "model.path=./nothing: no such folder"),
    ],
)
def test_a_mistake_is_one_line_without_a_traceback(tmp_path, given, said):
    script = Path(__file__).resolve().parents[2] / "benchmarks" / given[0]
    done = subprocess.run([sys.executable, str(script), *given[1:]], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
