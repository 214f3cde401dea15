"""What exploring gave: tasks tried and won, rollouts, what is kept, by family."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lam_train.collect.exploration.selection import effective_actions
from lam_train.collect.trajectories.counts import short_reason
from lam_train.evaluate.acting import family_group
from lam_train.records import Task, Trajectory

COLUMNS = ("tasks", "tried", "won", "rollouts", "successes", "different", "kept")


@dataclass
class ExplorationCounts:
    """Counts over all and by family (compositions by how many operations they have).

    tasks: those that the expert failed; tried: with a rollout; won: with a success; rollouts: episodes that came to an
    end; successes: of those; different: successes with different effective actions of a task; kept: learned from.
    """

    all: Counter = field(default_factory=Counter)
    families: dict[str, Counter] = field(default_factory=dict)
    reasons: Counter = field(default_factory=Counter)
    seconds: float = 0.0
    steps: int = 0

    @property
    def task_yield(self) -> float:
        """Tasks won / tasks tried: the paper's 496 of 2,284 is 21.7 %. 0 of 0 is 0."""
        return self.all["won"] / self.all["tried"] if self.all["tried"] else 0.0

    def as_dict(self) -> dict:
        """For JSON."""
        return {
            "all": {name: self.all[name] for name in COLUMNS},
            "task_yield": round(self.task_yield, 4),
            "families": {f: {name: c[name] for name in COLUMNS} for f, c in sorted(self.families.items())},
            "failures": dict(self.reasons.most_common()),
            "episode_seconds": round(self.seconds, 1),
            "steps": self.steps,
        }


def count(tasks: Iterable[Task], episodes: Iterable[Trajectory], kept: Iterable[Trajectory]) -> ExplorationCounts:
    """The counts of an exploration: its tasks, its episodes, and those that were kept."""
    counts = ExplorationCounts()

    def add(task: Task, name: str, number: int = 1) -> None:
        counts.all[name] += number
        counts.families.setdefault(family_group(task), Counter())[name] += number

    for task in tasks:
        add(task, "tasks")
    tried: set[str] = set()
    won: dict[str, set[tuple[str, ...]]] = {}
    for episode in episodes:
        task = episode.task
        counts.seconds += episode.seconds
        counts.steps += len(episode.steps)
        if episode.outcome == "error":
            counts.reasons[short_reason(episode.reason)] += 1  # "application error" or "no answer"
            continue
        add(task, "rollouts")
        if task.task_id not in tried:
            tried.add(task.task_id)
            add(task, "tried")
        if episode.outcome != "success":
            counts.reasons[short_reason(episode.reason)] += 1
            continue
        add(task, "successes")
        known = won.get(task.task_id)
        if known is None:
            known = won[task.task_id] = set()
            add(task, "won")
        effect = effective_actions(episode)
        if effect not in known:
            known.add(effect)
            add(task, "different")
    for episode in kept:
        add(episode.task, "kept")
    return counts
