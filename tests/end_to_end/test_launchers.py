"""One run directory and one training under every launcher."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import base_overrides, metrics

SHORT = ["trainer.max_steps=2", "trainer.batch_size=8", "checkpoint.every_steps=null"]


def launch(command: list[str], cwd: Path, **env: str) -> subprocess.CompletedProcess:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, "PATH": path, **env}, capture_output=True, text=True, timeout=300
    )


def assert_one_run(folder: Path, done: subprocess.CompletedProcess, ranks: int) -> None:
    assert done.returncode == 0, done.stderr[-3000:]
    runs = list((folder / "runs" / "phase1").iterdir())
    assert len(runs) == 1
    assert [row["step"] for row in metrics(runs[0])] == [1, 2]
    assert f"{ranks} rank(s)" in (runs[0] / "log").read_text()


MODULE = ["-m", "lam_train"]
LAUNCHERS = {
    "torchrun": ["torchrun", "--standalone", "--nproc-per-node=2", *MODULE],
    "deepspeed": ["deepspeed", "--num_gpus", "2", "--module", "lam_train"],
    "plain python": [sys.executable, *MODULE, "launch.processes=2"],
}


@pytest.mark.parametrize("name", LAUNCHERS)
def test_two_processes_share_one_run_directory(plans, tmp_path, name):
    if name == "deepspeed" and torch.cuda.is_available():
        pytest.skip("its --num_gpus counts GPUs there")
    done = launch([*LAUNCHERS[name], *base_overrides(plans), *SHORT], tmp_path)
    assert_one_run(tmp_path, done, ranks=2)


def test_two_tasks_of_srun_share_one_run_directory(plans, tmp_path):
    """With the variables that srun sets, and only those: what each of two tasks of a step sees."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    tasks = []
    for task in range(2):
        env = {
            **os.environ,
            "SLURM_JOB_ID": "4242",
            "SLURM_PROCID": str(task),
            "SLURM_LOCALID": str(task),
            "SLURM_STEP_NUM_TASKS": "2",
            "SLURM_STEP_NUM_NODES": "1",
            "SLURM_STEP_TASKS_PER_NODE": "2",
            "MASTER_PORT": port,
        }
        line = [sys.executable, *MODULE, *base_overrides(plans), *SHORT]
        tasks.append(subprocess.Popen(line, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True))
    outputs = [task.communicate(timeout=300)[1] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], outputs
    assert [run.name for run in (tmp_path / "runs" / "phase1").iterdir()] == ["slurm-4242"]
    assert [row["step"] for row in metrics(tmp_path / "runs/phase1/slurm-4242")] == [1, 2]


@pytest.mark.parametrize(("size", "leaves"), [(1, 1), (2, 0)])
def test_a_rank_that_fails_does_not_wait_for_the_others_to_leave(tmp_path, monkeypatch, size, leaves):
    """NCCL's group cannot be left while another rank is inside a collective: the error would never be told."""
    from lam_train.errors import Fault
    from lam_train.phases import run as phases_run
    from lam_train.recipe import compose_recipe
    from lam_train.train.distributed import World

    def broken():
        raise Fault("the disk is full")

    left = []
    monkeypatch.setattr(phases_run.distributed, "join_world", lambda *_: World(0, size, 0, size))
    monkeypatch.setattr(phases_run.distributed, "leader_does", lambda _: broken())
    monkeypatch.setattr(phases_run.distributed, "leave_world", lambda: left.append(True))
    recipe = compose_recipe(["+recipe=phase1", "model=tiny", f"run_dir={tmp_path}/run", "launch.processes=1"])
    with pytest.raises(Fault, match="the disk is full"):
        phases_run.run(recipe, [])
    assert len(left) == leaves


def test_tasks_of_srun_end_and_log_as_ranks(monkeypatch):
    from lam_train import __main__ as command

    ended = []
    monkeypatch.setattr(command.os, "_exit", ended.append)
    monkeypatch.setattr(command.gc, "freeze", lambda: None)
    monkeypatch.setattr(command.logging, "shutdown", lambda: None)
    logger = command.logging.getLogger("lam_train")
    monkeypatch.setattr(logger, "level", logger.level)
    for name, value in {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}.items():
        monkeypatch.setenv(name, value)
    command.start_logging()
    assert not logger.isEnabledFor(command.logging.INFO)
    command.end(3)
    monkeypatch.delenv("SLURM_PROCID")
    command.start_logging()
    assert logger.isEnabledFor(command.logging.INFO)
    with pytest.raises(SystemExit):
        command.end(2)
    assert ended == [3]


def test_a_mistake_in_one_of_several_processes_is_exit_status_2(plans, tmp_path):
    overrides = [o for o in base_overrides(plans) if not o.startswith("data.train")]
    line = [sys.executable, *MODULE, *overrides, "data.train=nowhere.jsonl", "launch.processes=2"]
    done = launch(line, tmp_path)
    assert done.returncode == 2 and "data.train=nowhere.jsonl" in done.stderr


def test_a_mistake_that_only_rank_0_meets_ends_both_at_once_with_one_message(plans, tmp_path):
    import fcntl
    import time

    folder = tmp_path / "run"
    folder.mkdir()
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        begun = time.monotonic()
        done = launch([*LAUNCHERS["plain python"], *base_overrides(plans), *SHORT, f"run_dir={folder}"], tmp_path)
    assert done.returncode == 2 and time.monotonic() - begun < 60
    assert done.stderr.count("another run is writing there") == 1 and "Traceback" not in done.stderr


def test_a_second_run_in_the_same_directory_is_refused(plans, tmp_path):
    import fcntl

    folder = tmp_path / "run"
    folder.mkdir()
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = launch([sys.executable, *MODULE, *base_overrides(plans), *SHORT, f"run_dir={folder}"], tmp_path)
    assert done.returncode == 2 and "another run is writing there" in done.stderr


@pytest.mark.parametrize("name", ["train.sbatch", "explore.sbatch"])
def test_sbatch_script_is_bash(name):
    script = Path(__file__).parents[2] / "slurm" / name
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    assert shutil.which("bash")


def test_an_arrays_tasks_explore_parts_of_their_own(tmp_path):
    """Run as Slurm runs it, with an array that does not begin at 0 and a program that tells its arguments."""
    teller = tmp_path / "teller"
    teller.write_text('#!/bin/sh\necho "$@"\n')
    teller.chmod(0o755)
    script = Path(__file__).parents[2] / "slurm" / "explore.sbatch"
    told = []
    for task in ("4", "5"):
        array = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_MIN": "4", "SLURM_ARRAY_TASK_COUNT": "2"}
        environment = {**os.environ, **array, "LAM_TRAIN_PYTHON": str(teller)}
        done = subprocess.run(["bash", script, "app.instances=8"], env=environment, capture_output=True, text=True)
        told.append(done.stdout.strip())
    start = "-m lam_train +recipe=explore"
    assert told == [f"{start} explore.part={part} explore.parts=2 app.instances=8" for part in (0, 1)]
