"""Processes: who I am, how we talk, and how several are started from one command."""

import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import Literal, NoReturn, TypeVar

import torch
from pydantic import PositiveInt

from lam_train.errors import Fault, UserError
from lam_train.processes import ENDING
from lam_train.settings import Settings
from lam_train.train.launched import PARENT, is_srun, launched_processes, relauncher, srun_step, srun_step_number
from lam_train.train.preemption import Preempted

log = logging.getLogger(__name__)
T = TypeVar("T")


class LaunchSettings(Settings):
    """How many processes plain `python -m lam_train` becomes."""

    processes: PositiveInt | Literal["auto"] = "auto"
    """`auto`: one a GPU, one on a CPU; ignored under torchrun, deepspeed and srun, which have started theirs"""
    threads: PositiveInt | None = None
    """threads of torch in each process on a CPU; null: `OMP_NUM_THREADS`, without it (or where torchrun set it to 1)
    the cores that the process may use, divided by the processes on the machine"""
    timeout_minutes: PositiveInt = 30
    """how long a collective waits for a lost rank before the run ends with an error"""


# What torch's elastic launcher hears, from its start on and beyond its end, and hands on to the ranks.
LAUNCHER_HEARS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1)

_sequence_groups: dict[int, torch.distributed.ProcessGroup] = {}  # this rank's, by how many share a row
_set_here: list[str] = []  # variables that this process set for DeepSpeed, and takes back when it leaves the world


@dataclass(frozen=True)
class World:
    """This process among the others."""

    rank: int
    size: int
    local_rank: int
    local_size: int
    sequence_parallel: int = 1  # neighbouring ranks that share a row

    @property
    def data_rank(self) -> int:
        """Which of the `data_ranks` shares of a step's rows this rank takes, alone or with others."""
        return self.rank // self.sequence_parallel

    @property
    def data_ranks(self) -> int:
        return self.size // self.sequence_parallel

    @property
    def leads(self) -> bool:
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        return torch.device("cuda", gpu_index(self.local_rank)) if torch.cuda.is_available() else torch.device("cpu")


def gpu_index(local_rank: int) -> int:
    """Which of the visible GPUs is this process's: the only one where the launcher shows each process its own."""
    return 0 if torch.cuda.device_count() == 1 else local_rank


def wanted_processes(settings: LaunchSettings) -> int:
    """How many processes this run will have."""
    if "RANK" in os.environ or is_srun():
        return launched_processes()
    if settings.processes != "auto":
        return settings.processes
    return max(1, torch.cuda.device_count())


def must_relaunch(settings: LaunchSettings) -> bool:
    """Whether this process is a plain one that has to start several."""
    return "RANK" not in os.environ and not is_srun() and wanted_processes(settings) > 1


def relaunch(settings: LaunchSettings, arguments: list[str]) -> int:
    """Runs `python -m lam_train arguments` in several processes by torch's elastic launcher: the exit status.

    Raises Preempted where SIGTERM or SIGUSR1 stops it: the ranks get it too, and ten minutes to end behind a checkpoint
    where they train.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    processes = wanted_processes(settings)
    # Older versions of torch know neither: SIGUSR1 then ends all at once, and ranks have half a minute.
    patient = {"signals_to_handle": ",".join(number.name for number in LAUNCHER_HEARS), "shutdown_timeout": 600}
    known = {field.name for field in fields(LaunchConfig)}
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",
        max_restarts=0,
        monitor_interval=0.2,
        **{name: value for name, value in patient.items() if name in known},
    )
    variables = {PARENT: str(os.getpid())}
    if "OMP_NUM_THREADS" not in os.environ:  # for what is no torch, too, from a rank's first import on
        variables["OMP_NUM_THREADS"] = str(threads(settings, processes))
    try:
        with _for_children(variables):
            elastic_launch(config, sys.executable)("-m", "lam_train", *arguments)
    except ChildFailedError as error:
        codes = [failure.exitcode for failure in error.failures.values()]
        return next((status for status in (UserError.exit_status, Preempted.exit_status) if status in codes), 1)
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        kind = Preempted if error.sigval in ENDING else Fault
        raise kind(f"stopped by {error.sigval.name}; the same command, with the same run_dir, goes on") from None
    return 0


def must_have_ended_well(status: int, line: str) -> None:
    """Raises for the exit status of `python -m lam_train line`, run in processes that have told why it is not 0."""
    if status:
        kind = {UserError.exit_status: UserError, Preempted.exit_status: Preempted}.get(status, Fault)
        goes_on = "" if kind is UserError else "; the same command goes on there"
        error = kind(f"python -m lam_train {line} ended with {status}, as told above{goes_on}")
        error.told = kind is UserError
        raise error


@contextmanager
def _for_children(variables: dict[str, str]) -> Iterator[None]:
    """Sets environment variables, and takes them back, with the handlers of signals that torch's launcher sets."""
    before = {name: os.environ.get(name) for name in variables}
    in_main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in LAUNCHER_HEARS} if in_main else {}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        for number, handler in handlers.items():
            if handler is not None:  # one that Python did not set
                signal.signal(number, handler)


