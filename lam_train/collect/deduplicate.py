"""Removing pairs that say the same: equal ones, then near ones (MinHash with datasketch, checked exactly).

It runs over all sources before the split, so no near copy of a test pair is in train.
"""

import re
from collections.abc import Callable, Iterable

from lam_train.records import TaskPlan

_KIND_RANK = {"steps": 0, "prose": 1, "menu_path": 2}
_SHINGLE = 3
_PERMUTATIONS = 128


def best_first(records: Iterable[TaskPlan]) -> list[TaskPlan]:
    """Cleaner kinds first, so that of two equal pairs the cleaner stays; otherwise in the order given."""
    return sorted(records, key=lambda record: _KIND_RANK[record.kind])


def exact(records: Iterable[TaskPlan]) -> tuple[list[TaskPlan], list[TaskPlan]]:
    """(kept, removed): pairs with equal words in task and plan, whatever the application. The first stays."""
    seen: set[str] = set()
    kept, removed = [], []
    for record in records:
        key = f"{' '.join(_words(record.task))}\n{' '.join(_words(' '.join(record.plan)))}"
        (removed if key in seen else kept).append(record)
        seen.add(key)
    return kept, removed


def near(
    records: Iterable[TaskPlan], threshold: float, progress: Callable[[], None] = lambda: None
) -> tuple[list[TaskPlan], list[tuple[TaskPlan, str]]]:
    """(kept, [(removed, task_id of the pair it repeats)]): Jaccard similarity of word triples at least `threshold`.

    `threshold` 1 keeps all but pairs with the same triples. LSH finds candidates; the similarity is computed exactly.
    """
    from datasketch import MinHash, MinHashLSH  # it imports much of scipy, and every run imports this file

    index = MinHashLSH(threshold=min(threshold, 0.95) * 0.9, num_perm=_PERMUTATIONS)
    shingles: dict[str, frozenset[str]] = {}
    kept, removed = [], []
    for number, record in enumerate(records):
        mine = shingles_of(record)
        sketch = MinHash(num_perm=_PERMUTATIONS, seed=1)
        sketch.update_batch([shingle.encode("utf-8") for shingle in mine])
        twin = next((key for key in sorted(index.query(sketch)) if jaccard(mine, shingles[key]) >= threshold), None)
        if twin is None:
            key = f"{number:08d} {record.task_id}"
            index.insert(key, sketch)
            shingles[key] = mine
            kept.append(record)
        else:
            removed.append((record, twin.split(" ", 1)[1]))
        progress()
    return kept, removed


def shingles_of(record: TaskPlan) -> frozenset[str]:
    """The word triples of task and plan, each with its own bounds so that short plans have some."""
    found = set()
    for text in (record.task, *record.plan):
        words = ["<", *_words(text), ">"]
        found |= {" ".join(words[i : i + _SHINGLE]) for i in range(max(1, len(words) - _SHINGLE + 1))}
    return frozenset(found)


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Size of the intersection over size of the union."""
    return len(one & other) / len(one | other)


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
