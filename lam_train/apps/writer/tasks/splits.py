"""Which templates, operations and compositions belong to which split, and the proof that nothing leaks.

Train and explore share templates and compositions, but no task: an operation on a template is one's or the other's.
Validation and test have templates, wordings and compositions of their own.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from itertools import combinations

from lam_train.errors import UserError
from lam_train.records import Operation, Split, Task

SPLITS: tuple[Split, ...] = ("train", "explore", "validation", "test")
TEMPLATES: dict[str, tuple[str, ...]] = {
    "train": (
        "contract",
        "invoice",
        "letter",
        "memo",
        "minutes",
        "newsletter",
        "recipe",
        "report",
        "resume",
        "user_guide",
    ),
    "validation": ("itinerary", "lab_report", "press_release"),
    "test": ("article", "event_programme", "proposal", "registration_form", "syllabus"),
}
EXPLORE_SHARE = 1 / 3  # of the operations on train's templates
PAIR_SHARES = {"train": 0.6, "validation": 0.12, "test": 0.28}  # of the pairs of families


def templates_of(split: Split) -> tuple[str, ...]:
    """The templates of a split; explore has train's."""
    return TEMPLATES["train" if split == "explore" else split]


def place_of(*what: object) -> float:
    """A number in [0, 1), uniform over arguments and the same on every machine."""
    digest = hashlib.sha256(json.dumps(what, sort_keys=True, ensure_ascii=False).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def takes(split: Split, seed: int, template: str, operations: list[Operation]) -> bool:
    """Whether operations on a template may be a task of this split: decides between train and explore."""
    if split not in ("train", "explore"):
        return True
    names = [[operation.name, operation.parameters] for operation in operations]
    return (place_of("explore", seed, template, names) < EXPLORE_SHARE) == (split == "explore")


@cache
def split_of_pair(seed: int, first: str, second: str) -> str:
    """The split whose compositions may hold both families: "train" (and explore), "validation" or "test"."""
    place = place_of("pair", seed, *sorted([first, second]))
    for split, share in PAIR_SHARES.items():
        if place < share:
            return split
        place -= share
    return "test"


def pairs_of(task: Task) -> set[tuple[str, str]]:
    """The pairs of families in a composition; none for a single operation."""
    return set(combinations(sorted(operation.name for operation in task.operations), 2))


def assert_disjoint(tasks: Iterable[Task]) -> None:
    """Raises UserError with the culprit where something of validation or test is known from another split.

    Between any two of train+explore, validation and test: no template, no request, no composition's pair of families,
    and no wording in common. Between train and explore: no request and no operation on the same template.
    """
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.split, []).append(task)
    seen = {
        "template": lambda task: {task.template},
        "wording": lambda task: {task.wording},
        "request": lambda task: {task.request},
        "pair of families": pairs_of,
    }
    together = {"train": groups.get("train", []) + groups.get("explore", [])}
    together |= {split: groups.get(split, []) for split in ("validation", "test")}
    for what, values in seen.items():
        for one, two in combinations(together, 2):
            refuse_common(what, values, together[one], together[two], one, two)
    operations = {"operation": lambda task: {json.dumps([task.template, [o.model_dump() for o in task.operations]])}}
    for what, values in ({"request": lambda task: {(task.template, task.request)}} | operations).items():
        refuse_common(what, values, groups.get("train", []), groups.get("explore", []), "train", "explore")


def refuse_common(what: str, values, one: list[Task], two: list[Task], first: str, second: str) -> None:
    known = {value for task in one for value in values(task)}
    for task in two:
        common = known & values(task)
        if common:
            raise UserError(f"task {task.task_id}: {what} {min(map(str, common))!r} is in {first} and in {second}")
