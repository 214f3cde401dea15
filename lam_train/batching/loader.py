"""The loader: which samples meet in which step, and packs prepared ahead.

Step number -> samples is a pure function of (seed, epoch), so the whole state of the loader is one number and
every rank computes the same plan alone: equal numbers of steps and micro-batches everywhere, nothing to exchange,
and a run goes on at any step by asking for it.
"""

import multiprocessing
import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from lam_train.batching.layout import BatchingSettings, build_packs, lay_out
from lam_train.batching.pack import Pack
from lam_train.batching.tree import sort_samples
from lam_train.errors import UserError
from lam_train.language.sample import Samples
from lam_train.processes import end_with_parent, leave_signals_to_parent

GROUPS_IN_A_STEP, POOLED_STEPS = 4, 32  # of group_by=prefix


@dataclass(frozen=True)
class StepBatch:
    """What one rank needs for one optimizer step."""

    step: int  # counts from 0
    epoch: float  # epochs of data seen when the step is done
    packs: list[Pack]
    samples: tuple[str, ...]  # ids of the whole step, over all ranks, in the order they were drawn
    physical_tokens: int  # over all ranks
    logical_tokens: int
    repeated_tokens: int  # of the physical ones: prefixes that run again because a tree was split
    supervised_tokens: int
    weight: float  # the sum of all target weights, over all ranks


