"""Which split a page is in: a function of the page and a seed, whatever else is collected."""

import hashlib
from typing import Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def split_of(page: str, seed: int, validation: float, test: float) -> Split:
    """The split of all pairs of a page; `validation` and `test` are fractions of all pages."""
    place = place_of(page, seed)
    if place < test:
        return "test"
    return "validation" if place < test + validation else "train"


def place_of(page: str, seed: int) -> float:
    """A number in [0, 1), uniform over pages and the same on every machine."""
    digest = hashlib.sha256(f"{seed}\n{page}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
