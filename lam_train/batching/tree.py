"""Equal prefixes, merged: samples in lexicographic order are a tree, cut into rows.

Sort the samples of a step by their tokens. Each then shares its longest prefix with a neighbour, and the sorted
order is the depth-first order of the prefix tree: sample i adds only the tokens behind `shared[i]`, the length of
the prefix it has in common with sample i - 1. A run of neighbours is a tree whose size is
`length[first] + sum(length[i] - shared[i])`; cutting a run in two repeats `shared[cut]` tokens and nothing else.
So a tree that is too large for a row is split where the least is repeated, by dynamic programming over the cuts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Run:
    """Neighbours [first, last) of the sorted samples that lie in one row as one tree."""

    first: int
    last: int
    size: int  # tokens, each shared one counted once


def sort_samples(tokens: Sequence[np.ndarray]) -> list[int]:
    """The indices of the samples in lexicographic order of their tokens; equal samples keep their order."""
    # Big-endian bytes compare as the numbers do.
    return sorted(range(len(tokens)), key=lambda i: tokens[i].astype(">u4").tobytes())


def shared_lengths(tokens: Sequence[np.ndarray]) -> np.ndarray:
    """int64 [samples]: the tokens that each sample has in common with the one before it; 0 for the first."""
    shared = np.zeros(len(tokens), np.int64)
    for i in range(1, len(tokens)):
        n = min(len(tokens[i]), len(tokens[i - 1]))
        differs = np.flatnonzero(tokens[i][:n] != tokens[i - 1][:n])
        shared[i] = differs[0] if len(differs) else n
    return shared


def cut_into_runs(lengths: np.ndarray, shared: np.ndarray, capacity: int, most_samples: int | None = None) -> list[Run]:
    """The runs of at most `capacity` tokens (and `most_samples` samples) that repeat the fewest tokens.

    `lengths` and `shared` are int64 [samples] in sorted order. Where nothing is shared each sample is a run of
    its own, for the packer to place freely. Raises ValueError for a sample longer than `capacity`.
    """
    runs: list[Run] = []
    start = 0
    for stop in range(1, len(lengths) + 1):
        if stop == len(lengths) or shared[stop] == 0:
            runs += _cut_tree(lengths, shared, start, stop, capacity, most_samples)
            start = stop
    return runs


def _cut_tree(lengths, shared, start: int, stop: int, capacity: int, most_samples: int | None) -> list[Run]:
    whole = int(lengths[start] + (lengths[start + 1 : stop] - shared[start + 1 : stop]).sum())
    most = most_samples or (stop - start)
    if whole <= capacity and stop - start <= most:
        return [Run(start, stop, whole)]
    # best[j]: the fewest tokens that hold samples [start, j), and where the last run begins.
    best: dict[int, tuple[int, int]] = {start: (0, start)}
    for j in range(start + 1, stop + 1):
        size, choices = 0, []
        for i in range(j - 1, max(start, j - most) - 1, -1):
            # Going left, the former first sample now shares its prefix with sample i.
            size += int(lengths[i]) - (int(shared[i + 1]) if i + 1 < j else 0)
            if size > capacity:
                break
            if i in best:
                choices.append((best[i][0] + size, i))
        if not choices:
            raise ValueError(f"sample {j - 1} has {lengths[j - 1]} tokens, more than a row's {capacity}")
        best[j] = min(choices)
    runs, j = [], stop
    while j > start:
        i = best[j][1]
        runs.append(Run(i, j, best[j][0] - best[i][0]))
        j = i
    return runs[::-1]
