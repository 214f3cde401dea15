"""Rows, runs and steps: what the batcher promises."""

import mmap
import multiprocessing
import sys
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from lam_train.batching.layout import BatchingSettings, fit_rows, lay_out
from lam_train.batching.loader import EpochPlan, Loader
from lam_train.batching.pack import PackInput, build_pack
from lam_train.batching.tree import Run, cut_into_runs, shared_lengths, sort_samples
from lam_train.errors import UserError
from lam_train.language.sample import Sample, Samples, Segment


def random_samples(count: int, seed: int = 0, tasks: int = 7) -> Samples:
    rng = np.random.default_rng(seed)
    prefixes = [rng.integers(0, 5, rng.integers(1, 12)).astype(np.int32) for _ in range(4)]
    made = []
    for i in range(count):
        head = np.concatenate([[9], prefixes[rng.integers(4)]]).astype(np.int32)
        tail = rng.integers(0, 5, rng.integers(1, 9)).astype(np.int32)
        made.append(Sample(f"s{i}", (Segment(head), Segment(tail, 1.0)), task=f"t{i % tasks}"))
    return Samples(made)


def tree_size(tokens: list[np.ndarray]) -> int:
    """The number of distinct prefixes: the nodes of the trie, counted the slow way."""
    return len({tuple(t[: n + 1]) for t in tokens for n in range(len(t))})


def test_neighbours_in_sorted_order_are_a_prefix_tree():
    samples = random_samples(60)
    tokens = [samples.tokens(i) for i in range(len(samples))]
    order = sort_samples(tokens)
    sorted_tokens = [tokens[i] for i in order]
    shared = shared_lengths(sorted_tokens)
    assert sum(len(t) - s for t, s in zip(sorted_tokens, shared, strict=True)) == tree_size(tokens)


def test_token_ids_above_a_byte_are_ordered_as_numbers():
    tokens = [np.asarray(t, np.int32) for t in ([256, 1], [1, 5], [255, 9], [70000], [256])]
    assert sort_samples(tokens) == [1, 2, 4, 0, 3]


def test_a_split_repeats_as_few_tokens_as_any_split_could():
    rng = np.random.default_rng(1)
    for _ in range(40):
        samples = random_samples(7, seed=int(rng.integers(1 << 30)))
        tokens = sorted((samples.tokens(i) for i in range(7)), key=lambda t: tuple(t))
        lengths, shared = np.asarray([len(t) for t in tokens]), shared_lengths(tokens)
        capacity = int(lengths.max() + rng.integers(0, 12))
        runs = cut_into_runs(lengths, shared, capacity)
        assert all(run.size == tree_size(tokens[run.first : run.last]) <= capacity for run in runs)
        assert [i for run in runs for i in range(run.first, run.last)] == list(range(7))
        best = min(
            sum(sizes)
            for cuts in (c for n in range(7) for c in combinations(range(1, 7), n))
            if max(sizes := [tree_size(tokens[a:b]) for a, b in zip((0, *cuts), (*cuts, 7), strict=True)]) <= capacity
        )
        assert sum(run.size for run in runs) == best


def test_best_fit_decreasing_on_a_worked_example():
    runs = [Run(i, i + 1, size) for i, size in enumerate([5, 7, 5, 2, 4, 2, 5])]
    rows = fit_rows(runs, capacity=10)
    # 7; then 5+5; then 5+4; then 2 into the row with 1 to spare? no: into 7 (3 left), then 2 opens nothing new
    assert [[run.size for run in row] for row in rows] == [[7, 2], [5, 5], [5, 4], [2]]


@pytest.mark.parametrize("ranks", [1, 2, 5])
@pytest.mark.parametrize("share", [True, False])
def test_every_sample_lies_in_exactly_one_row_and_ranks_have_equal_micro_batches(ranks, share):
    samples = random_samples(40)
    settings = BatchingSettings(max_tokens=60, share_prefixes=share, workers=0)
    layout = lay_out([samples.tokens(i) for i in range(40)], settings, ranks)
    places = [i for rank in layout.rows for row in rank for run in row for i in range(run.first, run.last)]
    assert sorted(layout.order[i] for i in places) == list(range(40))
    assert len({len(rank) for rank in layout.rows}) == 1
    assert all(sum(run.size for run in row) <= 60 for rank in layout.rows for row in rank)
    assert bool(layout.shared.any()) == share
    assert sum(not row for rank in layout.rows for row in rank) < ranks  # of padding no more than it takes


