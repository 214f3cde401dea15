"""A loader's worker has none of the weights of the process that it is forked from."""

import multiprocessing
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from lam_train.batching.forking import tensors_left_out
from lam_train.batching.layout import BatchingSettings
from lam_train.batching.loader import Loader
from lam_train.language.sample import Sample, Samples, Segment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="madvise of Linux")
SIZE = 16 * 2**20  # float32


def is_mapped(pid: int, address: int) -> bool:
    """Whether a process has memory at this address."""
    ranges = (line.split()[0].split("-") for line in Path(f"/proc/{pid}/maps").read_text().splitlines())
    return any(int(first, 16) <= address < int(last, 16) for first, last in ranges)


def test_a_worker_has_no_weights_and_all_of_the_samples():
    weights = torch.nn.Parameter(torch.ones(SIZE))
    array = np.ones(SIZE, np.float32)
    under = torch.from_numpy(array)
    samples = Samples([Sample(str(n), (Segment(np.arange(5, 9)), Segment(np.arange(5, 9), 1.0))) for n in range(64)])
    loader = Loader(samples, BatchingSettings(workers=1), batch_size=1, steps=64, seed=0)
    before = set(psutil.Process().children())
    steps = iter(loader)
    first = next(steps)
    (worker,) = set(psutil.Process().children()) - before
    middle = SIZE // 2 * 4
    assert not is_mapped(worker.pid, weights.data_ptr() + middle)
    assert is_mapped(worker.pid, under.data_ptr() + middle)
    weights.data += 1
    assert [first.step, *(batch.step for batch in steps)] == list(range(64))
    assert weights.sum() == 2 * SIZE


def test_a_later_fork_has_them_again():
    weights = torch.ones(SIZE)
    with tensors_left_out():
        pass
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=lambda: queue.put(float(weights[::4096].sum())))
    process.start()
    process.join(30)
    assert process.exitcode == 0 and queue.get() == SIZE / 4096
