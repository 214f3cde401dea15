"""One run directory and one training under every launcher."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from lam_train.train.checkpoint import newest_checkpoint
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


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def srun_tasks(folder: Path, lines: list[list[str]], **env: str) -> list[tuple[int, str]]:
    """Exit status and messages of two tasks of srun, with the variables that it sets, and only those."""
    tasks = []
    for task, line in enumerate(lines):
        theirs = {
            "SLURM_JOB_ID": "4242",
            "SLURM_STEP_ID": "0",
            "SLURM_PROCID": str(task),
            "SLURM_LOCALID": str(task),
            "SLURM_STEP_NUM_TASKS": "2",
            "SLURM_STEP_NUM_NODES": "1",
            "SLURM_STEP_TASKS_PER_NODE": "2",
        }
        every, command = {**os.environ, **theirs, **env}, [sys.executable, *MODULE, *line]
        tasks.append(subprocess.Popen(command, cwd=folder, env=every, stderr=subprocess.PIPE, text=True))
    outputs = [task.communicate(timeout=300)[1] for task in tasks]
    return [(task.returncode, output) for task, output in zip(tasks, outputs, strict=True)]


def test_two_tasks_of_srun_share_one_run_directory(plans, tmp_path):
    tasks = srun_tasks(tmp_path, [[*base_overrides(plans), *SHORT]] * 2, MASTER_PORT=free_port())
    assert [status for status, _ in tasks] == [0, 0], tasks
    assert [run.name for run in (tmp_path / "runs" / "phase1").iterdir()] == ["slurm-4242"]
    assert [row["step"] for row in metrics(tmp_path / "runs/phase1/slurm-4242")] == [1, 2]


def test_tasks_of_two_runs_that_meet_at_one_port_are_refused(plans, tmp_path):
    """They trained as one, each with its own settings."""
    lines = [[*base_overrides(plans), *SHORT, f"trainer.warmup_steps={task + 3}"] for task in range(2)]
    tasks = srun_tasks(tmp_path, lines, MASTER_PORT=free_port())
    assert [status for status, _ in tasks] == [2, 2], tasks
    assert "not of one run: trainer.warmup_steps: 3 on rank 0, 4 on rank 1." in tasks[0][1]
    assert tasks[1][1] == "" and not (tmp_path / "runs").exists()


INTERRUPTED = "interrupted; the same command, with the same run_dir, goes on"


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGUSR1", "SIGINT"])
def test_a_signal_to_the_process_that_started_the_ranks_ends_them_and_is_told_in_one_line(plans, tmp_path, name):
    run_dir, number = tmp_path / "run", signal.Signals[name]
    line = [*base_overrides(plans), "trainer.epochs=1000", "trainer.batch_size=8", f"run_dir={run_dir}"]
    command = [sys.executable, *MODULE, *line, "launch.processes=2"]
    with (tmp_path / "told").open("w") as told:
        started = subprocess.Popen(command, cwd=tmp_path, stderr=told)
    assert_soon(lambda: (run_dir / "metrics.jsonl").exists() and len(metrics(run_dir)) > 1, seconds=120)
    ranks = psutil.Process(started.pid).children(recursive=True)
    assert len(ranks) >= 2
    started.send_signal(number)
    status = started.wait(timeout=60)
    _ended, left = psutil.wait_procs(ranks, timeout=3)
    left = [process for process in left if process.status() != psutil.STATUS_ZOMBIE]  # one that nobody waits for
    for process in left:
        process.kill()
    assert not left
    lines = (tmp_path / "told").read_text().splitlines()
    assert status == {"SIGKILL": -number, "SIGINT": 1}.get(name, 75)
    assert not any("Traceback" in line for line in lines)
    if name in ("SIGTERM", "SIGUSR1"):
        assert lines[-1] == f"stopped by {name}; the same command, with the same run_dir, goes on"
        assert f"{name}: ended at step {newest_checkpoint(run_dir / 'checkpoints').step}," in "\n".join(lines)
    if name == "SIGINT":
        assert [line for line in lines if "interrupted" in line] == [INTERRUPTED]
        assert (run_dir / "log").read_text().endswith(f"ERROR lam_train: {INTERRUPTED}\n")


def assert_soon(condition, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)


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
    monkeypatch.setattr(phases_run.distributed, "must_be_one_run", lambda _: None)
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
