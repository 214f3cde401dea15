"""Equal prefixes, merged: samples in lexicographic order are a tree, cut into rows.

Sort the samples of a step by their tokens. Each then shares its longest prefix with a neighbour, and the sorted
order is the depth-first order of the prefix tree: sample i adds only the tokens behind `shared[i]`, the length of
the prefix it has in common with sample i - 1. A run of neighbours is a tree whose size is
`length[first] + sum(length[i] - shared[i])`; cutting a run in two repeats `shared[cut]` tokens and nothing else.
So a tree that is too large for a row is split where the least is repeated, by dynamic programming over the cuts.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Run(NamedTuple):
    """Neighbours [first, last) of the sorted samples that lie in one row as one tree."""

    first: int
    last: int
    size: int  # tokens, each shared one counted once


def sort_samples(tokens: Sequence[np.ndarray]) -> list[int]:
    """The indices of the samples in lexicographic order of their tokens; equal samples keep their order."""
    if not tokens:
        return []
    whole = np.concatenate(tokens).astype(">u4").tobytes()  # big-endian bytes compare as the numbers do
    stops = (4 * np.cumsum([len(sample) for sample in tokens])).tolist()
    keys = [whole[start:stop] for start, stop in zip([0, *stops], stops, strict=False)]
    return sorted(range(len(tokens)), key=keys.__getitem__)


def shared_lengths(tokens: Sequence[np.ndarray]) -> np.ndarray:
    """int64 [samples]: the tokens that each sample has in common with the one before it; 0 for the first."""
    shared = np.zeros(len(tokens), np.int64)
    if len(tokens) < 2:
        return shared
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    compared = np.minimum(lengths[:-1], lengths[1:])  # of each pair of neighbours, all pairs in one row
    sizes = compared.tolist()
    before = np.concatenate([one[:n] for one, n in zip(tokens[:-1], sizes, strict=True)])
    after = np.concatenate([one[:n] for one, n in zip(tokens[1:], sizes, strict=True)])
    stops = np.cumsum(compared)
    starts = stops - compared
    differ = np.append(np.flatnonzero(before != after), len(before))
    shared[1:] = np.minimum(differ[np.searchsorted(differ, starts)], stops) - starts
    return shared


def cut_into_runs(lengths: np.ndarray, shared: np.ndarray, capacity: int, most_samples: int | None = None) -> list[Run]:
    """The runs of at most `capacity` tokens (and `most_samples` samples) that repeat the fewest tokens.

    `lengths` and `shared` are int64 [samples] in sorted order. Where nothing is shared each sample is a run of
    its own, for the packer to place freely. Raises ValueError for a sample longer than `capacity`.
    """
    runs: list[Run] = []
    if len(lengths) == 0:
        return runs
    starts = np.flatnonzero(shared == 0)  # of the trees
    sizes = np.add.reduceat(lengths - shared, starts)
    for start, stop, size in zip(starts.tolist(), [*starts[1:].tolist(), len(lengths)], sizes.tolist(), strict=True):
        if size <= capacity and (most_samples is None or stop - start <= most_samples):
            runs.append(Run(start, stop, size))
        else:
            most = most_samples or stop - start
            runs += _cut_tree(lengths[start:stop].tolist(), shared[start:stop].tolist(), start, capacity, most)
    return runs


def _cut_tree(lengths: list[int], shared: list[int], start: int, capacity: int, most: int) -> list[Run]:
    """The runs of one tree, whose samples are those from `start` on."""
    # best[j]: the fewest tokens that hold the tree's first j samples, and where the last run begins.
    best: dict[int, tuple[int, int]] = {0: (0, 0)}
    for j in range(1, len(lengths) + 1):
        size, choices = 0, []
        for i in range(j - 1, max(0, j - most) - 1, -1):
            # Going left, the former first sample now shares its prefix with sample i.
            size += lengths[i] - (shared[i + 1] if i + 1 < j else 0)
            if size > capacity:
                break
            if i in best:
                choices.append((best[i][0] + size, i))
        if not choices:
            raise ValueError(f"sample {start + j - 1} has {lengths[j - 1]} tokens, more than a row's {capacity}")
        best[j] = min(choices)
    runs, j = [], len(lengths)
    while j > 0:
        i = best[j][1]
        runs.append(Run(start + i, start + j, best[j][0] - best[i][0]))
        j = i
    return runs[::-1]
