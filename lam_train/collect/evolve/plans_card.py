"""The dataset of evolved pairs: its files, counts and card."""

import datetime
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from lam_train.collect.evolve.evolved_pair import EvolvedPair, same_form
from lam_train.collect.trajectories.card import table
from lam_train.collect.trajectories.instantiation import CallUsage
from lam_train.records import TaskPlan, write_jsonl

ENDS = ("kept", "duplicate", "too long", "unchanged", "empty", "unreadable")


def write_dataset(
    folder: Path,
    given: Mapping[str, Sequence[TaskPlan]],
    answers: Sequence[EvolvedPair],
    settings: dict,
    examples: int,
    seed: int,
) -> Counter:
    """Writes SPLIT.jsonl (the evolved pairs of the split's pairs), counts.json and README.md; returns ends -> answers.

    A pair that says the same as a given one, or as one made earlier, is dropped, in whatever split that is.
    """
    parents = {pair.task_id: (split, pair) for split, pairs in given.items() for pair in pairs}
    seen = {same_form(pair.task) for _, pair in parents.values()}
    ends: Counter = Counter()
    by_split: dict[str, list[TaskPlan]] = {split: [] for split in given}
    usage = CallUsage()
    for answer in sorted(answers, key=lambda answer: (answer.round, answer.parent)):
        usage = usage + answer.usage
        if answer.parent not in parents:  # the data changed since
            continue
        if answer.problem:
            ends[answer.problem.partition(":")[0]] += 1
            continue
        if same_form(answer.task) in seen:
            ends["duplicate"] += 1
            continue
        seen.add(same_form(answer.task))
        ends["kept"] += 1
        split, parent = parents[answer.parent]
        by_split[split].append(_pair(answer, parent))
    for split, pairs in by_split.items():
        write_jsonl(folder / f"{split}.jsonl", pairs)
    numbers = {
        "given": {split: len(pairs) for split, pairs in given.items()},
        "answers": {end: ends[end] for end in ENDS},
        "kept": {split: len(pairs) for split, pairs in by_split.items()},
        "usage": usage.model_dump(),
    }
    (folder / "counts.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(_card(numbers, by_split, settings, examples, seed), encoding="utf-8")
    return ends


def _pair(answer: EvolvedPair, parent: TaskPlan) -> TaskPlan:
    """The evolved pair as data: a part of its parent's page, under its license."""
    update = {
        "task_id": f"{parent.task_id}/evolved/{answer.round}",
        "task": answer.task,
        "plan": answer.plan,
        "source": f"evolved:{parent.source}",
        "kind": "steps",
    }
    return parent.model_copy(update=update)


def _card(numbers: dict, by_split: dict[str, list[TaskPlan]], settings: dict, examples: int, seed: int) -> str:
    given, kept = sum(numbers["given"].values()), sum(numbers["kept"].values())
    rows = [(split, n, numbers["kept"][split], n + numbers["kept"][split]) for split, n in numbers["given"].items()]
    total = ("all", given, kept, given + kept)
    pairs = [pair for pairs in by_split.values() for pair in pairs]
    bold = sum(any("**" in step for step in pair.plan) for pair in pairs)
    shown = random.Random(seed).sample(pairs, min(examples, len(pairs)))
    usage = numbers["usage"]
    parts = [
        "# Evolved task-plan pairs",
        f"Made until {datetime.date.today().isoformat()} by the recipe `evolve_plans` with a language model, by the "
        "paper's rules; nobody executed these plans. The paper evolved 29,182 pairs into 76,672. A pair is in its "
        "parent's split, on its parent's page and under its license.",
        table(("split", "given", "evolved", "together"), [*rows, total]),
        "## Answers",
        table(("answer", "pairs"), [(end, numbers["answers"][end]) for end in ENDS]),
        f"{bold} of {kept} plans name an object in **bold**, as they were asked to.",
        f"{usage['calls']} calls, {usage['prompt_tokens']} prompt tokens, {usage['answer_tokens']} answer tokens, cost "
        f"{usage['cost']:.4f}.",
        "## Settings",
        f"```json\n{json.dumps(settings, indent=1, ensure_ascii=False)}\n```",
        f"## {len(shown)} random pairs",
        *(_example(pair) for pair in shown),
    ]
    return "\n\n".join(parts) + "\n"


def _example(pair: TaskPlan) -> str:
    steps = "\n".join(f"{n}. {step}" for n, step in enumerate(pair.plan, start=1))
    return f"### {pair.task}\n\n`{pair.task_id}`\n\n{steps}"
