"""Makes tasks out of families, templates and wordings: the same seed gives the same tasks, byte for byte."""

import difflib
import hashlib
import json
from itertools import combinations
from random import Random
from typing import Annotated

from pydantic import Field, NonNegativeInt

from lam_train.apps.writer.tasks import wordings
from lam_train.apps.writer.tasks.docx_reader import read_document
from lam_train.apps.writer.tasks.families import FAMILIES
from lam_train.apps.writer.tasks.family import Drawn, Family
from lam_train.apps.writer.tasks.source import Source
from lam_train.apps.writer.tasks.splits import SPLITS, assert_disjoint, split_of_pair, takes, templates_of
from lam_train.apps.writer.templates import template_path
from lam_train.errors import UserError
from lam_train.records import Operation, Split, Task
from lam_train.settings import Settings

ATTEMPTS = 40  # draws for each task asked for, before a family is taken to have no more
ON_PHRASES = 0.25  # of the compositions, those of operations on phrases' looks (others are so by chance)
SAME_PHRASE = 0.6  # of the pairs that can be about one phrase ("make X bold and underline it"), those that are


class SplitCounts(Settings):
    """How many for each split."""

    train: NonNegativeInt = 0
    """in train: the expert's successes become phase 2's data"""
    explore: NonNegativeInt = 0
    """in explore: for the expert's second part and for what it fails"""
    validation: NonNegativeInt = 0
    """in validation: templates, wordings and compositions of its own"""
    test: NonNegativeInt = 0
    """in test: templates, wordings and compositions of its own"""


class TaskSettings(Settings):
    """How many tasks to make; counts are upper limits, reached where a family has that many."""

    output: str = "collected/writer_tasks"
    """folder for train.jsonl, explore.jsonl, validation.jsonl, test.jsonl and the card"""
    seed: int = 0
    """the same seed gives the same tasks"""
    families: list[str] | None = None
    """families to use (docs/tasks.md lists them); null: all"""
    singles: SplitCounts = Field(default_factory=lambda: SplitCounts(train=45, explore=22, validation=5, test=8))
    """tasks of one operation, for each family"""
    compositions: SplitCounts = Field(
        default_factory=lambda: SplitCounts(train=600, explore=300, validation=75, test=140)
    )
    """tasks of two or three operations, for all families together"""
    triples: Annotated[float, Field(ge=0, le=1)] = 0.3
    """share of the compositions that have three operations"""


def generate_tasks(settings: TaskSettings) -> list[Task]:
    """All splits' tasks, in order; raises UserError where splits would leak."""
    sources = load_sources()
    names = known_families(settings.families)
    tasks = []
    for split in SPLITS:
        made: dict[tuple[str, str], Task] = {}
        for name in names:
            single_tasks(FAMILIES[name], split, settings, sources, made)
        compositions(names, split, settings, sources, made)
        tasks += made.values()
    assert_disjoint(tasks)
    return tasks


