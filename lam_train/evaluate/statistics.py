"""Means over tasks, with bootstrap intervals that respect what tasks share.

Tasks made from one page (of documentation) resemble each other, so the unit that is drawn again is the page, not
the task: the cluster bootstrap (C. A. Field and A. H. Welsh, "Bootstrapping clustered data", JRSS B 69, 2007).
"""

import numpy as np

from lam_train.records import Record

LEVEL = 0.95
_CHUNK = 256  # resamples drawn at once: bounds the memory at 256 x pages


class Estimate(Record):
    """A mean and its interval (95 %, percentile bootstrap), in the unit of the values."""

    mean: float
    low: float
    high: float


def resampled_means(values_TC: np.ndarray, pages: list[str], resamples: int, seed: int) -> np.ndarray:
    """[resamples, C]: the means of C columns of values over T tasks, in each resample of the pages.

    All columns see the same resamples. A resample draws as many pages as there are, with replacement, and takes all
    tasks of each: its mean is over tasks. The same arguments give the same numbers, whatever the order of the tasks.
    NaN marks a missing value; a resample without any value of a column gives NaN.
    """
    if len(pages) != len(values_TC):
        raise ValueError(f"{len(values_TC)} rows of values for {len(pages)} pages")
    names, page_of_task = np.unique(np.asarray(pages, dtype=str), return_inverse=True)
    known_TC = ~np.isnan(values_TC)
    sums_PC = np.zeros((len(names), values_TC.shape[1]))
    counts_PC = np.zeros_like(sums_PC)
    np.add.at(sums_PC, page_of_task, np.where(known_TC, values_TC, 0.0))
    np.add.at(counts_PC, page_of_task, known_TC.astype(float))
    generator = np.random.default_rng(seed)
    chunks = []
    for start in range(0, resamples, _CHUNK):
        drawn = min(_CHUNK, resamples - start)
        times_BP = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=drawn)
        with np.errstate(invalid="ignore"):
            chunks.append((times_BP @ sums_PC) / (times_BP @ counts_PC))
    return np.concatenate(chunks)


def estimates(values_TC: np.ndarray, pages: list[str], resamples: int, seed: int) -> list[Estimate | None]:
    """The mean over tasks and the interval of each column; None for a column without a value.

    A column of differences between two models on the same task gives the paired interval of the difference.
    """
    means_BC = resampled_means(values_TC, pages, resamples, seed)
    found: list[Estimate | None] = []
    for values_T, means_B in zip(values_TC.T, means_BC.T, strict=True):
        known_T, known_B = values_T[~np.isnan(values_T)], means_B[~np.isnan(means_B)]
        if not len(known_T):
            found.append(None)
            continue
        # Rounded to 12 digits: the order of a sum shows in the 16th, and equal evaluations should print equal numbers.
        bounds = np.quantile(known_B, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        mean, low, high = (round(float(number), 12) for number in (known_T.mean(), *bounds))
        found.append(Estimate(mean=mean, low=low, high=high))
    return found


def compared(
    values: dict[str, dict[str, np.ndarray]], clusters: list[str], resamples: int, seed: int
) -> tuple[dict[str, dict[str, Estimate]], list[tuple[str, str, dict[str, Estimate]]]]:
    """(name -> metric -> estimate, (later, earlier, metric -> estimate of the paired difference) of all pairs).

    `values[name][metric]` is a column over the rows that `clusters` names, NaN where missing; a metric without a value
    is left out. A difference is over the rows where both have a value. Rows may be steps and clusters their tasks:
    the mean is then over steps, the interval over tasks.
    """
    names = list(values)
    pairs = [(name, earlier) for place, name in enumerate(names) for earlier in names[:place]]
    columns = [(name, None, metric) for name in names for metric in values[name]]
    columns += [(name, earlier, metric) for name, earlier in pairs for metric in values[name]]
    values_TC = np.stack(
        [
            values[name][metric] - (0.0 if earlier is None else values[earlier][metric])
            for name, earlier, metric in columns
        ],
        axis=1,
    )
    found: dict[tuple[str, str | None], dict[str, Estimate]] = {}
    for column, estimate in zip(columns, estimates(values_TC, clusters, resamples, seed), strict=True):
        name, earlier, metric = column
        if estimate is not None:
            found.setdefault((name, earlier), {})[metric] = estimate
    return (
        {name: found.get((name, None), {}) for name in names},
        [(name, earlier, found.get((name, earlier), {})) for name, earlier in pairs],
    )
