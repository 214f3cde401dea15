"""A loader's worker is forked from a process that holds a model: it takes none of it along.

A fork shares pages until one side writes, and a training writes all of its weights and optimizer state in every step:
the worker would soon hold a copy of its own of what it never reads.
"""

import ctypes
import gc
import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

DONT_FORK, DO_FORK = 10, 11  # of madvise(2)
LARGE = 2**20  # bytes


@contextmanager
def tensors_left_out() -> Iterator[None]:
    """What is forked within it has none of this process's large CPU tensors: it must not touch them. On Linux alone.

    Memory of NumPy's, also under a tensor, goes along.
    """
    ranges = _pages_of_tensors() if sys.platform == "linux" else []
    for start, size in ranges:
        _advise(start, size, DONT_FORK)
    try:
        yield
    finally:
        for start, size in ranges:
            _advise(start, size, DO_FORK)


def _pages_of_tensors() -> list[tuple[int, int]]:
    """(address, bytes) of the whole pages of each large tensor's memory."""
    found = {}
    for thing in gc.get_objects():
        if type(thing) not in (torch.Tensor, torch.nn.Parameter) or thing.device.type != "cpu":
            continue
        if thing.layout != torch.strided:
            continue
        storage = thing.untyped_storage()
        if storage.nbytes() >= LARGE and storage.resizable():  # NumPy's memory is not
            found[storage.data_ptr()] = storage.nbytes()
    pages = []
    for address, size in found.items():
        start = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
        pages.append((start, (address + size) // mmap.PAGESIZE * mmap.PAGESIZE - start))
    return pages


def _advise(start: int, size: int, advice: int) -> None:
    """A refusal does no harm: the pages go along."""
    ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), advice)