class EpochPlan:
    """Which samples each step of an epoch takes; computed from (seed, epoch) alone."""

    def __init__(self, samples: Samples, batch_size: int, seed: int, group_by: str = "none") -> None:
        if len(samples) == 0:
            raise UserError("there are no samples to train on: the data is empty")
        self.samples, self.batch_size, self.seed, self.group_by = samples, batch_size, seed, group_by
        self.steps_per_epoch = -(-len(samples) // batch_size)
        self._cached: tuple[int, np.ndarray] | None = None

    def order(self, epoch: int) -> np.ndarray:
        """int64 [samples]: a permutation, new in every epoch; groups stay together where asked for."""
        if self._cached is None or self._cached[0] != epoch:
            rng = np.random.default_rng([self.seed, epoch])
            shuffled = rng.permutation(len(self.samples))
            if self.group_by == "prefix":
                shuffled = self._neighbours(shuffled, rng)
            elif self.group_by != "none":
                drawn = self._groups()[shuffled]
                first = np.empty(len(shuffled), np.int64)
                first[drawn[::-1]] = np.arange(len(shuffled))[::-1]  # of each group, where it is drawn first
                shuffled = shuffled[np.argsort(first[drawn], kind="stable")]
            self._cached = (epoch, shuffled)
        return self._cached[1]

    def _groups(self) -> np.ndarray:
        """int64 [samples]: the number of each sample's task or trajectory."""
        keys = self.samples.tasks if self.group_by == "task" else self.samples.trajectories
        numbers: dict[str, int] = {}
        return np.fromiter((numbers.setdefault(key, len(numbers)) for key in keys), np.int64, len(keys))

    def _neighbours(self, shuffled: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Sorts the samples of some steps by their tokens and deals them out in groups of neighbours, in random order.

        Pools and the place of the first cut are random, so an epoch's groups are not those of another.
        """
        size = max(self.batch_size // GROUPS_IN_A_STEP, 1)
        groups: list[np.ndarray] = []
        for start in range(0, len(shuffled), POOLED_STEPS * self.batch_size):
            pool = shuffled[start : start + POOLED_STEPS * self.batch_size]
            alike = pool[sort_samples([self.samples.tokens(i) for i in pool.tolist()])]
            cut = np.split(alike, range(int(rng.integers(size)), len(alike), size))
            groups += [cut[i] for i in rng.permutation(len(cut))]
        return np.concatenate(groups)

    def step_samples(self, step: int) -> np.ndarray:
        """int64 [<= batch_size]: the samples of optimizer step `step` (from 0), counted over all epochs."""
        epoch, within = divmod(step, self.steps_per_epoch)
        return self.order(epoch)[within * self.batch_size : (within + 1) * self.batch_size]


class Steps(torch.utils.data.Dataset):
    """Step number -> StepBatch of one rank; the batches are numbered from `first_step`."""

    def __init__(self, plan: EpochPlan, settings: BatchingSettings, rank: int, ranks: int, first_step: int) -> None:
        self.plan, self.settings, self.rank, self.ranks, self.first_step = plan, settings, rank, ranks, first_step

    def __getitem__(self, step: int) -> StepBatch:
        samples, chosen = self.plan.samples, self.plan.step_samples(step)
        layout = lay_out([samples.tokens(i) for i in chosen.tolist()], self.settings, self.ranks)
        weights = [samples.weights(i) for i in chosen]
        physical = sum(run.size for rows in layout.rows for row in rows for run in row)
        logical = int(samples.lengths[chosen].sum())
        return StepBatch(
            step=self.first_step + step,
            epoch=(step + 1) / self.plan.steps_per_epoch,
            packs=build_packs(samples, chosen, layout, self.rank),
            samples=tuple(samples.ids[i] for i in chosen),
            physical_tokens=physical,
            logical_tokens=logical,
            repeated_tokens=physical - (logical - int(layout.shared.sum())),
            supervised_tokens=int(sum((w != 0).sum() for w in weights)),
            weight=float(sum(w.sum(dtype=np.float64) for w in weights)),
        )


class _Pickled(torch.utils.data.Dataset):
    """The steps as bytes: a worker that hands tensors over keeps a file open for each, and a step may have hundreds."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def __getitem__(self, step: int) -> bytes:
        return pickle.dumps(self.steps[step])


def _end_with_parent(_worker: int) -> None:
    """Ends a worker with the process that reads from it, however that ended: it holds the run directory's lock."""
    end_with_parent(multiprocessing.parent_process().pid)
    leave_signals_to_parent()


class Loader:
    """Iterates over the steps that are left, from any step on. `len()` is the number of steps it gives."""

    def __init__(
        self,
        samples: Samples,
        settings: BatchingSettings,
        *,
        batch_size: int,
        steps: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        first_step: int = 0,
    ) -> None:
        self.plan = EpochPlan(samples, batch_size, seed, settings.group_by)
        self.settings, self.steps, self.first_step = settings, steps, first_step
        self.dataset = Steps(self.plan, settings, rank, ranks, first_step)
        self.next_step = 0  # of this loader's own
        self._started: torch.utils.data.DataLoader | None = None

    def __len__(self) -> int:
        return self.steps - self.next_step

    @property
    def last_step(self) -> int:
        """How many steps the training has made when this loader is at its end; `first_step` were made before it."""
        return self.first_step + self.steps

    def state(self) -> dict:
        """Enough to go on: where, and proof that the data and the order are the same."""
        plan = self.plan
        return {
            "next_step": self.next_step,
            "seed": plan.seed,
            "batch_size": plan.batch_size,
            "group_by": plan.group_by,
            "samples": plan.samples.fingerprint(),
        }

    KEYS = {"seed": "trainer.seed", "batch_size": "trainer.batch_size", "group_by": "batching.group_by"}

    def load_state(self, state: dict) -> None:
        """Goes on at `state["next_step"]`; raises UserError where data or order differ from the saved run's."""
        mine = self.state()
        for name, key in self.KEYS.items():
            if state[name] != mine[name]:
                raise UserError(
                    f"{key} is {mine[name]!r}, but the checkpoint was made with {state[name]!r}; going on would "
                    "train on other samples. Use the same value, or choose another run_dir."
                )
        if state["samples"] != mine["samples"]:
            raise UserError(
                "data.train gives other samples than those of the checkpoint (the file, the tokenizer or the chat "
                "template changed). Use the same data, or choose another run_dir."
            )
        self.next_step = state["next_step"]

    def start(self) -> None:
        """Starts the workers of the next iteration now, to be called before the weights are loaded.

        A worker is a fork: of each page that this process writes afterwards, the worker keeps what it was.
        """
        if self.settings.workers:
            self._started = self._workers(persistent=True)
            iter(self._started)  # with no step to ask for yet

    def close(self) -> None:
        """Ends workers that were started and never asked."""
        self._started = None

    def __iter__(self) -> Iterator[StepBatch]:
        batches = self._workers(persistent=False) if self._started is None else self._started
        self._started = None
        batches.sampler[:] = range(self.next_step, self.steps)
        for pickled in batches:
            batch: StepBatch = pickle.loads(pickled)
            self.next_step = batch.step + 1 - self.first_step
            yield batch

    def _workers(self, persistent: bool) -> torch.utils.data.DataLoader:
        """Gives the steps in its `sampler`, a list; `persistent`: its workers may be there before those are."""
        workers = self.settings.workers
        return torch.utils.data.DataLoader(
            _Pickled(self.dataset),
            batch_size=None,
            sampler=[],
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            persistent_workers=persistent,
            worker_init_fn=_end_with_parent if workers else None,
            # The samples are shared with a fork, and copied to a process begun in any other way, which a library that
            # is imported beside this one (torchrl), or a newer Python, may make the usual one.
            multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
            # The loader draws nothing: a generator of its own keeps the run's random state untouched.
            generator=torch.Generator(),
        )