def test_rows_are_evened_out_over_ranks():
    samples = random_samples(32)
    tokens = [samples.tokens(i) for i in range(32)]
    layout = lay_out(tokens, BatchingSettings(max_tokens=4096, workers=0), ranks=4)
    sizes = [sum(run.size for row in rank for run in row) for rank in layout.rows]
    assert layout.micro_batches == 1
    assert max(sizes) <= 1.2 * np.mean(sizes)


def test_rows_that_run_at_the_same_time_are_alike():
    samples = random_samples(40)
    layout = lay_out([samples.tokens(i) for i in range(40)], BatchingSettings(max_tokens=30, workers=0), 3)
    sizes = [
        sum(run.size for run in layout.rows[rank][micro]) for micro in range(layout.micro_batches) for rank in range(3)
    ]
    assert layout.micro_batches > 2 and sizes == sorted(sizes, reverse=True)


def test_micro_batch_size_caps_the_samples_of_a_row():
    samples = random_samples(24)
    layout = lay_out([samples.tokens(i) for i in range(24)], BatchingSettings(micro_batch_size=3, workers=0), 1)
    assert max(sum(run.last - run.first for run in row) for row in layout.rows[0]) == 3
    assert fit_rows([Run(0, 2, 4), Run(2, 3, 1), Run(3, 4, 1)], 10, 3) == [[Run(0, 2, 4), Run(2, 3, 1)], [Run(3, 4, 1)]]


def test_what_a_step_says_of_itself_is_over_all_ranks_and_what_its_packs_hold():
    made = random_samples(37)
    made._weights *= np.repeat(np.resize([1.0, 0.5, -2.0], 37), made.lengths).astype(np.float32)
    settings = BatchingSettings(max_tokens=40, workers=0)
    ranks = [Loader(made, settings, batch_size=16, steps=6, seed=0, rank=r, ranks=3, first_step=10) for r in range(3)]
    assert ranks[0].last_step == 16
    for step in range(6):
        batches = [loader.dataset[step] for loader in ranks]
        packs = [pack for batch in batches for pack in batch.packs if pack.samples]
        for batch in batches:
            assert batch.step == 10 + step and batch.epoch == pytest.approx((step + 1) / 3)
            assert sorted(batch.samples) == sorted(id for pack in packs for id in pack.samples)
            assert batch.physical_tokens == sum(len(pack.tokens) for pack in packs)
            assert batch.logical_tokens == sum(pack.logical_tokens for pack in packs)
            assert batch.supervised_tokens == sum(len(pack.targets) for pack in packs)
            assert batch.weight == pytest.approx(sum(pack.weights.sum().item() for pack in packs))
            chosen = [made.ids.index(id) for id in batch.samples]
            assert batch.logical_tokens == made.lengths[chosen].sum()
            assert batch.supervised_tokens == made.supervised()[chosen].sum()
    assert [batch.step for batch in ranks[0]] == list(range(10, 16)) and len(ranks[0]) == 0


def test_a_first_token_that_is_a_target_is_refused():
    with pytest.raises(ValueError, match="x: its first token is a target"):
        build_pack([PackInput("x", np.arange(3, dtype=np.int32), np.ones(3, np.float32), 0)])


def test_no_samples_are_refused():
    with pytest.raises(UserError, match="no samples to train on"):
        Loader(Samples([]), BatchingSettings(workers=0), batch_size=8, steps=1, seed=0)


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_leaves_the_random_state_alone(workers):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    assert len(list(Loader(random_samples(9), BatchingSettings(workers=workers), batch_size=8, steps=2, seed=0))) == 2
    assert torch.equal(torch.get_rng_state(), before)


