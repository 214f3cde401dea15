"""Where the samples of one optimizer step lie: trees, rows, ranks. Nothing learned depends on it."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Literal

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

from lam_train.batching.pack import Pack, PackInput, build_pack, padding_pack
from lam_train.batching.tree import Run, cut_into_runs, shared_lengths, sort_samples
from lam_train.language.sample import Samples
from lam_train.settings import Settings


class BatchingSettings(Settings):
    """How samples become rows, and rows reach the ranks."""

    max_tokens: PositiveInt = 2048
    """most tokens in a row; a sample must fit into one"""
    share_prefixes: bool = True
    """merge equal prefixes of a step's samples into trees"""
    micro_batch_size: PositiveInt | None = None
    """most samples in a row; null: as many as fit"""
    group_by: Literal["none", "task", "trajectory", "prefix"] = "none"
    """which samples meet in a step: any; neighbours of one task or trajectory; or four groups that each have the
    longest prefixes in common (more sharing, less mixing)"""
    overlong: Literal["refuse", "drop", "shorten"] = "refuse"
    """a sample longer than `max_tokens`: stop at the start with its id; leave it out and count it; or, of trajectories,
    leave out controls, history and text of its prompt (docs/step_format.md), never of its answer"""
    workers: NonNegativeInt = 1
    """processes that prepare steps ahead; 0: in the training process"""


Row = list[Run]


@dataclass(frozen=True)
class StepLayout:
    """The packs of one optimizer step. `rows[rank][micro]`; every rank has the same number of micro-batches."""

    rows: list[list[Row]]
    order: list[int]  # the samples' order in the rows: positions in the step's list
    shared: np.ndarray  # int64 [samples], in that order

    @property
    def micro_batches(self) -> int:
        return len(self.rows[0])


def fit_rows(runs: Sequence[Run], capacity: int, most_samples: int | None = None) -> list[Row]:
    """Best-fit decreasing: the largest run first, into the fullest row that still has room for it."""
    rows: list[Row] = []
    open_rows: list[tuple[int, int]] = []  # (room, row), sorted
    for run in sorted(runs, key=attrgetter("size"), reverse=True):  # of one size, as they come
        place = bisect_left(open_rows, (run.size, 0))
        if most_samples is not None:
            while place < len(open_rows) and _samples(rows[open_rows[place][1]]) + run.last - run.first > most_samples:
                place += 1
        room, row = open_rows.pop(place) if place < len(open_rows) else (capacity, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(run)
        insort(open_rows, (room - run.size, row))
    return rows


def _samples(row: Row) -> int:
    return sum(run.last - run.first for run in row)


def lay_out(tokens: Sequence[np.ndarray], settings: BatchingSettings, ranks: int) -> StepLayout:
    """Packs a step's samples into rows for `ranks` ranks.

    One rank: best-fit decreasing into rows of `max_tokens`. Several: the same number of rows on each, evened out by
    MULTIFIT (a search for the smallest capacity at which best-fit decreasing still needs no more rows), to within a
    hundredth.
    """
    if settings.share_prefixes:
        order = sort_samples(tokens)
        shared = shared_lengths([tokens[i] for i in order])
    else:
        order, shared = list(range(len(tokens))), np.zeros(len(tokens), np.int64)
    lengths = np.asarray([len(tokens[i]) for i in order], np.int64)

    most = settings.micro_batch_size
    widest = cut_into_runs(lengths, shared, settings.max_tokens, most)
    largest = max((run.size for run in widest), default=0)

    def rows_at(capacity: int) -> list[Row]:
        runs = widest if capacity >= largest else cut_into_runs(lengths, shared, capacity, most)
        return fit_rows(runs, capacity, most)

    rows = rows_at(settings.max_tokens)
    micro_batches = -(-len(rows) // ranks)
    if ranks > 1:
        even = -(-int((lengths - shared).sum()) // (micro_batches * ranks))  # no smaller capacity holds all tokens
        low, high = max(int(lengths.max()), even), settings.max_tokens
        step = high // 100
        while high - low > high // 100:
            middle = min(low + step, (low + high) // 2)  # of many small runs almost any capacity fits: from below
            tried = rows_at(middle)
            if len(tried) <= micro_batches * ranks:
                rows, high = tried, middle
            else:
                low, step = middle + 1, 2 * step
    # Largest rows first, dealt out in turn: rows that run at the same time on different ranks are alike.
    rows = sorted(rows, key=lambda row: (-sum(run.size for run in row), row[0].first))
    rows += [[] for _ in range(micro_batches * ranks - len(rows))]
    return StepLayout([rows[rank::ranks] for rank in range(ranks)], order, shared)


def build_packs(samples: Samples, chosen: Sequence[int], layout: StepLayout, rank: int) -> list[Pack]:
    """The packs of one rank, in the order in which they run."""
    packs = []
    for row in layout.rows[rank]:
        inputs = []
        for run in row:
            for place in range(run.first, run.last):
                index = chosen[layout.order[place]]
                common = int(layout.shared[place]) if place > run.first else 0
                inputs.append(PackInput(samples.ids[index], samples.tokens(index), samples.weights(index), common))
        packs.append(build_pack(inputs) if inputs else padding_pack())
    return packs