def threads(settings: LaunchSettings, local_size: int) -> int:
    """How many threads each of a machine's `local_size` processes takes on a CPU."""
    if settings.threads:
        return settings.threads
    asked = os.environ.get("OMP_NUM_THREADS", "")
    by_torchrun = asked == "1" and local_size > 1 and "TORCHELASTIC_RUN_ID" in os.environ and relauncher() is None
    if asked.isdigit() and int(asked) and not by_torchrun:
        return int(asked)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if is_srun() and "SLURM_CPUS_PER_TASK" in os.environ:  # these are this task's own, which it shares with no other
        return min(cores, int(os.environ["SLURM_CPUS_PER_TASK"]))
    return max(1, cores // local_size)


def _first_node() -> str:
    """The name of the first node of this srun step."""
    if int(os.environ.get("SLURM_STEP_NUM_NODES", 1)) == 1:
        return "127.0.0.1"
    command = ["scontrol", "show", "hostnames", os.environ["SLURM_STEP_NODELIST"]]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError) as error:
        failure = UserError(
            f"srun over several nodes: scontrol, asked for the first one's name, fails here ({error}); set MASTER_ADDR "
            "to the first node's name, in the batch script: "
            'export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)'
        )
        failure.told = os.environ["SLURM_LOCALID"] != "0"  # one task of a node says it
        raise failure from None


def _srun_environment() -> dict[str, str]:
    """srun's variables under the names that torch and DeepSpeed read.

    The port is one of 20,000: neighbouring jobs have neighbouring ones, and the steps of a job, which may run at the
    same time, lie apart by the golden ratio of them, so that they meet those of neighbouring jobs as late as can be.
    """
    env = os.environ
    port = 20000 + (int(env["SLURM_JOB_ID"]) + 12361 * srun_step_number()) % 20000
    return {
        "RANK": env["SLURM_PROCID"],
        "WORLD_SIZE": env["SLURM_STEP_NUM_TASKS"],
        "LOCAL_RANK": env["SLURM_LOCALID"],
        "LOCAL_WORLD_SIZE": env.get("SLURM_STEP_TASKS_PER_NODE", "1").split("(")[0].split(",")[0],
        "MASTER_ADDR": env.get("MASTER_ADDR") or _first_node(),
        "MASTER_PORT": env.get("MASTER_PORT") or str(port),
    }


def _single_environment() -> dict[str, str]:
    return {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}


def join_world(settings: LaunchSettings, sequence_parallel: int = 1) -> World:
    """Joins the process group (nccl with a GPU, gloo without); one process needs no launcher and no open port.

    Neighbouring ranks, `sequence_parallel` of them, get a group of their own (`sequence_group`).
    """
    timeout = timedelta(minutes=settings.timeout_minutes)
    if torch.distributed.is_initialized():
        return _grouped(current_world(), sequence_parallel, timeout)
    if "RANK" not in os.environ:
        ours = _srun_environment() if is_srun() else _single_environment()
        _set_here.extend(name for name in ours if name not in os.environ)
        os.environ.update(ours)
    size, local_rank = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_RANK"])
    if "LOCAL_WORLD_SIZE" not in os.environ:  # the deepspeed launcher does not say
        os.environ["LOCAL_WORLD_SIZE"] = os.environ["WORLD_SIZE"]
        _set_here.append("LOCAL_WORLD_SIZE")
    local_size = int(os.environ["LOCAL_WORLD_SIZE"])
    gpu = torch.cuda.is_available()
    if gpu and gpu_index(local_rank) >= torch.cuda.device_count():
        raise UserError(f"{local_size} processes on this node, but {torch.cuda.device_count()} GPUs: start one a GPU")
    if gpu:
        torch.cuda.set_device(gpu_index(local_rank))
    else:
        torch.set_num_threads(threads(settings, local_size))
    how = {"store": torch.distributed.HashStore(), "rank": 0, "world_size": 1} if size == 1 else {}
    torch.distributed.init_process_group("nccl" if gpu else "gloo", timeout=timeout, **how)
    return _grouped(current_world(), sequence_parallel, timeout)


def current_world() -> World:
    """The world that was joined, each rank with rows of its own."""
    return World(
        rank=torch.distributed.get_rank(),
        size=torch.distributed.get_world_size(),
        local_rank=int(os.environ["LOCAL_RANK"]),
        local_size=int(os.environ["LOCAL_WORLD_SIZE"]),
    )


