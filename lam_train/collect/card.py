"""The dataset's card and its examples, as Markdown."""

import datetime
import json
import random
from collections import Counter
from collections.abc import Iterable

from lam_train.collect.counts import STAGES
from lam_train.collect.report import CollectReport
from lam_train.collect.split import SPLITS
from lam_train.records import TaskPlan

_ABOUT = """\
Task-plan pairs for phase 1 (task-plan pretraining), collected from packaged application documentation and the
files named below. A record is a line of JSON: `task_id`, `task`, `plan` (a list of steps), `source` (the package or
file), `app`, `license`, `page`, `kind`.

`kind` says how clean a pair is: `steps` are ordered lists of the documentation; `prose` are sentences "To X, do Y"
and lists of one step; `menu_path` are the menu paths of LibreOffice's "To access this command" boxes.

A page's pairs are all in one split, decided by a hash of the seed and the page. Pairs that say the same, exactly or
nearly, were removed over all sources before the split.
"""


def card_text(report: CollectReport, settings: dict) -> str:
    """The whole card."""
    records = [record for split in SPLITS for record in report.splits[split]]
    steps = [len(record.plan) for record in records if record.kind == "steps"]
    mean = sum(steps) / len(steps) if steps else 0.0
    parts = [
        "# Task-plan pairs",
        f"Collected on {datetime.date.today().isoformat()} by the recipe `collect_plans`.",
        _ABOUT,
        "## Splits and kinds",
        _split_table(report),
        f"Ordered lists have {mean:.1f} steps on average; their plans {_mean_chars(records):.0f} characters.",
        "## Licenses",
        "A record's `license` is that of its documentation. Share-alike licenses bind what you publish.",
        _count_table("license", Counter(record.license for record in records)),
        "## Applications",
        _count_table("application", Counter(record.app or "(none)" for record in records)),
        "## Stages, by source",
        "`parsed` = what was dropped + `unified`; `unified` = duplicates + `kept`; `kept` = the three splits.",
        _stage_table(report),
    ]
    if report.queries:
        parts += [
            "## Search queries",
            "Tasks without plans, in `queries.jsonl`.",
            _count_table("queries", Counter(report.queries)),
        ]
    if report.unavailable:
        parts += ["## Packages that could not be had"]
        parts += ["\n".join(f"- `{package}`: {reason}" for package, reason in report.unavailable.items())]
    parts += ["## Settings", f"```json\n{json.dumps(settings, indent=1, ensure_ascii=False)}\n```"]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _mean_chars(records: list[TaskPlan]) -> float:
    clean = [sum(map(len, record.plan)) for record in records if record.kind == "steps"]
    return sum(clean) / len(clean) if clean else 0.0


def _split_table(report: CollectReport) -> str:
    kinds = ("steps", "prose", "menu_path")
    rows = []
    for split in SPLITS:
        records = report.splits[split]
        count = Counter(record.kind for record in records)
        rows.append((split, len({record.page for record in records}), *(count[kind] for kind in kinds), len(records)))
    rows.append(("all", *(sum(row[i] for row in rows) for i in range(1, 6))))
    return table(("split", "pages", *kinds, "pairs"), rows)


def _count_table(name: str, counts: Counter) -> str:
    return table((name, "pairs"), sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _stage_table(report: CollectReport) -> str:
    rows = report.counts.as_dict()
    used = [stage for stage in STAGES if rows["all"][stage]]
    ranked = sorted(rows.items(), key=lambda item: (item[0] == "all", -item[1]["kept"], item[0]))
    return table(
        ("source", *(stage.replace("_", " ") for stage in used)),
        [(name, *(row[s] for s in used)) for name, row in ranked],
    )


def table(head: Iterable[str], rows: Iterable[Iterable]) -> str:
    """A Markdown table; all columns but the first hold numbers."""
    head = list(head)
    lines = [head, ["---", *("---:" for _ in head[1:])], *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def examples_text(report: CollectReport, number: int, seed: int) -> str:
    """`number` random pairs of all splits, to look at with one's own eyes."""
    records = [(split, record) for split in SPLITS for record in report.splits[split]]
    chosen = random.Random(seed).sample(records, min(number, len(records)))
    parts = [f"# {len(chosen)} random pairs"]
    for split, record in chosen:
        steps = "\n".join(f"{i}. {step}" for i, step in enumerate(record.plan, start=1))
        about = "; ".join((record.app or "no application", record.kind, record.license or "no license given", split))
        parts.append(f"## {record.task}\n\n{about}; `{record.task_id}`\n\n{steps}")
    return "\n\n".join(parts) + "\n"
