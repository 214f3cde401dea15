"""How processes are told who they are, how many threads they take, and that they are of one run."""

import logging
import os
import signal
import socket
import subprocess
import sys

import pytest

from lam_train import __main__ as command
from lam_train.errors import Fault, UserError
from lam_train.train import distributed, launched
from lam_train.train.distributed import LaunchSettings
from lam_train.train.preemption import Preempted

SRUN = {
    "SLURM_JOB_ID": "123456",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NUM_NODES": "2",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
    "SLURM_STEP_NODELIST": "node[1-2]",
}


@pytest.fixture
def environment(monkeypatch):
    """Sets the variables of a launcher, and no other's."""
    told = ("MASTER_", "SLURM_", "TORCHELASTIC", "LAM_TRAIN_PARENT", "RANK", "WORLD_SIZE", "OMP_NUM_THREADS")
    for name in [name for name in os.environ if name.startswith(told)]:
        monkeypatch.delenv(name)

    def give(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return give


@pytest.mark.parametrize("name", ["SLURM_STEP_ID", "SLURM_STEPID"])
def test_steps_of_one_job_and_of_its_neighbours_have_ports_of_their_own(environment, name):
    ports = set()
    environment(**SRUN, MASTER_ADDR="node1")
    for job in range(19_990, 20_010):
        for step in range(20):
            environment(**{"SLURM_JOB_ID": str(job), name: str(step)})
            ports.add(int(distributed._srun_environment()["MASTER_PORT"]))
    assert len(ports) == 20 * 20 and min(ports) >= 20_000 and max(ports) < 40_000


def test_scontrol_is_asked_for_the_first_node_only_without_master_addr(environment, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    environment(**SRUN, MASTER_ADDR="given")
    assert distributed._srun_environment()["MASTER_ADDR"] == "given"
    monkeypatch.delenv("MASTER_ADDR")
    with pytest.raises(UserError, match="set MASTER_ADDR to the first node's name"):
        distributed._srun_environment()
    scontrol = tmp_path / "scontrol"
    scontrol.write_text("#!/bin/sh\nexit 1\n")
    scontrol.chmod(0o755)
    with pytest.raises(UserError, match="set MASTER_ADDR to the first node's name"):
        distributed._srun_environment()
    scontrol.write_text("#!/bin/sh\necho node1\necho node2\n")
    assert distributed._srun_environment()["MASTER_ADDR"] == "node1"


THREADS = {
    "the cores that it may use": ({}, None, 4),
    "the recipe's": ({"OMP_NUM_THREADS": "3"}, 5, 5),
    "the user's": ({"OMP_NUM_THREADS": "3"}, None, 3),
    "no number": ({"OMP_NUM_THREADS": "0"}, None, 4),
    "torchrun's": ({"OMP_NUM_THREADS": "1", "TORCHELASTIC_RUN_ID": "x"}, None, 4),
    "the user's under launch.processes": (
        {"OMP_NUM_THREADS": "1", "TORCHELASTIC_RUN_ID": "x", "LAM_TRAIN_PARENT": "1", "RANK": "0"}, None, 1),
    "those that srun gives a task": ({**SRUN, "SLURM_CPUS_PER_TASK": "6"}, None, 6),
}  # fmt: skip


@pytest.mark.parametrize("name", THREADS)
def test_threads_are_those_asked_for_or_this_processs_share(environment, monkeypatch, name):
    variables, asked, expected = THREADS[name]
    environment(**variables)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert distributed.threads(LaunchSettings(threads=asked), 2) == expected


def test_a_process_that_joins_takes_its_threads(environment, monkeypatch):
    taken = []
    monkeypatch.setattr(distributed.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(distributed.torch, "set_num_threads", taken.append)
    environment(OMP_NUM_THREADS="3")
    distributed.join_world(LaunchSettings())
    distributed.leave_world()
    assert taken == [3]


@pytest.mark.parametrize(("users", "theirs"), [(None, "4"), ("1", "1")])
def test_ranks_of_launch_processes_are_told_their_parent_and_their_threads(environment, monkeypatch, users, theirs):
    from torch.distributed.launcher import api

    seen = {}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(api, "elastic_launch", lambda *_: lambda *_: seen.update(os.environ))
    environment(**({"OMP_NUM_THREADS": users} if users else {}))
    assert distributed.relaunch(LaunchSettings(processes=2), []) == 0
    assert seen["OMP_NUM_THREADS"] == theirs and seen["LAM_TRAIN_PARENT"] == str(os.getpid())
    assert os.environ.get("OMP_NUM_THREADS") == users and "LAM_TRAIN_PARENT" not in os.environ


@pytest.mark.parametrize(
    ("number", "error"),
    [
        (signal.SIGTERM, Preempted),
        (signal.SIGUSR1, Preempted),
        (signal.SIGHUP, Fault),
        (signal.SIGINT, KeyboardInterrupt),
    ],
)
def test_a_signal_to_the_launcher_is_told_as_one_and_its_handlers_go(environment, monkeypatch, number, error):
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.launcher import api

    def stopped(*_):
        signal.signal(signal.SIGTERM, lambda *_: None)
        raise SignalException("stopped", sigval=number)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(api, "elastic_launch", lambda *_: stopped)
    with pytest.raises(error) as raised:
        distributed.relaunch(LaunchSettings(processes=2), [])
    assert raised.type is error
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(("status", "kind", "told"), [(2, UserError, True), (75, Preempted, False), (1, Fault, False)])
def test_a_command_that_ended_badly_is_raised_as_what_it_was(status, kind, told):
    distributed.must_have_ended_well(0, "+recipe=phase1")
    with pytest.raises(kind, match=rf"python -m lam_train \+recipe=phase1 ended with {status}") as raised:
        distributed.must_have_ended_well(status, "+recipe=phase1")
    assert raised.type is kind and raised.value.told == told


def test_a_rank_whose_parent_is_gone_ends_at_once():
    line = [sys.executable, "-c", "from lam_train.processes import end_with_parent; end_with_parent(1); print('on')"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert sys.platform != "linux" or (done.returncode == 1 and done.stdout == "")


def test_only_a_rank_knows_who_relaunched_it(environment):
    environment(LAM_TRAIN_PARENT="7")
    assert launched.relauncher() is None
    environment(RANK="1")
    assert launched.relauncher() == 7


ENDS = {
    "a mistake": (UserError("data.train=x: no such file"), 2, ["data.train=x: no such file"]),
    "a fault": (Fault("the disk is full"), 1, ["the disk is full"]),
    "a bug": (ZeroDivisionError("by zero"), 1, ["a fault", "Traceback", "ZeroDivisionError: by zero"]),
    "Ctrl-C": (KeyboardInterrupt(), 1, ["interrupted; the same command, with the same run_dir, goes on"]),
}


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize(("recipe", "phase"), [("phase1", "task_plan"), ("collect", "collect")])
def test_the_log_says_why_a_run_ended_and_the_terminal_says_it_once(monkeypatch, tmp_path, caplog, name, recipe, phase):
    error, status, told = ENDS[name]

    def run(*_):
        raise error

    monkeypatch.setattr(f"lam_train.phases.{phase}.run", run)
    with caplog.at_level(logging.ERROR):
        assert command.main([f"+recipe={recipe}", "launch.processes=1", f"run_dir={tmp_path}/run"]) == status
    log = (tmp_path / "run" / "log").read_text()
    for part in told:
        assert log.count(part) == 1 and caplog.text.count(part) == 1
    assert ("Traceback" in log) == (name == "a bug")


MEET = """
import os, torch.distributed as dist
from lam_train.errors import UserError
from lam_train.train import distributed

rank = int(os.environ["RANK"])
dist.init_process_group("gloo")
def told(work, *arguments):
    try:
        work(*arguments)
    except UserError as error:
        assert error.told == (rank != 0)
        return str(error)
same = {"trainer": {"lr": 1.0, "steps": None}}
other = {"trainer": {"lr": 1.0, "steps": rank}, "data": {"train": ["a"] * 50 * rank}}
answers = [
    told(distributed.must_be_one_run, same), told(distributed.must_be_one_run, other),
    told(distributed.all_agree, "a", "other samples"), told(distributed.all_agree, "ab"[rank], "other samples"),
]
print(*answers, sep="\\n")
"""


def test_ranks_that_differ_are_told_what_in():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", MEET], env={**world, "RANK": str(rank)}, stdout=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    answers = [rank.communicate(timeout=120)[0].splitlines() for rank in ranks]
    assert answers[0] == answers[1] and len(answers[0]) == 4
    same, other, agreed, disagreed = answers[0]
    assert (same, agreed) == ("None", "None")
    assert "trainer.steps: 0 on rank 0, 1 on rank 1; data.train: [] on rank 0, [" in other and "trainer.lr" not in other
    assert disagreed == "other samples (a on rank 0, b on rank 1)"
