"""The C library's memory allocator, told that a training asks for the same large blocks again and again."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
LARGEST = 2**31 - 1  # bytes; an int


def keep_freed_blocks() -> bool:
    """Freed memory stays with the process: else every large tensor's pages are asked of the system anew.

    Returns whether the C library did so: glibc does. docs/performance.md has what it gives.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(which, LARGEST) for which in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD))
