"""What became of every task, stage by stage; the counts add up, and a resumed collection counts the same."""

from collections import Counter
from dataclasses import dataclass, field

from lam_train.collect.trajectories.instantiation import CallUsage, Instantiation
from lam_train.collect.trajectories.judge import Judgement
from lam_train.records import FAILURES, Trajectory

STAGES = (
    "tasks",
    "not_instantiated",  # no plan, an unreadable one, or one that the filter refused
    "instantiated",
    "broken",  # the application failed, whatever the expert did
    "discarded",  # an action could not be read, grounded or done, or the steps ran out
    "executed",  # every action done, up to FINISH
    "success",
    "fail",
    "unsure",
)


def ending(trajectory: Trajectory) -> str:
    """The stage in which a trajectory ended: one of the `STAGES` that no other follows."""
    if trajectory.outcome == "error":
        return "broken"
    if trajectory.reason == "no plan" and not any(step.action.function for step in trajectory.steps):
        return "not_instantiated"
    if trajectory.outcome != "success" and not was_executed(trajectory):
        return "discarded"
    return trajectory.outcome


def was_executed(trajectory: Trajectory) -> bool:
    """Whether it came to FINISH with every action done."""
    steps = trajectory.steps
    return bool(steps) and steps[-1].action.status == "FINISH" and not any(step.error or step.problem for step in steps)


def short_reason(reason: str) -> str:
    """A reason without its details: one of `FAILURES` where it begins with one, else its first words."""
    known = next((failure for failure in FAILURES if reason.startswith(failure)), None)
    return known or reason.partition(":")[0].strip()[:60] or "no reason given"


@dataclass
class CollectionCounts:
    """Tasks by stage, over all and by family, template and split; reasons of failures; steps and seconds."""

    all: Counter = field(default_factory=Counter)
    by: dict[str, dict[str, Counter]] = field(default_factory=lambda: {"family": {}, "template": {}, "split": {}})
    reasons: Counter = field(default_factory=Counter)  # (stage, reason)
    steps: int = 0  # of successes
    refused_steps: int = 0  # in successes: a policy that reads the refusal can go on
    seconds: float = 0.0
    retries: int = 0
    quality: Counter = field(default_factory=Counter)  # the judge's word on the tasks themselves
    plans: Counter = field(default_factory=Counter)  # instantiations: planned, or the kind of problem
    usage: CallUsage = field(default_factory=CallUsage)

    def add(self, trajectory: Trajectory) -> None:
        """Counts an episode."""
        end = ending(trajectory)
        task = trajectory.task
        for group, name in (("family", task.family), ("template", task.template), ("split", task.split)):
            self._count(self.by[group].setdefault(name or "(none)", Counter()), end)
        self._count(self.all, end)
        if end == "success":
            self.steps += len(trajectory.steps)
            self.refused_steps += sum(step.error for step in trajectory.steps)
        else:
            self.reasons[end, short_reason(trajectory.reason)] += 1
        self.seconds += trajectory.seconds
        self.retries += trajectory.retries

    def add_plan(self, plan: Instantiation) -> None:
        """Counts what an expert's call cost, and what was wrong with its plan; the task is counted by its episode."""
        self.usage = self.usage + plan.usage
        if plan.problem:
            self.plans[plan.problem.partition(":")[0]] += 1
        else:
            self.plans["planned"] += 1

    def add_judgement(self, judgement: Judgement) -> None:
        """Counts what the judge said of the task itself, and what it cost."""
        self.usage = self.usage + judgement.usage
        self.quality[judgement.task_quality or "not said"] += 1

    @staticmethod
    def _count(counter: Counter, end: str) -> None:
        reached = {
            "not_instantiated": ("not_instantiated",),
            "broken": ("instantiated", "broken"),
            "discarded": ("instantiated", "discarded"),
        }.get(end, ("instantiated", "executed", end))
        counter.update(("tasks", *reached))

    def check(self) -> None:
        """Raises AssertionError if a task was lost or counted twice."""
        for counter in (self.all, *(counter for group in self.by.values() for counter in group.values())):
            assert counter["tasks"] == counter["not_instantiated"] + counter["instantiated"], counter
            assert counter["instantiated"] == counter["broken"] + counter["discarded"] + counter["executed"], counter
            assert counter["executed"] == counter["success"] + counter["fail"] + counter["unsure"], counter
        for group in self.by.values():
            assert sum(counter["tasks"] for counter in group.values()) == self.all["tasks"], group

    @property
    def success_rate(self) -> float:
        """Successes / tasks; 0 of 0 is 0."""
        return self.all["success"] / self.all["tasks"] if self.all["tasks"] else 0.0

    def as_dict(self) -> dict:
        """For JSON."""
        return {
            "all": {stage: self.all[stage] for stage in STAGES},
            "success_rate": round(self.success_rate, 4),
            "by": {
                group: {name: {stage: counter[stage] for stage in STAGES} for name, counter in sorted(rows.items())}
                for group, rows in self.by.items()
            },
            "reasons": [{"stage": stage, "reason": why, "tasks": n} for (stage, why), n in self.reasons.most_common()],
            "steps_of_successes": self.steps,
            "refused_steps_of_successes": self.refused_steps,
            "episode_seconds": round(self.seconds, 1),
            "retries": self.retries,
            "plans": dict(self.plans.most_common()),
            "task_quality": dict(self.quality.most_common()),
            "usage": self.usage.model_dump(),
        }
