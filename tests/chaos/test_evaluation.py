"""An evaluation that is killed in the middle: the same command goes on, and nothing is asked twice."""

import json
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

from lam_train.records import Action, Control, Observation, Step, Task, Trajectory, write_jsonl
from tests.conftest import command, run_command

BOLD = Control(label="1", control_text="Bold", control_type="Button")


def trajectory(number: int) -> Trajectory:
    screen = Observation(window="letter", controls=[BOLD])
    steps = [
        Step(observation=screen, action=Action(function="select_text", args={"text": f"word {number}"})),
        Step(observation=screen, action=Action(function="click_input", control_label="1", status="FINISH")),
    ]
    task = Task(task_id=f"t{number}", request=f"Make word {number} bold", family="bold", split="test")
    return Trajectory(trajectory_id=f"e{number}", task=task, policy="expert", steps=steps, outcome="success")


def arguments(folder: Path) -> list[str]:
    return [
        "+recipe=evaluate_offline",
        "model=tiny",
        "~evaluate_offline.models.LAM1",
        "~evaluate_offline.models.LAM2",
        f"evaluate_offline.data={folder}/expert.jsonl",
        "evaluate_offline.batch_size=2",
        "policy.local.max_new_tokens=8",
        f"run_dir={folder}/run",
    ]


def test_killed_in_the_middle_it_goes_on(tmp_path):
    write_jsonl(tmp_path / "expert.jsonl", [trajectory(number) for number in range(30)])
    answers = tmp_path / "run" / "evaluation" / "answers" / "untrained-00000.jsonl"
    process = subprocess.Popen(
        command(*arguments(tmp_path)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 240
    while not answers.exists() or answers.read_bytes().count(b"\n") < 6:
        assert process.poll() is None, process.stderr.read()[-3000:]
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    before = [line for line in answers.read_bytes().split(b"\n")[:-1]]
    assert 6 <= len(before) < 60

    done = run_command(*arguments(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"untrained: {len(before)} of 60 answers are there already" in done.stdout + done.stderr
    lines = answers.read_bytes().splitlines()
    assert lines[: len(before)] == before
    asked = Counter((row["trajectory_id"], row["step"]) for row in map(json.loads, lines))
    assert len(asked) == 60
    assert set(asked.values()) == {1}
    report = json.loads((tmp_path / "run" / "evaluation" / "evaluation.json").read_text())
    assert (report["tasks"], report["steps"]) == (30, 60)
