"""Task-plan pairs from the application: a pool of Writers walks it, what worked is written as a dataset.

walk -> execute -> drop what failed -> one pair a task -> split by command or tab. The results of the walk stay on the
disk as they come, so that a killed walk goes on where it was.
"""

import json
import logging
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from lam_train.apps.writer.settings import WriterSettings
from lam_train.apps.writer.walk.card import card_text, counted, examples_text
from lam_train.apps.writer.walk.commands import Registry
from lam_train.apps.writer.walk.dialogs import DialogDefinitions
from lam_train.apps.writer.walk.execute import moves_the_cursor
from lam_train.apps.writer.walk.menus import Entry, menu_entries, open_entries
from lam_train.apps.writer.walk.plans import Result
from lam_train.apps.writer.walk.pool import Writers
from lam_train.apps.writer.walk.settings import WalkSettings
from lam_train.apps.writer.walk.walker import BROKEN, Sources, Walker
from lam_train.apps.writer.walk.wording import task_of
from lam_train.collect.split import SPLITS, Split, split_of
from lam_train.collect.trajectories.store import FolderLock, ShardStore
from lam_train.errors import UserError
from lam_train.records import Record, TaskPlan, write_jsonl

log = logging.getLogger(__name__)

MESSAGES = ("Confirmation", "Duplicate Name", "Warning", "Information", "Question", "Error", "LibreOffice", "")
CHANGE_WRITER = ("View", "Tools")  # menus that change Writer itself, which then starts afresh


class Walked(Record):
    """An entry that was walked to its end, and what became of it."""

    entry: str
    outcome: str
    seconds: float
    steps: int
    values: int = 2  # `walk.values` then
    broken: bool = False  # by the application

    def is_whole(self, values: int) -> bool:
        """Whether another run has nothing to add: nothing broke, and what has fields gave them as many values."""
        return not self.broken and (self.values >= values or not self.outcome.startswith(("dialog", "menu", "box")))


def collect_application_plans(settings: WalkSettings, writer: WriterSettings) -> Path:
    """Walks what is left to walk, writes the dataset into `settings.output`, and returns that folder."""
    output = Path(settings.output).expanduser()
    lock = FolderLock(output)
    try:
        walk(settings, writer, output)
        write_dataset(settings, output)
    finally:
        lock.release()
    return output


def walk(settings: WalkSettings, writer: WriterSettings, output: Path) -> None:
    """Walks the entries that no earlier run has walked, with `writer.instances` Writers at once."""
    installation = Path(settings.installation).expanduser()
    registry = Registry(installation / "share/registry")
    paths = {entry.command: entry.path for entry in reversed(menu_entries(installation, registry))}
    sources = Sources(registry, DialogDefinitions(installation), paths)
    entries = open_entries(installation, registry)
    chosen = [e for e in entries if not settings.entries or str(e).startswith(tuple(settings.entries))]
    if not chosen:
        raise UserError(f"walk.entries={settings.entries}: no entry begins so; one of {len(entries)} is {entries[0]}")
    journal = Journal(output, settings)
    left = [entry for entry in chosen if str(entry) not in journal.walked]
    left.sort(key=lambda entry: not sources.asks(entry.command))  # dialogs take long: the pool begins with them
    writers = Writers(writer)
    work = Work(sources, settings.values, writers, journal)
    try:
        writers.run(left, work.walk, "walking Writer", "entries")
    finally:
        journal.close()


class Journal:
    """What the walk has found so far, on the disk; several threads write to it."""

    def __init__(self, folder: Path, settings: WalkSettings) -> None:
        self._results = ShardStore(folder / "walk", "results", Result, settings.shard_size)
        self._entries = ShardStore(folder / "walk", "entries", Walked, settings.shard_size)
        self._lock = threading.Lock()
        self.known = {result.draft.id for result in self._results}
        self.walked = {entry.entry for entry in self._entries if entry.is_whole(settings.values)}

    def result(self, result: Result) -> None:
        with self._lock:
            self._results.append(result)

    def entry(self, walked: Walked) -> None:
        with self._lock:
            self._entries.append(walked)

    def close(self) -> None:
        self._results.close()
        self._entries.close()


