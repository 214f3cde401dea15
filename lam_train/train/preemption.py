"""Signals that ask a training to end: it ends behind the step under way, with a checkpoint, on all ranks alike.

Slurm sends SIGTERM before it takes a node for another job, and before the time limit what `--signal=USR1@300` names.
"""

import logging
import os
import shutil
import signal
import subprocess
import threading

from lam_train.errors import Fault
from lam_train.processes import ENDING

log = logging.getLogger(__name__)


class Preempted(Fault):
    """A signal asked the training to end, and the same command goes on: status 75, `EX_TEMPFAIL` of sysexits.h."""

    exit_status = 75


class Preemption:
    """Inside (`with`), a signal is remembered instead of ending the process; a second one changes nothing."""

    def __init__(self) -> None:
        self.asked = 0  # the signal that came, to this process
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Preemption":
        if threading.current_thread() is threading.main_thread():  # Python hears signals nowhere else
            self._before = {number: signal.signal(number, self._hear) for number in ENDING}
        return self

    def __exit__(self, *_error) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: not one of Python's
        self._before = {}

    def _hear(self, number: int, _frame) -> None:
        self.asked = self.asked or number


def requeue(number: int) -> None:
    """Puts the Slurm job that the time limit ends (SIGUSR1) into the queue again. For rank 0 alone."""
    job = os.environ.get("SLURM_JOB_ID")
    if number != signal.SIGUSR1 or job is None or shutil.which("scontrol") is None:
        return
    done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True)
    if done.returncode:
        log.warning("scontrol requeue %s failed: %s", job, done.stderr.strip())
    else:
        log.info("job %s is in the queue again", job)
