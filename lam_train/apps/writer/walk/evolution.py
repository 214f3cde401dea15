"""Runs the evolution of a walk's pairs: what is to be executed, by a pool of Writers; dataset, card and counts."""

import datetime
import json
import logging
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lam_train.apps.application import ApplicationError
from lam_train.apps.writer.settings import WriterSettings
from lam_train.apps.writer.walk import evolve
from lam_train.apps.writer.walk.card import examples_text
from lam_train.apps.writer.walk.contexts import CONTEXTS
from lam_train.apps.writer.walk.driver import Driver, StepFailed
from lam_train.apps.writer.walk.execute import Execution
from lam_train.apps.writer.walk.plans import SOURCE, Composition, Draft, Evolved, Result
from lam_train.apps.writer.walk.pool import Writers
from lam_train.apps.writer.walk.settings import EvolveWalkSettings
from lam_train.apps.writer.walk.wording import task_of
from lam_train.collect.card import table
from lam_train.collect.split import SPLITS, Split
from lam_train.collect.trajectories.store import FolderLock, ShardStore, shards_of
from lam_train.errors import UserError
from lam_train.records import TaskPlan, read_jsonl, write_jsonl

log = logging.getLogger(__name__)

HOW = ("value", "composition", "wording")


class Walk:
    """What a walk gave: the drafts of its dataset's pairs, and the split of each page."""

    def __init__(self, folder: Path) -> None:
        if not shards_of(folder / "walk", "results"):
            raise UserError(
                f"evolve_walk.data={folder}: no walk there; make one with +recipe=collect_application_plans"
            )
        self.splits: dict[str, Split] = {}
        self.tasks: dict[str, str] = {}
        for split in SPLITS:
            for pair in read_jsonl(folder / f"{split}.jsonl", TaskPlan):
                self.splits[pair.page], self.tasks[pair.task_id] = split, pair.task
        results = [r for file in shards_of(folder / "walk", "results") for r in read_jsonl(file, Result)]
        self.ids = {result.draft.id for result in results}
        self.results = [r for r in results if r.seen and f"{SOURCE}/{r.draft.id}" in self.tasks]

    def split_of(self, draft: Draft) -> Split:
        return self.splits[f"{SOURCE}/{draft.page}"]


def evolve_application_plans(settings: EvolveWalkSettings, writer: WriterSettings) -> Path:
    """Executes what is left to execute, writes the dataset into `settings.output`, and returns that folder."""
    output = Path(settings.output).expanduser()
    walk = Walk(Path(settings.data).expanduser())
    lock = FolderLock(output)
    try:
        store = ShardStore(output / "evolved", "results", Evolved, settings.shard_size)
        done = {evolved.id for evolved in store}
        jobs = [job for job in planned(walk, settings) if job.id not in done]
        writers, work = Writers(writer), Execute(walk, store)
        work.writers = writers
        try:
            writers.run(jobs, work.execute, "executing evolved plans", "plans")
        finally:
            store.close()
        write_dataset(settings, walk, list(store), output)
    finally:
        lock.release()
    return output


def planned(walk: Walk, settings: EvolveWalkSettings) -> list[Draft | Composition]:
    """The plans to execute: other values first, then compositions."""
    kept = evolve.on_fresh_documents([result.draft for result in walk.results if result.seen == "kept"])
    commands = [r.draft for r in walk.results if r.seen == "document" and r.draft.kind == "command"]
    other = evolve.other_values(kept, walk.ids, settings.values) if settings.values else []
    both = evolve.compositions([*kept, *commands], walk.split_of, settings.compositions, settings.seed)
    return [*other, *both]


class Execute:
    """Executes evolved plans, each on a fresh document."""

    def __init__(self, walk: Walk, store: ShardStore[Evolved]) -> None:
        self.walk, self.store, self._lock = walk, store, threading.Lock()
        self.writers: Writers | None = None

    def execute(self, job: Draft | Composition) -> bool:
        """Whether the plan worked."""
        first = job.first if isinstance(job, Composition) else job
        driver = Driver(self.writers.mine())
        execution = Execution(driver, CONTEXTS[first.context], "", lambda result: None)
        seen, failed, detail = "", "", ""
        try:
            if isinstance(job, Composition):
                seen = evolve.works(execution, job)
            else:
                execution.fresh()
                seen = execution.kept(job)
        except StepFailed as failure:
            failed, detail = failure.kind, str(failure)[:300]
        except ApplicationError as error:
            failed, detail = "application error", str(error)[:300]
        if not execution.left():
            self.writers.mine().close()
        pages = sorted({first.page, job.second.page}) if isinstance(job, Composition) else [first.page]
        evolved = Evolved(
            id=job.id,
            how="composition" if isinstance(job, Composition) else "value",
            task=evolve.composed_task(job) if isinstance(job, Composition) else task_of(job),
            plan=[move.text for move in job.moves],
            page=" + ".join(f"{SOURCE}/{page}" for page in pages),
            split=self.walk.split_of(first),
            seen=seen,
            failed=failed,
            detail=detail,
        )
        with self._lock:
            self.store.append(evolved)
        return bool(seen)