class Work:
    """Walks entries, each with the Writer of the thread it is called in."""

    def __init__(self, sources: Sources, values: int, writers: Writers, journal: Journal) -> None:
        self.sources, self.values, self.writers, self.journal = sources, values, writers, journal

    def walk(self, entry: Entry) -> bool:
        """Whether at least one plan of the entry worked."""
        begun, worked = time.monotonic(), 0

        def report(result: Result) -> None:
            nonlocal worked
            worked += bool(result.seen)
            self.journal.result(result)

        environment = self.writers.mine()
        walker = Walker(environment, self.sources, report, self.journal.known, self.values)
        try:
            outcome = walker.walk(entry)
        except Exception as error:  # one entry must not end the walk of five hundred; it is named in walk/entries
            log.exception("%s: the walk of this entry ended early", entry)
            outcome = f"{BROKEN}: {type(error).__name__}: {error}"
            environment.close()
        if entry.path[0] in CHANGE_WRITER:
            environment.close()
        seconds, steps = round(time.monotonic() - begun, 1), walker.driver.steps
        log.info("%s: %s; %d pairs, %d steps, %.0f s", entry, outcome, worked, steps, seconds)
        told = {"outcome": outcome[:300], "broken": outcome.startswith(BROKEN), "values": self.values}
        self.journal.entry(Walked(entry=str(entry), seconds=seconds, steps=steps, **told))
        return worked > 0


def write_dataset(settings: WalkSettings, output: Path) -> dict[Split, list[TaskPlan]]:
    """The pairs that worked, each task once, split by what they are about; with card, counts and examples."""
    results = [reviewed(r) for r in ShardStore(output / "walk", "results", Result, settings.shard_size)]
    pairs, equal = unique_pairs(result for result in results if result.seen)
    if not pairs:
        raise UserError(f"{output}: no plan of the walk worked; the results in walk/ say why")
    splits: dict[Split, list[TaskPlan]] = {split: [] for split in SPLITS}
    for pair in sorted(pairs, key=lambda pair: pair.task_id):
        splits[split_of(pair.page, settings.seed, settings.validation, settings.test)].append(pair)
    for split, records in splits.items():
        write_jsonl(output / f"{split}.jsonl", records)
    counts = counted(results, splits, equal)
    (output / "counts.json").write_text(json.dumps(counts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (output / "card.md").write_text(card_text(counts), encoding="utf-8")
    (output / "examples.md").write_text(examples_text(splits, settings.examples, settings.seed), encoding="utf-8")
    log.info("%d pairs of %d plans tried, in %s", len(pairs), len(results), output)
    return splits


def reviewed(result: Result) -> Result:
    """A result by the rules of the dataset: a selection proves only commands that select, and no user asks for a
    message box."""
    if result.seen == "selection" and not moves_the_cursor(result.draft.command):
        return result.model_copy(update={"seen": "", "failed": "no effect"})
    if result.seen == "opened" and result.draft.dialog in MESSAGES:
        return result.model_copy(update={"seen": "", "failed": "message"})
    return result


def unique_pairs(results: Iterable[Result]) -> tuple[list[TaskPlan], int]:
    """(pairs with distinct tasks and plans, how many were left out because an equal one was there before).

    Of two plans with the same task, the second one's says where it is done.
    """
    seen: set[str | tuple[str, ...]] = set()
    kept, equal = [], 0
    for result in results:
        draft = result.draft
        pair = draft.pair(task_of(draft))
        if pair.task.casefold() in seen:
            where = ", ".join(part for part in (draft.control, draft.tab, draft.dialog) if part) or result.entry
            pair = pair.model_copy(update={"task": f"{pair.task} ({where})"})
        keys = {pair.task_id, pair.task.casefold(), tuple(pair.plan)}
        if keys & seen:
            equal += 1
            continue
        seen |= keys
        kept.append(pair)
    return kept, equal
