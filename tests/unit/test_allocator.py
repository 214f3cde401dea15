"""Freed memory is kept by the process while it trains, and goes back to the system when or where that is asked for."""

import subprocess
import sys

import pytest

SCRIPT = """
import psutil, torch
from lam_train.train.allocator import give_freed_blocks_back, keep_freed_blocks

def resident():
    return psutil.Process().memory_info().rss / 2**20

assert keep_freed_blocks()
before = resident()
blocks = [torch.ones(2**21) for _ in range(60)]  # 8 MiB each
held = blocks.pop(30)  # the heap cannot just shrink from its end
blocks.clear()
kept = resident() - before
assert give_freed_blocks_back() and held.sum() == 2**21
print(kept, resident() - before)
"""

BETWEEN = """
import contextlib, sys, psutil, torch
from lam_train.train.allocator import keep_freed_blocks, large_blocks_on_their_own

keep_freed_blocks()
before, parts = psutil.Process().memory_info().rss, []
with large_blocks_on_their_own() if sys.argv[1] == "own" else contextlib.nullcontext():
    for size in range(60):
        whole = torch.ones(2**20 + size * 2**12)  # from 4 MiB on, each larger than the places of those before
        parts.append(whole[: 2**14].clone())
del whole
print((psutil.Process().memory_info().rss - before) / 2**20)
"""


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
    assert kept["own"] < 20 and kept["heap"] > 100  # MiB; the parts have 4
