"""What an endpoint counted, run by run: a small file each; a killed one loses a few seconds of counts."""

import os
import time
from pathlib import Path

from lam_train.collect.trajectories.instantiation import CallUsage
from lam_train.endpoint import Endpoint
from lam_train.records import read_jsonl, write_jsonl

EVERY_S = 5.0


class UsageLog:
    """Counts of the calls that no record keeps: those of an expert that acts step by step."""

    def __init__(self, folder: Path, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._file = folder / "usage" / f"{time.time_ns()}-{os.getpid()}.jsonl"
        self._told = 0.0

    def note(self, now: bool = False) -> None:
        """Writes the counts down, every few seconds or now."""
        if not now and time.monotonic() - self._told < EVERY_S:
            return
        self._told = time.monotonic()
        usage = self._endpoint.usage
        write_jsonl(
            self._file,
            [
                CallUsage(
                    calls=usage.answers,
                    prompt_tokens=usage.prompt_tokens,
                    answer_tokens=usage.answer_tokens,
                    cost=usage.cost or 0.0,
                )
            ],
        )


def logged_usage(folder: Path) -> CallUsage:
    """The sum over all runs in a collection's folder."""
    files = sorted((folder / "usage").glob("*.jsonl"))
    return sum((usage for file in files for usage in read_jsonl(file, CallUsage)), CallUsage())
