"""A progress bar with time left on a terminal; a line now and then in a log."""

import logging
import sys
import time

log = logging.getLogger(__name__)


class Progress:
    """Shows how far a training or other work is. On a terminal a bar, elsewhere a line every `EVERY` seconds."""

    EVERY = 15.0

    def __init__(
        self, total: int, done: int = 0, shown: bool = True, what: str = "training", unit: str = "step"
    ) -> None:
        self.total, self.done, self._first = total, done, done
        self._what, self._unit = what, unit
        self._shown, self._bar, self._task = shown, None, None

    def __enter__(self) -> "Progress":
        self._begun = self._told = time.monotonic()
        if self._shown and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(self._what, total=self.total, completed=self.done, note="")
            self._bar.start()
        return self

    def __exit__(self, *_exception) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, loss: float, tokens_per_second: float) -> None:
        """One more step is done."""
        self.advance_by(1, f"loss {loss:.3f}  {tokens_per_second:,.0f} tokens/s")

    def advance_by(self, count: int, note: str = "") -> None:
        """So many more units are done; `note` says how it goes."""
        self.done += count
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, note=note)
            return
        now = time.monotonic()
        if self._shown and (now - self._told >= self.EVERY or self.done == self.total):
            self._told = now
            left = (now - self._begun) / (self.done - self._first) * (self.total - self.done)
            what = "" if self._what == "training" else f"{self._what}: "
            note = f"{note}  " if note else ""
            log.info("%s%s %d of %d  %s%s left", what, self._unit, self.done, self.total, note, _clock(left))


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
