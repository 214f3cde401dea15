"""How far a stage is, with its successes and its rate."""

import time

from lam_train.train.progress import Progress


class EpisodeProgress:
    """A bar on a terminal, a line now and then in a log; `total` are all that are left to do."""

    def __init__(self, what: str, unit: str, total: int) -> None:
        self.done = self.good = 0
        self._shown = Progress(total, what=what, unit=unit)

    def __enter__(self) -> "EpisodeProgress":
        self._begun = time.monotonic()
        self._shown.__enter__()
        return self

    def __exit__(self, *exception) -> None:
        self._shown.__exit__(*exception)

    def advance(self, good: bool) -> None:
        """One more is done, and whether it is one to learn from."""
        self.done += 1
        self.good += good
        rate = self.done / max(time.monotonic() - self._begun, 1e-9)
        self._shown.advance_by(1, f"{self.good} good ({self.good / self.done:.0%})  {rate:.2f}/s")
