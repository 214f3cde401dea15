"""A collection's card: what it holds, counts at every stage, and examples to look at with one's own eyes."""

import datetime
import json
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lam_train.collect.trajectories.counts import STAGES, CollectionCounts, ending
from lam_train.records import Step, Trajectory

_ABOUT = """\
Trajectories of an expert that acts in a live application, for phases 2 to 4. `episodes-*.jsonl` holds a `Trajectory`
record a line (lam_train/records.py): the task, every step's observation, action and result, the outcome and who
judged it. Failures are kept whole: phase 3 explores their tasks, phase 4 learns from their steps.

Stages, as in the paper: a task is instantiated (the expert understands it and plans), executed (every action is done
in the live application; any error discards), and judged. "unsure" is never a success. The counts add up:
tasks = not instantiated + instantiated; instantiated = broken + discarded + executed;
executed = success + fail + unsure.
A policy that acts step by step may read a refusal and go on: such a success counts as executed.
"""


@dataclass
class Examples:
    """A fair sample of a stream of unknown length (reservoir sampling), and the versions seen."""

    number: int
    seed: int
    kept: list[Trajectory] = field(default_factory=list)
    versions: Counter = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random, self._seen = random.Random(self.seed), 0

    def add(self, trajectory: Trajectory) -> None:
        """Keeps the trajectory with the probability number / seen so far."""
        self._seen += 1
        self.versions.update(f"{name} {version}" for name, version in trajectory.versions.items())
        if len(self.kept) < self.number:
            self.kept.append(trajectory)
        elif (place := self._random.randrange(self._seen)) < self.number:
            self.kept[place] = trajectory


def card_text(counts: CollectionCounts, examples: Examples, settings: dict, more: Iterable[str] = ()) -> str:
    """The whole card, as Markdown; `more` are further sections (the judges' agreement, for one)."""
    success = counts.all["success"]
    per_success = counts.steps / success if success else 0.0
    parts = [
        "# Trajectories",
        f"Collected until {datetime.date.today().isoformat()} by the recipe `collect`: {counts.all['tasks']} tasks, "
        f"{success} successes ({counts.success_rate:.1%}), {per_success:.2f} steps each.",
        _ABOUT,
        "## Stages",
        _stage_table("split", counts.by["split"], counts.all),
        "## Families",
        _stage_table("family", _gathered(counts.by["family"]), counts.all),
        "## Templates",
        _stage_table("template", counts.by["template"], counts.all),
        "## Why the others are no successes",
        table(
            ("stage", "reason", "tasks"), [(stage, why, n) for (stage, why), n in counts.reasons.most_common()]
        ),
        *more,
        "## Cost",
        _cost(counts),
        "## Versions",
        "\n".join(f"- {name}: {n} episodes" for name, n in sorted(examples.versions.items())) or "none recorded",
        "## Settings",
        f"```json\n{json.dumps(settings, indent=1, ensure_ascii=False)}\n```",
        f"## {len(examples.kept)} random episodes",
        *(_example(trajectory) for trajectory in examples.kept),
    ]  # fmt: skip
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _gathered(families: dict[str, Counter]) -> dict[str, Counter]:
    """Single operations by name, compositions by how many operations they have: there are too many kinds to list."""
    rows: dict[str, Counter] = {}
    for name, counter in families.items():
        operations = name.count("+") + 1
        rows.setdefault(name if operations == 1 else f"{operations} operations", Counter()).update(counter)
    return rows


def _stage_table(head: str, rows: dict[str, Counter], total: Counter) -> str:
    used = [stage for stage in STAGES if total[stage]]
    body = [
        (name, *(counter[stage] for stage in used), f"{counter['success'] / counter['tasks']:.0%}")
        for name, counter in [*sorted(rows.items()), ("all", total)]
        if counter["tasks"]
    ]
    return table((head, *(stage.replace("_", " ") for stage in used), "success rate"), body)


def _cost(counts: CollectionCounts) -> str:
    hours = counts.seconds / 3600
    lines = [f"- {hours:.2f} hours of episodes, added over all instances; begun again after a crash: {counts.retries}"]
    if counts.plans:
        lines.append("- plans: " + ", ".join(f"{n} {what}" for what, n in counts.plans.most_common()))
    if counts.quality:
        lines.append(
            "- the judge on the tasks: " + ", ".join(f"{n} {what}" for what, n in counts.quality.most_common())
        )
    if counts.usage.calls:
        usage = counts.usage
        lines.append(
            f"- {usage.calls} calls, {usage.prompt_tokens} prompt tokens, {usage.answer_tokens} answer tokens, "
            f"cost {usage.cost:.4f}"
        )
    return "\n".join(lines)


def table(head: Iterable[str], rows: Iterable[Iterable]) -> str:
    """A Markdown table; the first column left, the others right."""
    head = list(head)
    lines = [head, ["---", *("---:" for _ in head[1:])], *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _example(trajectory: Trajectory) -> str:
    task = trajectory.task
    about = f"`{task.task_id}`, {task.template or 'no template'}, {task.family or 'no family'}, {task.split}"
    end = f"**{ending(trajectory).replace('_', ' ')}**" + (f": {trajectory.reason}" if trajectory.reason else "")
    steps = [f"{index}. {step_line(step)}" for index, step in enumerate(trajectory.steps, start=1)]
    verdicts = [f"- {v.by}: {v.complete}" + (f" ({v.reason[:200]})" if v.reason else "") for v in trajectory.verdicts]
    return "\n".join([f"### {_cell(task.request)}", "", f"{about}; {end}", "", *steps, *verdicts])


def step_line(step: Step) -> str:
    """A step in one line, as a person reads it."""
    if step.problem:
        return _cell(step.problem[:200])
    action = step.action
    arguments = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in action.args.items())
    call = f"`{action.function}({arguments})`" if action.function else "(nothing)"
    control = f" on {action.control_name[:60]!r}" if action.control_name else ""
    finish = " FINISH" if action.status == "FINISH" else ""
    refused = f" — refused: {step.result[:120]}" if step.error else ""
    return _cell(f"{call}{control}{finish}{refused}")
