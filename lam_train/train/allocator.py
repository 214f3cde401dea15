"""The C library's memory allocator, told that a training asks for the same large blocks again and again."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST = 2**31 - 1  # bytes; an int
USUAL, USUAL_MOST = 2**17, 2**25  # bytes: where glibc's threshold for blocks of their own begins, and how far it grows


def keep_freed_blocks() -> bool:
    """Freed memory stays with the process: else every large tensor's pages are asked of the system anew.

    Returns whether the C library did so: glibc does. docs/performance.md has what it gives.
    """
    mallopt = _of_the_c_library("mallopt")
    return mallopt is not None and all(mallopt(which, LARGEST) for which in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD))


@contextmanager
def large_blocks_on_their_own() -> Iterator[None]:
    """Inside, a freed tensor's memory goes back to the system at once, whatever was allocated behind it.

    Else tensors that stay keep the places between them of those that were freed.
    """
    mallopt = _of_the_c_library("mallopt")
    if mallopt is None:
        yield
        return
    mallopt(M_MMAP_THRESHOLD, USUAL)
    try:
        yield
    finally:
        mallopt(M_MMAP_THRESHOLD, USUAL_MOST)


def give_freed_blocks_back() -> bool:
    """What is kept goes back to the system, between steps: what comes now asks for blocks of other sizes.

    Returns whether there was any.
    """
    trim = _of_the_c_library("malloc_trim")
    return trim is not None and bool(trim(ctypes.c_size_t(0)))


def _of_the_c_library(name: str):
    """A function of the C library, None where it has no such one."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
