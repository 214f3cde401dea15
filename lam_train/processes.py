"""Processes that serve another: they end with it, and leave signals to it. Without torch: ranks ask for it at once."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
ENDING = (signal.SIGUSR1, signal.SIGTERM)  # that ask a training to end (train/preemption.py); of both, the first counts


def end_with_parent(parent: int) -> None:
    """Ends this process with process `parent`, which started it, however that ends; at once if it has ended already.

    On Linux; elsewhere it does nothing.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it was asked for: no signal will come
        os._exit(1)


def leave_signals_to_parent() -> None:
    """What asks a training to end does not end this process, which works for it: Slurm signals all that a task has."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
