"""The paper's collection of task-plan pairs (its section 3.1), with a count at every stage.

sources -> parse -> drop (language, length, irrelevant, …) -> unify -> deduplicate (exact, near) -> split by page
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from lam_train.collect import deduplicate, packages
from lam_train.collect.card import card_text, examples_text
from lam_train.collect.catalog import PACKAGES
from lam_train.collect.counts import Counts
from lam_train.collect.filters import Limits, reason_to_drop
from lam_train.collect.raw import RawPair
from lam_train.collect.report import CollectReport
from lam_train.collect.sources import hub, own_files, packaged_docs, query_log, wikihow
from lam_train.collect.split import SPLITS, Split, place_of, split_of
from lam_train.collect.tasks import tell_apart
from lam_train.collect.unify import unify
from lam_train.errors import Fault, UserError
from lam_train.records import PlanKind, TaskPlan, write_jsonl
from lam_train.settings import Settings

log = logging.getLogger(__name__)


class CollectSettings(Settings):
    """What is collected, from where, and into what."""

    packages: list[str] = Field(default_factory=lambda: list(PACKAGES))
    """Debian packages with documentation; by default all that yield pairs (`collect/catalog.py`). [] uses none."""
    own: str | None = None
    """A file or folder with your own TaskPlan records (.jsonl, .json, .parquet)."""
    hub: str | None = None
    """The id of a Hugging Face dataset whose rows are TaskPlan records."""
    hub_split: str = "train"
    """Which of its splits."""
    hub_revision: str | None = None
    """Which of its revisions; null is the newest."""
    wikihow: str | None = None
    """A WikiHow dump: WikihowText_data.json or wikihowAll.csv."""
    query_log: str | None = None
    """A search-query log (TSV with a Query column, or JSONL): its tasks, still without plans, go to queries.jsonl."""
    output: str = "collected/plans"
    """The folder for the dataset, its card, counts and examples."""
    cache: str | None = None
    """The folder for downloaded packages; null is ~/.cache/lam_train/documentation."""
    kinds: list[PlanKind] = Field(default_factory=lambda: ["steps", "prose", "menu_path"])
    """Which kinds of pairs are kept: clean lists of steps, and the weaker two."""
    limits: Limits = Limits()
    """The lengths a pair must keep to."""
    near_duplicate: float = Field(default=0.8, gt=0, le=1)
    """Two pairs are near duplicates when their word triples have at least this Jaccard similarity."""
    validation: float = Field(default=0.1, ge=0, lt=0.5)
    """The fraction of pages for validation."""
    test: float = Field(default=0.1, ge=0, lt=0.5)
    """The fraction of pages for the test."""
    most_pairs: int | None = Field(default=None, ge=1)
    """Keep at most this many pairs, in whole pages chosen by the seed; null keeps all."""
    seed: int = 0
    """Another seed, another split and other examples."""
    examples: int = Field(default=20, ge=0)
    """How many random pairs are written out to look at."""
    progress: Literal["auto", "never"] = "auto"
    """Progress bars, where the output is a terminal."""


def collect_plans(settings: CollectSettings, output: Path | None = None) -> CollectReport:
    """Collects, writes the dataset into `output` (default `settings.output`), and reports.

    Raises UserError when there is no source, when none of the packages can be had, or when a given file is bad.
    """
    output = Path(output or settings.output).expanduser()
    counts = Counts()
    queries = query_log.read(settings.query_log) if settings.query_log else None  # first: a wrong path changes nothing
    if not (settings.packages or settings.own or settings.hub or settings.wikihow):
        if queries is None:
            raise UserError("collect has no source: name packages, or give own, hub, wikihow or query_log")
        return _only_queries(output, counts, *queries)
    with _bars(settings) as bars:
        folders, unavailable = _documentation(settings, bars)
        kept = tell_apart([(raw, unify(raw)) for raw in _kept(_pairs(settings, folders, bars), settings, counts)])
        for record in kept:
            counts.add(record.source, "unified")
        unique, repeats = _deduplicated(kept, settings, counts, bars)
    if not unique:
        raise UserError(
            f"no pair was left of {counts.of('parsed')} parsed; counts: {json.dumps(counts.as_dict()['all'])}"
        )
    splits = _split(_sampled(unique, settings, counts), settings, counts)
    counts.check()
    report = CollectReport(output, counts, splits, unavailable)
    _write(report, settings, repeats, queries)
    log.info("%s", report)
    return report


def _only_queries(output: Path, counts: Counts, tasks: list[query_log.QueryTask], found: Counter) -> CollectReport:
    """Writes queries.jsonl alone: pairs of before, and what is told of them, are left as they are."""
    write_jsonl(output / "queries.jsonl", tasks)
    log.info("%d tasks without plans of %d queries, in %s", len(tasks), found["read"], output / "queries.jsonl")
    return CollectReport(output, counts, {split: [] for split in SPLITS}, queries=dict(found))


def _documentation(settings: CollectSettings, bars: Progress) -> tuple[dict[str, Path], dict[str, str]]:
    """(folder of each package, reason for each that could not be had)."""
    cache = Path(settings.cache).expanduser() if settings.cache else packages.default_cache()
    wanted = list(dict.fromkeys(settings.packages))
    task = bars.add_task("downloading documentation", total=len(wanted), visible=bool(wanted))
    unavailable = packages.fetch(wanted, cache, lambda done: bars.advance(task, done))
    folders: dict[str, Path] = {}
    task = bars.add_task("unpacking documentation", total=len(wanted) - len(unavailable), visible=bool(wanted))
    for package in wanted:
        if package in unavailable:
            continue
        try:
            folders[package] = packages.unpack(package, cache)
        except Fault as fault:
            unavailable[package] = str(fault)
        bars.advance(task)
    for package, reason in unavailable.items():
        log.warning("%s is left out: %s", package, reason)
    if wanted and not folders:
        first = next(iter(unavailable))
        raise UserError(
            f"none of the {len(wanted)} packages could be had; {first}: {unavailable[first]}; {packages.FIXTURE_HINT}"
        )
    return folders, unavailable


def _pairs(settings: CollectSettings, folders: dict[str, Path], bars: Progress) -> Iterator[RawPair]:
    """All that the sources give, in the order of the settings."""
    task = bars.add_task("reading documentation", total=len(folders), visible=bool(folders))
    for package, folder in folders.items():
        yield from packaged_docs.read(package, folder)
        bars.advance(task)
    if settings.own:
        yield from own_files.read(settings.own)
    if settings.hub:
        yield from hub.read(settings.hub, settings.hub_split, settings.hub_revision)
    if settings.wikihow:
        yield from wikihow.read(settings.wikihow)


def _kept(pairs: Iterator[RawPair], settings: CollectSettings, counts: Counts) -> Iterator[RawPair]:
    """The pairs that pass the filters; the others are counted by reason."""
    ids: set[str] = set()
    for raw in pairs:
        if raw.task_id in ids:
            raise UserError(f"{raw.source}: the task_id {raw.task_id} comes twice; ids must be unique over all sources")
        ids.add(raw.task_id)
        counts.add(raw.source, "parsed")
        reason = "kind_not_wanted" if raw.kind not in settings.kinds else reason_to_drop(raw, settings.limits)
        if reason:
            counts.add(raw.source, reason)
        else:
            yield raw


def _deduplicated(
    records: list[TaskPlan], settings: CollectSettings, counts: Counts, bars: Progress
) -> tuple[list[TaskPlan], list[tuple[TaskPlan, str]]]:
    """(unique pairs, near duplicates with the id they repeat)."""
    unique, equal = deduplicate.exact(deduplicate.best_first(records))
    task = bars.add_task("finding near duplicates", total=len(unique))
    unique, repeats = deduplicate.near(unique, settings.near_duplicate, lambda: bars.advance(task))
    for record in equal:
        counts.add(record.source, "duplicate_exact")
    for record, _ in repeats:
        counts.add(record.source, "duplicate_near")
    return unique, repeats


def _sampled(records: list[TaskPlan], settings: CollectSettings, counts: Counts) -> list[TaskPlan]:
    """All records, or as many whole pages as `most_pairs` allows."""
    if settings.most_pairs is None:
        return records
    pages: dict[str, list[TaskPlan]] = {}
    for record in records:
        pages.setdefault(record.page, []).append(record)
    kept: list[TaskPlan] = []
    for page in sorted(pages, key=lambda page: place_of(page, settings.seed + 1)):
        if len(kept) + len(pages[page]) <= settings.most_pairs:
            kept += pages[page]
        else:
            for record in pages[page]:
                counts.add(record.source, "not_sampled")
    return kept


def _split(records: list[TaskPlan], settings: CollectSettings, counts: Counts) -> dict[Split, list[TaskPlan]]:
    """The records of each split, in the order of their ids."""
    splits: dict[Split, list[TaskPlan]] = {split: [] for split in SPLITS}
    for record in sorted(records, key=lambda record: record.task_id):
        split = split_of(record.page, settings.seed, settings.validation, settings.test)
        splits[split].append(record)
        counts.add(record.source, "kept")
        counts.add(record.source, split)
    return splits


def _write(
    report: CollectReport,
    settings: CollectSettings,
    repeats: list[tuple[TaskPlan, str]],
    queries: tuple[list[query_log.QueryTask], Counter] | None,
) -> None:
    """The dataset, and beside it what a person looks at."""
    output = report.output
    for split, records in report.splits.items():
        write_jsonl(output / f"{split}.jsonl", records)
    if queries is not None:
        tasks, query_counts = queries
        report.queries = dict(query_counts)
        write_jsonl(output / "queries.jsonl", tasks)
    counts = {
        "pairs": report.counts.as_dict(),
        "queries": report.queries,
        "unavailable_packages": report.unavailable,
        "near_duplicates": [{"removed": record.task_id, "repeats": twin} for record, twin in repeats],
        "settings": settings.model_dump(),
    }
    (output / "counts.json").write_text(json.dumps(counts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (output / "card.md").write_text(card_text(report, settings.model_dump()), encoding="utf-8")
    (output / "examples.md").write_text(examples_text(report, settings.examples, settings.seed), encoding="utf-8")


def _bars(settings: CollectSettings) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, disable=settings.progress == "never", transient=False)
