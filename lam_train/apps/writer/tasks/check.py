"""The executable check of a saved document: what a task asks for is there, and nothing else changed.

It knows nothing of the actions that were done. The operations' families say what must have become of the original's
model (`Family.expect`), and the saved document's model is compared with that, property by property.
"""

import copy
from itertools import chain
from pathlib import Path

from lam_train.apps.writer.tasks.comparison import Difference, compare
from lam_train.apps.writer.tasks.document_model import Document
from lam_train.apps.writer.tasks.docx_reader import read_document
from lam_train.apps.writer.tasks.families import FAMILIES
from lam_train.errors import UserError
from lam_train.records import Operation, Task, Verdict

MOST_NAMED = 4  # differences that a reason names


def check_document(task: Task, original: Path, saved: Path) -> Verdict:
    """Whether `saved` is `original` with the task's operations done, and nothing else.

    "unsure" where the task has no operations; raises UserError where they do not fit the original.
    """
    if not task.operations:
        return Verdict(complete="unsure", reason="the task has no operations to check")
    before = read_document(original)
    try:
        after = read_document(saved)
    except UserError as error:
        return Verdict(complete="no", reason=str(error))
    return judge(task.operations, before, after)


def judge(operations: list[Operation], before: Document, after: Document) -> Verdict:
    """The verdict on two models."""
    best: tuple[list[Difference], Document] | None = None
    for expected in expected_documents(operations, before):
        differences = compare(expected, after)
        if not differences:
            return Verdict(complete="yes", reason="all is as asked, nothing else changed")
        if best is None or len(differences) < len(best[0]):
            best = differences, expected
    return Verdict(complete="no", reason=explain(best[0], compare(best[1], before)))


def expected_documents(operations: list[Operation], before: Document) -> list[Document]:
    """What the original may have become, all operations done."""
    documents = [copy.deepcopy(before)]
    for operation in ordered(operations):
        family = FAMILIES.get(operation.name)
        if family is None:
            raise UserError(f"operation {operation.name!r}: no such family; there are {', '.join(FAMILIES)}")
        documents = list(chain(*(family.expect(d, operation.parameters) or [d] for d in documents)))
    return documents


def ordered(operations: list[Operation]) -> list[Operation]:
    """Those that move paragraphs last: the others find theirs where they were."""
    return sorted(operations, key=lambda operation: operation.name in FAMILIES and FAMILIES[operation.name].structural)


def explain(differences: list[Difference], asked: list[Difference]) -> str:
    """In words: what is missing of what was asked for, and what else changed."""
    missing = [d for d in differences if any(d.same_place(other) for other in asked)]
    other = [d for d in differences if d not in missing]
    parts = []
    for title, listed in (("not done: ", missing), ("also changed: ", other)):
        if listed:
            more = f" and {len(listed) - MOST_NAMED} more" if len(listed) > MOST_NAMED else ""
            parts.append(title + "; ".join(map(str, listed[:MOST_NAMED])) + more)
    return ". ".join(parts)
