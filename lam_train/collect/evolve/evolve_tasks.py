"""Evolving without a language model: a task in other words, with other parameters, or with a second operation.

Every evolved task belongs to its parent's split and keeps to that split's wordings, templates and pairs of families, so
nothing leaks. What is made here is only proposed: the recipe keeps what an expert then really did, as the check says.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from pydantic import NonNegativeInt

from lam_train.apps.writer.tasks import wordings
from lam_train.apps.writer.tasks.families import FAMILIES
from lam_train.apps.writer.tasks.family import Drawn
from lam_train.apps.writer.tasks.generate import add, allowed
from lam_train.apps.writer.tasks.source import Source
from lam_train.collect.evolve.wording_slots import slots_of, wording_text
from lam_train.records import Operation, Task
from lam_train.settings import Settings

Move = Literal["wording", "parameters", "composition"]
MOVES: tuple[Move, ...] = ("wording", "parameters", "composition")
ATTEMPTS = 12  # draws for one evolved task, before the move is given up


class Moves(Settings):
    """How many evolved tasks are tried to be made of each task."""

    wording: NonNegativeInt = 1
    """the same operation, asked for in other words"""
    parameters: NonNegativeInt = 1
    """the same wording and operation, about another part of the document or with another value"""
    composition: NonNegativeInt = 1
    """a second operation of another family beside it"""


@dataclass(frozen=True)
class Proposal:
    """What a move makes of a task."""

    request: str
    wording: str
    operations: list[Operation]


@dataclass
class Evolution:
    """Makes evolved tasks of one generator's tasks, and counts what became of every attempt."""

    sources: Mapping[str, Source]
    seed: int  # the generator's: it decides which split a task and a pair of families belong to
    counts: Counter = field(default_factory=Counter)  # (move, what became of it)

    def evolve(self, tasks: Iterable[Task], moves: Moves, known: Iterable[Task]) -> list[Task]:
        """New tasks, none of which is among `known`, in the order of their parents."""
        made = {(task.template, task.request): task for task in known}
        evolved = []
        for task in tasks:
            slots = slots_of(task) if len(task.operations) == 1 else None
            for move in MOVES:
                for number in range(getattr(moves, move)):
                    if slots is None:
                        self.counts[move, "parent cannot be taken apart"] += 1
                        continue
                    rng = Random(f"{self.seed}/{task.task_id}/{move}/{number}")
                    new = self._made(task, slots, move, rng, made)
                    self.counts[move, "proposed" if new else "nothing new found"] += 1
                    if new:
                        evolved.append(new)
        return evolved

    def _made(self, task: Task, slots: dict[str, str], move: Move, rng: Random, made: dict) -> Task | None:
        propose: Callable[..., Proposal | None] = {
            "wording": self._reworded,
            "parameters": self._redrawn,
            "composition": self._composed,
        }[move]
        source = self.sources[task.template]
        for _ in range(ATTEMPTS):
            proposal = propose(task, slots, source, rng)
            if proposal is None:
                continue
            key = (task.template, proposal.request)
            given = (proposal.request, proposal.wording, proposal.operations)
            if add(made, source, *given, task.split, self.seed):
                made[key] = made[key].model_copy(update={"source": f"evolved:{move}", "parent": task.task_id})
                return made[key]
        return None

    def _reworded(self, task: Task, slots: dict[str, str], source: Source, rng: Random) -> Proposal | None:
        wording = wordings.request_wording(task.family, task.split, rng)
        request = wordings.sentence_case(wordings.fill(wording.text, slots))
        if wording.name == task.wording or "{" in request:  # a slot that the parent does not name
            return None
        return Proposal(request, wording.name, task.operations)

    def _redrawn(self, task: Task, slots: dict[str, str], source: Source, rng: Random) -> Proposal | None:
        drawn = FAMILIES[task.family].draw(source, rng)
        if drawn is None or drawn.parameters == task.operations[0].parameters or set(drawn.slots) < set(slots):
            return None
        request = wordings.sentence_case(wordings.fill(wording_text(task.wording), drawn.slots))
        return Proposal(request, task.wording, [Operation(name=task.family, parameters=drawn.parameters)])

    def _composed(self, task: Task, slots: dict[str, str], source: Source, rng: Random) -> Proposal | None:
        family = rng.choice([name for name in sorted(FAMILIES) if name != task.family])
        if not allowed(tuple(sorted((task.family, family))), task.split, self.seed):
            return None
        drawn = FAMILIES[family].draw(source, rng)
        if drawn is None or _meet(drawn, task.operations[0]):
            return None
        parts = [(task.family, task.operations[0].parameters, slots), (family, drawn.parameters, drawn.slots)]
        rng.shuffle(parts)
        clauses = [wordings.clause(name, task.split, rng) for name, _, _ in parts]
        filled = [wordings.fill(clause.text, part[2]) for clause, part in zip(clauses, parts, strict=True)]
        if any("{" in text for text in filled):
            return None
        whole = wordings.joined(filled, task.split, rng)
        operations = [Operation(name=name, parameters=parameters) for name, parameters, _ in parts]
        return Proposal(whole.text, "+".join([whole.name, *(clause.name for clause in clauses)]), operations)


def _meet(drawn: Drawn, operation: Operation) -> bool:
    """Whether the drawn operation is about the same part of the document as another, as far as its texts tell."""
    said = [value for value in operation.parameters.values() if isinstance(value, str)]
    return any(text in touched or touched in text for text in said for touched in drawn.touches if touched)
