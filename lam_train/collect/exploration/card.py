"""The card of an exploration: yields per family, failures, settings."""

import datetime
import json

from lam_train.collect.exploration.counts import COLUMNS, ExplorationCounts
from lam_train.collect.trajectories.card import step_line, table
from lam_train.records import Trajectory

_ABOUT = """\
A model's own attempts at tasks that the expert failed, for phases 3 and 4 (the paper, section 4.3, won 496 of 2,284).
`episodes-*.jsonl` holds every episode whole, failures too, with the model's token ids and log-probabilities;
`selected/` the successes that phase 3 learns from: of each task those with different effective actions, the shortest
first. The executable check alone says what a success is.

Columns: tasks that the expert failed; tried; won at least once; rollouts that came to an end; successes among them;
successes with different effective actions; kept; won of those tried."""


def card_text(counts: ExplorationCounts, kept: list[Trajectory], settings: dict, examples: int) -> str:
    """The whole card, as Markdown."""
    rows = [(name, *(row[column] for column in COLUMNS)) for name, row in sorted(counts.families.items())]
    rows.append(("all", *(counts.all[column] for column in COLUMNS)))
    with_yield = [(*row, f"{row[3] / row[2]:.0%}" if row[2] else "") for row in rows]
    parts = [
        "# Exploration",
        f"Until {datetime.date.today().isoformat()}: {counts.all['won']} of {counts.all['tried']} tasks won "
        f"({counts.task_yield:.1%}) in {counts.all['rollouts']} rollouts; {counts.all['kept']} successes kept.",
        _ABOUT,
        "## Yield",
        table(("family", *COLUMNS, "yield"), with_yield),
        "## Why the other rollouts are no successes",
        table(("reason", "rollouts"), counts.reasons.most_common()),
        f"{counts.steps:,} steps, {counts.seconds / 3600:.2f} hours of episodes, added over all instances.",
        "## Settings",
        f"```json\n{json.dumps(settings, indent=1, ensure_ascii=False)}\n```",
        f"## The first {min(examples, len(kept))} of the kept",
        *(_example(trajectory) for trajectory in kept[:examples]),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _example(trajectory: Trajectory) -> str:
    steps = [f"{index}. {step_line(step)}" for index, step in enumerate(trajectory.steps, start=1)]
    head = trajectory.task.request.replace("\n", " ")
    return "\n".join([f"### {head}", "", f"`{trajectory.trajectory_id}`, {trajectory.task.family}", "", *steps])
