"""Freed memory is kept by the process while it trains, and goes back to the system when or where that is asked for."""

import subprocess
import sys

import pytest

COUNTED = """
import ctypes

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
                "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]

def taken():  # from the system, as glibc counts it: resident memory shrinks where the system takes idle pages back
    count = ctypes.CDLL(None).mallinfo2
    count.restype = Mallinfo
    found = count()
    return found.arena + found.hblkhd
"""

SCRIPT = (
    COUNTED
    + """
import psutil, torch
from lam_train.train.allocator import give_freed_blocks_back, keep_freed_blocks

def resident():
    return psutil.Process().memory_info().rss / 2**20

assert keep_freed_blocks()
before, taken_before = resident(), taken()
blocks = [torch.ones(2**21) for _ in range(60)]  # 8 MiB each
held = blocks.pop(30)  # the heap cannot just shrink from its end
blocks.clear()
kept = (taken() - taken_before) / 2**20
assert give_freed_blocks_back() and held.sum() == 2**21
print(kept, resident() - before)
"""
)

BETWEEN = (
    COUNTED
    + """
import contextlib, sys, torch
from lam_train.train.allocator import keep_freed_blocks, large_blocks_on_their_own

keep_freed_blocks()
before, wholes, parts = taken(), [], []
with large_blocks_on_their_own() if sys.argv[1] == "own" else contextlib.nullcontext():
    for _ in range(60):
        wholes.append(torch.ones(2**20))  # 4 MiB
        parts.append(wholes[-1][: 2**14].clone())  # in no place that was freed: there is none yet
wholes.clear()
print((taken() - before) / 2**20)
"""
)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_blocks_are_kept_until_they_are_given_back():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    kept, left = map(float, done.stdout.split())
    assert kept > 400 and left < 100  # MiB


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_large_blocks_leave_nothing_behind_between_those_that_stay():
    kept = {}
    for how in ("own", "heap"):
        done = subprocess.run([sys.executable, "-c", BETWEEN, how], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
        kept[how] = float(done.stdout)
    assert kept["own"] < 20 and kept["heap"] > 200  # MiB; the parts have 4