def reworded(walk: Walk, wordings: int) -> Iterator[Evolved]:
    """Other wordings of tasks whose plans have been executed."""
    for result in walk.results:
        draft = result.draft
        said = {walk.tasks[f"{SOURCE}/{draft.id}"].casefold()}
        for variant in range(1, 4 * wordings + 1):
            task = task_of(draft, f"wording {variant}")
            if task.casefold() not in said and len(said) <= wordings:
                said.add(task.casefold())
                yield Evolved(
                    id=f"{draft.id}/wording-{len(said) - 1}",
                    how="wording",
                    task=task,
                    plan=[move.text for move in draft.moves],
                    page=f"{SOURCE}/{draft.page}",
                    split=walk.split_of(draft),
                    seen=result.seen,
                )


def write_dataset(settings: EvolveWalkSettings, walk: Walk, executed: list[Evolved], output: Path) -> None:
    """The evolved pairs that worked, each task once and none of the walk's own; with card, counts and examples."""
    tried = [*executed, *reworded(walk, settings.wordings)]
    taken = {task.casefold() for task in walk.tasks.values()}
    splits: dict[Split, list[TaskPlan]] = {split: [] for split in SPLITS}
    kept: list[Evolved] = []
    for evolved in tried:
        if evolved.seen and evolved.task.casefold() not in taken:
            taken.add(evolved.task.casefold())
            kept.append(evolved)
            splits[evolved.split].append(evolve.evolved_pair(evolved.id, evolved.task, evolved.plan, evolved.page))
    for split, pairs in splits.items():
        write_jsonl(output / f"{split}.jsonl", sorted(pairs, key=lambda pair: pair.task_id))
    counts = {
        "pairs of the walk": len(walk.tasks),
        "evolved pairs": len(kept),
        "distinct plans": len({tuple(evolved.plan) for evolved in kept}),
        "by": {
            how: {
                "tried": sum(evolved.how == how for evolved in tried),
                "worked": sum(evolved.how == how and bool(evolved.seen) for evolved in tried),
                "kept": sum(evolved.how == how for evolved in kept),
            }
            for how in HOW
        },
        "splits": {split: len(pairs) for split, pairs in splits.items()},
        "failed": dict(Counter(evolved.failed for evolved in tried if evolved.failed).most_common()),
        "settings": settings.model_dump(),
    }
    (output / "counts.json").write_text(json.dumps(counts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (output / "card.md").write_text(card_text(counts), encoding="utf-8")
    (output / "examples.md").write_text(examples_text(splits, settings.examples, settings.seed), encoding="utf-8")
    log.info("%d evolved pairs in %s", len(kept), output)


def card_text(counts: dict) -> str:
    """The whole card."""
    rows = [(how, *counts["by"][how].values()) for how in HOW]
    parts = [
        "# Evolved task-plan pairs from the application",
        f"Made on {datetime.date.today().isoformat()} by the recipe `evolve_application_plans` from "
        f"{counts['pairs of the walk']} pairs of a walk. No language model takes part.",
        "`value`: the plan with another value, executed. `composition`: two plans in one, executed; a dialog, opened "
        "again, shows both settings, and a command changes what is saved. `wording`: another request for a plan that "
        "the walk has executed; the plan is the same. `kept` leaves out tasks that were there before.",
        table(("how", "tried", "worked", "kept"), rows),
        f"{counts['evolved pairs']} pairs with {counts['distinct plans']} distinct plans. A pair is in the split of "
        "the pairs it was made of; the two of a composition are of one split.",
        table(("split", "pairs"), counts["splits"].items()),
        "## Plans that did not work, and were dropped",
        table(("why", "plans"), counts["failed"].items()),
        "License: as the walk's (LibreOffice's labels, MPL-2.0).",
    ]
    return "\n\n".join(parts) + "\n"
