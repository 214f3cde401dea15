"""The learning rate of every optimizer step; ours, so that neither world size nor accumulation can scale it."""

import math


def learning_rate(step: int, *, peak: float, total: int, warmup: int, kind: str = "cosine") -> float:
    """The rate of optimizer step `step` (from 0) of `total`.

    Warm-up is linear: step s < `warmup` has peak * (s + 1) / (warmup + 1). Then `cosine` falls to 0 as
    0.5 * (1 + cos(pi * t)), `linear` as 1 - t, `constant` stays; t is the share of the remaining steps done.
    """
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, total - warmup)
    if kind == "cosine":
        return peak * 0.5 * (1 + math.cos(math.pi * done))
    if kind == "linear":
        return peak * (1 - done)
    return peak
