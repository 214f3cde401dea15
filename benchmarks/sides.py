"""What the measurements against others share: sides in turn, in one run, and by how much ours is faster."""

import statistics
from collections.abc import Iterator, Sequence


def in_turn(sides: Sequence[str], repeats: int) -> Iterator[tuple[int, str]]:
    """(number of the turn, side): each side once a turn, every second turn in reverse: a drift hits all alike."""
    for turn in range(repeats):
        for side in sides if turn % 2 == 0 else sides[::-1]:
            yield turn, side


def faster(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """Seconds of theirs over seconds of ours, for the same work or a token, turn by turn: median, low, high."""
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    return {"median": statistics.median(ratios), "low": min(ratios), "high": max(ratios)}


def told_faster(ratio: dict[str, float] | None) -> str:
    """`5.25 (5.10 to 5.40)`; of ours itself, and without ours, `-`."""
    return "-" if ratio is None else f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