def test_length_is_the_number_of_steps_taken_and_an_epoch_holds_every_sample_once():
    samples = random_samples(37)
    loader = Loader(samples, BatchingSettings(workers=0), batch_size=8, steps=10, seed=0)
    assert len(loader) == 10
    batches = list(loader)
    assert len(batches) == 10 and len(loader) == 0
    for epoch in (batches[:5], batches[5:]):
        assert sorted(id for b in epoch for id in b.samples) == sorted(samples.ids)
    assert [b.samples for b in batches[:5]] != [b.samples for b in batches[5:]]


@pytest.mark.parametrize(("workers", "started"), [(0, False), (0, True), (2, False), (2, True)])
def test_going_on_at_any_step_gives_the_same_steps(workers, started):
    samples, settings = random_samples(37), BatchingSettings(workers=workers)
    make = lambda: Loader(samples, settings, batch_size=8, steps=12, seed=3)  # noqa: E731
    whole = [b.samples for b in make()]
    for done in (0, 4, 7):
        first, second = make(), make()
        taken = [b.samples for b, _ in zip(first, range(done), strict=False)]
        if started:
            second.start()
        second.load_state(first.state() | {"next_step": done})
        assert taken + [b.samples for b in second] == whole


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_workers_started_early_keep_nothing_of_what_is_written_later():
    """They are forks; without `start` one keeps a copy of all weights, as they were before the first update."""
    samples, settings = random_samples(37), BatchingSettings(workers=1)
    size, kept = 200_000_000, {}
    for early in (False, True):
        loader = Loader(samples, settings, batch_size=8, steps=12, seed=3)
        before = set(multiprocessing.active_children())
        if early:
            loader.start()
        # Not the allocator's, which may give pages that were there before the fork.
        weights = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        weights.write(b"1" * size)
        batches = iter(loader)
        next(batches)
        (worker,) = set(multiprocessing.active_children()) - before
        weights.seek(0)
        weights.write(b"2" * size)
        _, *lines = Path(f"/proc/{worker.pid}/smaps_rollup").read_text().splitlines()
        kept[early] = int(dict(line.split()[:2] for line in lines)["Pss:"]) / 1000
        batches.close()
        weights.close()
        assert not worker.is_alive()
    assert kept[False] - kept[True] > 150, kept


@pytest.mark.skipif(sys.platform != "linux", reason="other systems begin processes in their own way")
def test_workers_are_forks_whatever_is_usual():
    """Any other process would get a copy of all samples; a library may change the usual way (torchrl does)."""
    usual = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        loader = Loader(random_samples(37), BatchingSettings(workers=1), batch_size=8, steps=12, seed=3)
        before = set(multiprocessing.active_children())
        loader.start()
        (worker,) = set(multiprocessing.active_children()) - before
        loader.close()
    finally:
        multiprocessing.set_start_method(usual, force=True)
    assert type(worker) is multiprocessing.context.ForkProcess


def test_workers_that_are_never_asked_end():
    before = set(multiprocessing.active_children())
    loader = Loader(random_samples(37), BatchingSettings(workers=2), batch_size=8, steps=12, seed=3)
    loader.start()
    started = set(multiprocessing.active_children()) - before
    loader.close()
    assert len(started) == 2 and not any(worker.is_alive() for worker in started)


def test_other_data_or_order_is_refused_on_resume():
    settings = BatchingSettings(workers=0)
    make = lambda samples, **more: Loader(samples, settings, steps=4, **({"batch_size": 8, "seed": 0} | more))  # noqa: E731
    state = make(random_samples(37)).state()
    make(random_samples(37)).load_state(state)
    for other, key in (
        (make(random_samples(36)), "data.train"),
        (make(random_samples(37), seed=1), "trainer.seed"),
        (make(random_samples(37), batch_size=4), "trainer.batch_size"),
    ):
        with pytest.raises(UserError, match=key):
            other.load_state(state)
    grouped = Loader(random_samples(37), BatchingSettings(workers=0, group_by="task"), batch_size=8, steps=4, seed=0)
    with pytest.raises(UserError, match=r"batching\.group_by"):
        grouped.load_state(state)


