"""WikiHow articles about applications (the paper's second source), from the public dumps.

Two formats are read:
- `WikihowText_data.json` (wikiHow-VGSI): an article a line with `file_id`, `goal`, `category_hierarchy` and
  `methods: [{name, steps: [{headline, description}]}]`; a list in one file (`title` for `goal`) is read as well;
- `wikihowAll.csv` (WikiHow-Dataset): `headline` (the steps' bold lines, a line each), `title`, `text`.

WikiHow's text is CC-BY-NC-SA-3.0: not for commercial use. Nothing of it ships here.
"""

import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from lam_train.collect.raw import RawPair, slug
from lam_train.collect.sources.application_names import app_named_in
from lam_train.errors import UserError
from lam_train.records import json_lines

LICENSE = "CC-BY-NC-SA-3.0"


def read(path: str | Path) -> Iterator[RawPair]:
    """A pair for each method of each article whose title or category names an application."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"collect.wikihow: {path}: no such file; give WikihowText_data.json or wikihowAll.csv")
    articles = _csv_articles(path) if path.suffix == ".csv" else _json_articles(path)
    for title, name, page, category, steps in articles:
        title = _with_how_to(title)
        app = app_named_in(title) or app_named_in(category)
        if app:
            number = slug(name) if name else "steps"
            titles = tuple(text for text in (title, name) if text)
            yield RawPair(f"{page}/{number}", page, titles, steps, "wikihow", app, LICENSE)


def _with_how_to(title: str) -> str:
    """The title as a request; the CSV's end in numbers that tell articles with one title apart."""
    title = re.sub(r"\d+$", "", title.strip()).strip()
    return title if re.match(r"how to\b", title, re.IGNORECASE) else f"How to {title}"


def _json_articles(path: Path) -> Iterator[tuple[str, str, str, str, tuple[str, ...]]]:
    for where, article in _json_values(path):
        try:
            title = article.get("goal") or article["title"]
            page = f"wikihow/{slug(str(article.get('file_id') or title))}"
            category = " ".join(article.get("category_hierarchy") or [])
            methods = article["methods"]
            for method in methods:
                steps = tuple(step if isinstance(step, str) else step["headline"] for step in method["steps"])
                name = method.get("name") or ""
                yield title, name if len(methods) > 1 else "", page, category, steps
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(
                f"{where}: not a WikiHow article: {type(error).__name__} {error} "
                "(wanted: goal or title, methods: [{name, steps: [{headline}]}])"
            ) from None


def _json_values(path: Path) -> Iterator[tuple[str, object]]:
    with path.open(encoding="utf-8") as file:
        is_list = file.read(1) == "["
    if is_list:
        try:
            articles = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {error.lineno}: not JSON: {error.msg}") from None
        yield from ((f"{path}, article {number}", article) for number, article in enumerate(articles, start=1))
        return
    for number, value in json_lines(path):
        if isinstance(value, UserError):
            raise value
        yield f"{path}, line {number}", value


def _csv_articles(path: Path) -> Iterator[tuple[str, str, str, str, tuple[str, ...]]]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # an article's text is longer than the default allows
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if not {"title", "headline"} <= set(reader.fieldnames or ()):
            raise UserError(f"{path}, line 1: wanted the columns headline,title,text, found {reader.fieldnames}")
        for row in reader:
            title = (row["title"] or "").strip()
            steps = tuple(line.strip(" ,;\t") for line in (row["headline"] or "").splitlines() if line.strip(" ,;\t"))
            if title and steps:
                yield title, "", f"wikihow/{slug(title)}", "", steps
