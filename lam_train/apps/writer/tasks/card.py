"""Writes the tasks as JSONL, a file a split, with a card that counts them."""

import json
import logging
from collections import Counter
from pathlib import Path

from lam_train.apps.writer.tasks.families import FAMILIES
from lam_train.apps.writer.tasks.generate import TaskSettings, generate_tasks
from lam_train.apps.writer.tasks.splits import SPLITS, pairs_of, templates_of
from lam_train.records import Task, write_jsonl

log = logging.getLogger(__name__)

ABOUT = """\
Requests to change a document in LibreOffice Writer. A record is a line of JSON (`lam_train.records.Task`): the request,
the template document it is about, and the operations that it asks for, which only the check reads
(`lam_train.apps.writer.tasks.check`).

Train and explore share templates, compositions and most wordings, but no task and no operation on a document.
Validation and test have templates, wordings and pairs of families of their own. The texts are original and dedicated to
the public domain (CC0 1.0).
"""


def write_tasks(settings: TaskSettings) -> dict[str, int]:
    """Writes train.jsonl, explore.jsonl, validation.jsonl, test.jsonl and README.md; returns the counts by split."""
    tasks = generate_tasks(settings)
    folder = Path(settings.output).expanduser()
    counts = {s: write_jsonl(folder / f"{s}.jsonl", (task for task in tasks if task.split == s)) for s in SPLITS}
    (folder / "README.md").write_text(card_text(tasks, settings), encoding="utf-8")
    log.info("%s tasks in %s: %s", len(tasks), folder, ", ".join(f"{count} {split}" for split, count in counts.items()))
    return counts


def card_text(tasks: list[Task], settings: TaskSettings) -> str:
    """The card: counts by split, family and template."""
    groups = {split: [task for task in tasks if task.split == split] for split in SPLITS} | {"all": tasks}
    facts = {
        "tasks": {split: len(group) for split, group in groups.items()},
        **{
            title: {split: sum(len(task.operations) == number for task in group) for split, group in groups.items()}
            for number, title in enumerate(("of one operation", "of two", "of three"), start=1)
        },
        "different wordings": {split: len({task.wording for task in group}) for split, group in groups.items()},
        "pairs of families": {split: len(set().union(*map(pairs_of, group))) for split, group in groups.items()},
        "templates": {split: len({task.template for task in group}) for split, group in groups.items()},
    }
    singles = Counter((split, task.family) for split, group in groups.items() for task in group)
    families = {name: {split: singles[split, name] for split in groups} for name in FAMILIES}
    used = {"train and explore": templates_of("train")} | {s: templates_of(s) for s in ("validation", "test")}
    parts = [
        "# Tasks for Writer",
        ABOUT,
        "## Counts",
        table("", facts),
        "## Templates",
        "\n".join(f"- {split}: {', '.join(names)}" for split, names in used.items()),
        "## Single operations, by family",
        table("family", families),
        "## Settings",
        f"```json\n{json.dumps(settings.model_dump(mode='json'), indent=1)}\n```",
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def table(title: str, rows: dict[str, dict[str, int]]) -> str:
    """A Markdown table with a column a split."""
    columns = (*SPLITS, "all")
    lines = [[title, *columns], ["---", *["---:"] * len(columns)]]
    lines += [[name, *(str(row[column]) for column in columns)] for name, row in rows.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
