"""Search queries that name an application (the paper's third source): tasks that still need a plan.

Two formats are read: tab-separated with a header that has a `Query` column (the AOL log's
AnonID, Query, QueryTime, ItemRank, ClickURL), and JSONL with `query` and, if known, `count`.
Only the query and how often it was asked are kept: users, times and clicks never leave the file.

The paper has a language model rewrite a query as a full request and write its plan; that is not done here.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lam_train.collect.raw import slug
from lam_train.collect.sources.application_names import app_named_in
from lam_train.errors import UserError
from lam_train.records import Record, json_lines

_ASKS_FOR_SOMETHING = re.compile(
    r"\b(?:how|add|insert|create|make|change|remove|delete|merge|split|sort|format|print|save|convert|set|turn|hide|show|"
    r"find|replace|copy|move|use|draw|align|number|highlight|export|import|record|protect|freeze|wrap|lock)\b",
    re.IGNORECASE,
)
_NOT_A_TASK = re.compile(
    r"\b(?:download|free|price|buy|cheap|crack|torrent|serial|login|log in|sign in|template|tutorial pdf|review|vs|"
    r"jobs?|certification|course|support number|phone)\b|https?:|www\.|\.com\b|@",
    re.IGNORECASE,
)


class QueryTask(Record):
    """A query that names an application and asks for something: a task without a plan."""

    task_id: str
    query: str
    app: str
    count: int


def read(path: str | Path) -> tuple[list[QueryTask], Counter]:
    """(tasks, counts): the most asked first. Counts: read, no_app, not_a_task, repeated, needs_a_plan; they add up."""
    counts: Counter = Counter()
    asked: Counter = Counter()
    app_of: dict[str, str] = {}
    for text, times in _queries(Path(path).expanduser()):
        query = " ".join(text.split()).lower().strip(" ?.!")
        counts["read"] += 1
        app = app_named_in(query)
        if not app:
            counts["no_app"] += 1
        elif len(query.split()) < 3 or _NOT_A_TASK.search(query) or not _ASKS_FOR_SOMETHING.search(query):
            counts["not_a_task"] += 1
        else:
            counts["repeated" if query in asked else "needs_a_plan"] += 1
            asked[query] += times
            app_of[query] = app
    ranked = sorted(asked.items(), key=lambda item: (-item[1], item[0]))
    tasks = [QueryTask(task_id=f"query/{slug(q)}", query=q, app=app_of[q], count=times) for q, times in ranked]
    return tasks, counts


def _queries(path: Path) -> Iterator[tuple[str, int]]:
    if not path.is_file():
        raise UserError(
            f"collect.query_log: {path}: no such file; give a .tsv or .txt with a Query column, or a .jsonl"
        )
    yield from _jsonl_queries(path) if path.suffix in (".jsonl", ".json") else _tsv_queries(path)


def _jsonl_queries(path: Path) -> Iterator[tuple[str, int]]:
    for number, value in json_lines(path):
        if isinstance(value, UserError):
            raise value
        if not isinstance(value, dict) or not isinstance(value.get("query"), str):
            raise UserError(f"{path}, line {number}: wanted an object with the text `query`")
        count = value.get("count", 1)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise UserError(f"{path}, line {number}: `count` must be a whole number above 0, not {count!r}")
        yield value["query"], count


def _tsv_queries(path: Path) -> Iterator[tuple[str, int]]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        column = next((name for name in reader.fieldnames or () if name.strip().lower() == "query"), None)
        if column is None:
            raise UserError(f"{path}, line 1: no column named Query among {reader.fieldnames}")
        clicked: set[tuple[str, ...]] = set()
        for row in reader:
            # A query is logged once for each result clicked: count it once per user and time.
            asked = tuple(
                row.get(name) or "" for name in reader.fieldnames or () if name not in ("ItemRank", "ClickURL")
            )
            if row[column] and asked not in clicked:
                clicked.add(asked)
                yield row[column], 1