def known_families(wanted: list[str] | None) -> list[str]:
    """The families' names, sorted; raises UserError for one that there is not."""
    for name in wanted or ():
        if name not in FAMILIES:
            near = difflib.get_close_matches(name, FAMILIES, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UserError(f"tasks.families={name}: no such family; {hint}There are {', '.join(FAMILIES)}")
    return sorted(set(wanted or FAMILIES))


def load_sources() -> dict[str, Source]:
    """Template name -> what it offers."""
    names = sorted({name for split in SPLITS for name in templates_of(split)})
    return {name: Source(name, read_document(template_path(name))) for name in names}


def single_tasks(family: Family, split: Split, settings: TaskSettings, sources: dict[str, Source], made: dict) -> None:
    """Adds one family's tasks to `made`."""
    rng = Random(f"{settings.seed}/{split}/{family.name}")
    wanted, count = getattr(settings.singles, split), 0
    for _ in range(wanted * ATTEMPTS):
        if count == wanted:
            return
        source = sources[rng.choice(templates_of(split))]
        drawn = family.draw(source, rng)
        wording = wordings.request_wording(family.name, split, rng)
        if drawn is None:
            continue
        request = wordings.sentence_case(wordings.fill(wording.text, drawn.slots))
        operations = [Operation(name=family.name, parameters=drawn.parameters)]
        count += add(made, source, request, wording.name, operations, split, settings.seed)


def compositions(
    names: list[str], split: Split, settings: TaskSettings, sources: dict[str, Source], made: dict
) -> None:
    """Adds the tasks of two and three operations to `made`."""
    rng = Random(f"{settings.seed}/{split}/compositions")
    groups = {n: [g for g in combinations(names, n) if allowed(g, split, settings.seed)] for n in (2, 3)}
    wanted, count = getattr(settings.compositions, split), 0
    for _ in range(wanted * ATTEMPTS):
        if count == wanted or not groups[2]:
            return
        possible = groups[3] if rng.random() < settings.triples and groups[3] else groups[2]
        if rng.random() < ON_PHRASES:
            possible = [group for group in possible if all(FAMILIES[name].on_phrase for name in group)] or possible
        group = list(rng.choice(possible))
        rng.shuffle(group)
        source = sources[rng.choice(templates_of(split))]
        parts = draw_together([FAMILIES[name] for name in group], source, rng)
        if parts is None:
            continue
        clauses = [wordings.clause(name, split, rng) for name in group]
        filled = [wordings.fill(c.text, part.slots) for c, part in zip(clauses, parts, strict=True)]
        if parts[0].parameters.get("phrase", "") == parts[1].parameters.get("phrase"):
            filled[1] = wordings.with_pronoun(filled[1], parts[1].slots["phrase"])
        whole = wordings.joined(filled, split, rng)
        name = "+".join([whole.name, *(c.name for c in clauses)])
        operations = [Operation(name=n, parameters=p.parameters) for n, p in zip(group, parts, strict=True)]
        count += add(made, source, whole.text, name, operations, split, settings.seed)


def allowed(group: tuple[str, ...], split: Split, seed: int) -> bool:
    """Whether families may stand together in a composition of this split."""
    families = [FAMILIES[name] for name in group]
    if any(family.alone for family in families) or sum(family.structural for family in families) > 1:
        return False
    home = "train" if split == "explore" else split
    return all(split_of_pair(seed, *pair) == home for pair in combinations(group, 2))


def draw_together(families: list[Family], source: Source, rng: Random) -> list[Drawn] | None:
    """Parameters of operations that do not get in each other's way, or None."""
    parts: list[Drawn] = []
    touched: set[str] = set()
    for family in families:
        drawn = family.draw(source, rng)
        if drawn is None:
            return None
        if len(parts) == 1 and rng.random() < SAME_PHRASE and can_share(families, parts[0], drawn, source):
            phrase = {"phrase": parts[0].parameters["phrase"]}
            drawn = Drawn(drawn.parameters | phrase, drawn.slots | phrase, frozenset())
        if touched & drawn.touches:
            return None
        touched |= drawn.touches
        parts.append(drawn)
    return parts


def can_share(families: list[Family], first: Drawn, second: Drawn, source: Source) -> bool:
    """Whether the second operation makes sense on the first one's phrase: another part of its look, still to be set."""
    one, two = families[:2]
    if not (one.on_phrase and two.on_phrase) or one.attribute == two.attribute:
        return False
    phrase = next(phrase for phrase in source.phrases if phrase.text == first.parameters["phrase"])
    return two.lacks(phrase.look, second.parameters)


def add(
    made: dict, source: Source, request: str, wording: str, operations: list[Operation], split: Split, seed: int
) -> int:
    """Adds a task unless it is there already or another split's; returns how many it added."""
    key = (source.template, request)
    if key in made or not takes(split, seed, source.template, operations):
        return 0
    identity = json.dumps([source.template, request, [o.model_dump() for o in operations]], ensure_ascii=False)
    made[key] = Task(
        task_id=f"writer-{hashlib.sha256(identity.encode()).hexdigest()[:12]}",
        request=request,
        template=source.template,
        family="+".join(operation.name for operation in operations),
        wording=wording,
        operations=operations,
        split=split,
        source="generated",
    )
    return 1
