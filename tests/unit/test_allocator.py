"""Freed memory is kept by the process while it trains, and goes back to the system when that is asked for."""

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


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_blocks_are_kept_until_they_are_given_back():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    kept, left = map(float, done.stdout.split())
    assert kept > 400 and left < 100  # MiB