def _grouped(world: World, shared: int, timeout: timedelta) -> World:
    """The world in which so many ranks share a row, their groups made. Collective."""
    world = replace(world, sequence_parallel=shared)
    if shared > 1 and shared not in _sequence_groups:
        every = range(world.size)
        groups = [torch.distributed.new_group(every[at : at + shared], timeout=timeout) for at in every[::shared]]
        _sequence_groups[shared] = groups[world.data_rank]
    return world


def sequence_group(world: World) -> torch.distributed.ProcessGroup:
    """The ranks that share this one's rows."""
    return _sequence_groups[world.sequence_parallel]


def leave_world() -> None:
    """Ends the process group, where there is one, so that another may follow in this process (a notebook)."""
    if not torch.distributed.is_initialized():
        return
    _sequence_groups.clear()
    comm = sys.modules.get("deepspeed.comm")
    if comm is not None and comm.is_initialized():
        comm.destroy_process_group()  # torch's group and DeepSpeed's record of it
    else:
        torch.distributed.destroy_process_group()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    for name in _set_here:
        os.environ.pop(name, None)
    _set_here.clear()


def from_leader(value):
    """Rank 0's `value`, on every rank."""
    box = [value]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]


def sum_over_ranks(values: list[float], device: torch.device) -> list[float]:
    """Element-wise sums over all ranks, in float64."""
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(tensor)
    return tensor.tolist()


def sum_over_rows(values: list[float], world: World) -> list[float]:
    """Element-wise sums of what ranks found in their rows; those of a row that ranks share count once."""
    return [value / world.sequence_parallel for value in sum_over_ranks(values, world.device)]


def leader_does(work: Callable[[], T]) -> T | None:
    """Runs `work` on rank 0 alone; its value there, None elsewhere. Its error is raised on every rank: none waits."""
    value, failure = None, None
    if torch.distributed.get_rank() == 0:
        try:
            value = work()
        except (UserError, Fault) as error:
            failure = error
        except Exception as error:
            log.exception("a fault on rank 0")
            failure = Fault(f"rank 0: {type(error).__name__}: {error}")
    failure = from_leader(failure)
    if failure is not None:
        failure.told = torch.distributed.get_rank() != 0  # rank 0 says it for all
        raise failure
    return value


def all_succeeded(failure: Exception | None, what: str) -> None:
    """Raises on every rank, with all ranks' reasons, where any rank met an error in `what`."""
    reasons = from_all(None if failure is None else f"{type(failure).__name__}: {failure}")
    failed = {rank: reason for rank, reason in enumerate(reasons) if reason is not None}
    if failed:
        raise OSError(f"{what}: " + "; ".join(f"rank {rank}: {reason}" for rank, reason in failed.items()))


def all_agree(value: str, message: str) -> None:
    """Raises UserError on every rank, `message` and who has what, where the short `value` is not every rank's."""
    values = from_all(value)
    if len(set(values)) > 1:
        _refuse(f"{message} ({_who_has_what(values)})")


def must_be_one_run(settings: dict) -> None:
    """Raises UserError on every rank where ranks were started with other settings or in another step of srun.

    Two runs that meet at one MASTER_PORT would else train as one, each rank with its own settings.
    """
    mine = {"srun step": srun_step() if "RANK" in _set_here else None, **_flat(settings)}
    whole = json.dumps(mine, sort_keys=True)
    if len(set(from_all(hashlib.sha256(whole.encode()).hexdigest()))) == 1:
        return
    every = from_all(mine)
    names = dict.fromkeys(name for one in every for name in one)  # in their order, each once
    values = {name: [json.dumps(one.get(name)) for one in every] for name in names}
    differ = [f"{name}: {_who_has_what(found)}" for name, found in values.items() if len(set(found)) > 1]
    more = f"; and {len(differ) - 3} more" if len(differ) > 3 else ""
    _refuse(
        f"the processes that met at {os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']} are not of one run: "
        f"{'; '.join(differ[:3])}{more}. Start all processes of a run with the same command, and give each of several "
        "runs at a time a MASTER_PORT of its own"
    )


def _flat(settings: dict, prefix: str = "") -> dict:
    """Nested dicts as one, its keys as they are written on the command line."""
    flat: dict = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def from_all(value: T) -> list[T]:
    """Each rank's `value`, on every rank."""
    values: list = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(values, value)
    return values


def _who_has_what(values: list[str]) -> str:
    """The values of ranks, each once and shortened, with its first ranks."""
    ranks: dict[str, list[int]] = {}
    for rank, value in enumerate(values):
        ranks.setdefault(value, []).append(rank)
    told = [
        f"{value if len(value) <= 60 else value[:57] + '...'} on rank{'s' * (len(found) > 1)} "
        + ", ".join(map(str, found[:8])) + ", ..." * (len(found) > 8)
        for value, found in ranks.items()
    ]  # fmt: skip
    return ", ".join(told)


def _refuse(message: str) -> NoReturn:
    """Raises UserError, which rank 0 tells for all."""
    error = UserError(message)
    error.told = torch.distributed.get_rank() != 0
    raise error
