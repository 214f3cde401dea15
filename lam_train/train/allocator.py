"""The C library's memory allocator, told that a training asks for the same large blocks again and again."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST = 2**31 - 1  # bytes; an int


def keep_freed_blocks() -> bool:
    """Freed memory stays with the process: else every large tensor's pages are asked of the system anew.

    Returns whether the C library did so: glibc does. docs/performance.md has what it gives.
    """
    mallopt = _of_the_c_library("mallopt")
    return mallopt is not None and all(mallopt(which, LARGEST) for which in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD))


def give_freed_blocks_back() -> bool:
    """What is kept goes back to the system, between steps: what comes now asks for blocks of other sizes.

    Returns whether there was any.
    """
    trim = _of_the_c_library("malloc_trim")
    return trim is not None and bool(trim(ctypes.c_size_t(0)))


def _of_the_c_library(name: str):
    """A function of the C library, None where it has no such one."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