def test_group_by_task_brings_a_task_into_neighbouring_steps():
    samples = random_samples(56)
    order = EpochPlan(samples, 8, 0, "task").order(0)
    tasks = [samples.tasks[i] for i in order]
    assert sum(a != b for a, b in pairwise(tasks)) == 6
    free = [samples.tasks[i] for i in EpochPlan(samples, 8, 0).order(0)]
    assert sum(a != b for a, b in pairwise(free)) > 20


def test_group_by_trajectory_keeps_those_of_a_task_apart():
    tokens = np.arange(3, dtype=np.int32)
    made = [
        Sample(f"s{i}", (Segment(tokens, 1.0),), task=f"t{i % 3}", trajectory=f"t{i % 3}-{i % 6}") for i in range(48)
    ]
    for group_by, groups in (("task", 3), ("trajectory", 6)):
        order = EpochPlan(Samples(made), 8, 0, group_by).order(0)
        names = [getattr(made[i], group_by) for i in order]
        assert sum(a != b for a, b in pairwise(names)) == groups - 1
    assert sum(a != b for a, b in pairwise(made[i].task for i in order)) > 2


def test_group_by_prefix_deals_out_four_groups_of_neighbours_a_step_in_random_order():
    samples = Samples([Sample(f"s{i}", (Segment(np.asarray([9, i], np.int32), 1.0),)) for i in range(203)])
    order = EpochPlan(samples, 16, 0, "prefix").order(0)
    breaks = np.flatnonzero(np.diff(order) != 1) + 1
    assert 45 <= len(breaks) <= 51  # of 52 groups of four; two may come one behind the other by chance
    assert 15 < (np.diff(order[breaks]) > 0).sum() < 35


def test_group_by_prefix_makes_steps_cheaper_and_takes_every_sample_once():
    samples = random_samples(203)

    def tokens(group_by: str) -> int:
        settings = BatchingSettings(group_by=group_by, workers=0)
        loader = Loader(samples, settings, batch_size=16, steps=13, seed=0)
        return sum(batch.physical_tokens for batch in loader)

    assert tokens("prefix") < 0.9 * tokens("none")
    for batch_size in (16, 3, 1):  # one pool of steps, and several
        plan = EpochPlan(samples, batch_size, 0, "prefix")
        assert all(sorted(plan.order(epoch)) == list(range(203)) for epoch in range(2))
    plan = EpochPlan(samples, 16, 0, "prefix")
    groups = [{frozenset(plan.order(e)[i : i + 4]) for i in range(0, 203, 4)} for e in range(2)]
    assert len(groups[0] & groups[1]) < 20  # of 51: an epoch's groups are not those of another


@pytest.mark.parametrize("group_by", ["none", "prefix"])
def test_the_order_depends_on_seed_and_epoch_alone(group_by):
    samples = random_samples(50)
    orders = {(s, e): tuple(EpochPlan(samples, 8, s, group_by).order(e)) for s in (0, 1) for e in (0, 1)}
    assert len(set(orders.values())) == 4
    assert tuple(EpochPlan(samples, 8, 0, group_by).order(1)) == orders[0, 1]
    if group_by == "none":
        assert tuple(EpochPlan(samples, 5, 0).order(1)) == orders[0, 1]


def test_the_loss_in_sharing_of_split_trees_is_reported():
    samples = random_samples(16)
    whole = Loader(samples, BatchingSettings(workers=0), batch_size=16, steps=1, seed=0).dataset[0]
    split = Loader(samples, BatchingSettings(max_tokens=25, workers=0), batch_size=16, steps=1, seed=0).dataset[0]
    assert whole.repeated_tokens == 0 < split.repeated_tokens
    assert split.repeated_tokens == split.physical_tokens - whole.physical_tokens


def test_a_step_of_many_rows_needs_few_open_files():
    """Workers that hand tensors over keep a file open for each; the usual limit is 1,024."""
    import os
    import resource

    samples = random_samples(64)
    loader = Loader(samples, BatchingSettings(micro_batch_size=1, workers=1), batch_size=64, steps=6, seed=0)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 100, hard))
    try:
        assert [len(batch.packs) for batch in loader] == [64] * 6
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
