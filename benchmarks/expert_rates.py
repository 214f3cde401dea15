"""How often the embedded expert succeeds in a real Writer: expert_rates.py RESULT_FOLDER [TASKS] [INSTANCES]

TASKS (default 700) are drawn uniformly from the generated train and explore tasks, by seed 0; each is an episode in
one of INSTANCES (default 2) Writers, judged by its executable check. Writes rates.json and README.md.
"""

import json
import random
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from training_facts import hardware

from lam_train.agent.episode import EpisodeSettings
from lam_train.agent.policy import Decision
from lam_train.agent.rollouts import rollouts
from lam_train.apps.open import open_applications
from lam_train.apps.writer.expert import ManualExpert
from lam_train.apps.writer.settings import WriterSettings
from lam_train.apps.writer.tasks.generate import TaskSettings, generate_tasks
from lam_train.evaluate.statistics import estimates
from lam_train.records import State, Task, Trajectory

SEED = 0
MAX_STEPS = 20


def main(target: Path, count: int, instances: int) -> None:
    tasks = [task for task in generate_tasks(TaskSettings(seed=SEED)) if task.split in ("train", "explore")]
    drawn = random.Random(SEED).sample(tasks, min(count, len(tasks)))
    expert, environments = Timed(), open_applications(WriterSettings(instances=instances))
    started = time.perf_counter()
    try:
        episodes = rollouts(drawn, expert, environments, EpisodeSettings(max_steps=MAX_STEPS), seed=SEED)
        done = [brief(trajectory) for trajectory in episodes]
    finally:
        for environment in environments:
            environment.close()
    result = summary(done, expert.took_s, time.perf_counter() - started, instances, len(tasks))
    target.mkdir(parents=True, exist_ok=True)
    (target / "rates.json").write_text(json.dumps(result | {"episodes": done}, indent=1, ensure_ascii=False))
    (target / "README.md").write_text(page(result))


class Timed(ManualExpert):
    """The expert, and the processor's time that each decision took: others run on the machine, too."""

    def __init__(self) -> None:
        self.took_s: list[float] = []

    def decide(self, states: Sequence[State]) -> list[Decision]:
        decided = []
        for state in states:
            started = time.thread_time()
            decided += super().decide([state])
            self.took_s.append(time.thread_time() - started)
        return decided


def kind_of(task: Task) -> str:
    """The family, or how many operations a composition has."""
    return f"{len(task.operations)} operations" if len(task.operations) > 1 else task.family


def brief(trajectory: Trajectory) -> dict:
    """What the result keeps of an episode."""
    task, problems = trajectory.task, [step.problem for step in trajectory.steps if step.problem]
    return {
        "task_id": task.task_id,
        "kind": kind_of(task),
        "split": task.split,
        "template": task.template,
        "request": task.request,
        "outcome": trajectory.outcome,
        "reason": trajectory.reason,
        "why": problems[0] if problems else "; ".join(v.reason for v in trajectory.verdicts if v.complete != "yes"),
        "steps": len(trajectory.steps),
        "seconds": round(trajectory.seconds, 3),
    }


def summary(done: list[dict], decisions_s: list[float], seconds: float, instances: int, of: int) -> dict:
    """The numbers, of episodes in any order."""
    success = np.array([float(episode["outcome"] == "success") for episode in done])
    estimate = estimates(success[:, None], [e["task_id"] for e in done], 2000, SEED)[0]
    succeeded = [episode for episode in done if episode["outcome"] == "success"]
    understood = [e for e in done if "not understood" not in e["why"]]
    kinds: dict[str, list[float]] = defaultdict(list)
    for episode, won in zip(done, success, strict=True):
        kinds[episode["kind"]].append(won)
    decisions = sorted(decisions_s)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "hardware": hardware(),
        "versions": {"python": sys.version.split()[0], "numpy": version("numpy")},
        "seed": SEED,
        "max_steps": MAX_STEPS,
        "instances": instances,
        "tasks": len(done),
        "of": of,
        "success": estimate.model_dump(),
        "understood": len(understood) / len(done),
        "success_of_understood": len(succeeded) / max(len(understood), 1),
        "causes": dict(Counter(e["reason"] for e in done if e["outcome"] != "success").most_common()),
        "steps_of_successes": statistics.mean(e["steps"] for e in succeeded),
        "episode_s_median": statistics.median(e["seconds"] for e in succeeded),
        "wall_s": round(seconds, 1),
        "decision_cpu_ms": {
            "median": 1000 * statistics.median(decisions),
            "p95": 1000 * decisions[int(0.95 * len(decisions))],
        },
        "kinds": {kind: [int(sum(won)), len(won)] for kind, won in sorted(kinds.items())},
    }


def page(result: dict) -> str:
    """The result's README."""
    success, decision = result["success"], result["decision_cpu_ms"]
    causes = ", ".join(f"{reason} {count}" for reason, count in result["causes"].items())
    rows = [f"| {kind} | {won}/{count} |" for kind, (won, count) in result["kinds"].items()]
    return "\n".join(
        [
            "# The embedded expert in a real Writer",
            "",
            f"{result['tasks']} tasks drawn from the {result['of']} of train and explore (seed {result['seed']}), "
            f"{result['instances']} Writers at once, at most {result['max_steps']} steps. Made by "
            f"`benchmarks/expert_rates.py`, {result['date']}, on {result['hardware']}.",
            "",
            f"- success by the executable check: **{success['mean']:.1%}** "
            f"(95% interval {success['low']:.1%} to {success['high']:.1%})",
            f"- requests understood: {result['understood']:.1%}; of them succeed {result['success_of_understood']:.1%}",
            f"- failures by cause: {causes}",
            f"- steps of a success: {result['steps_of_successes']:.2f} on average",
            f"- seconds of a success: {result['episode_s_median']:.2f} (median); whole run {result['wall_s']:.0f} s",
            f"- processor time of a decision: {decision['median']:.2f} ms (median), {decision['p95']:.2f} ms (95th "
            "percentile)",
            "",
            "| family | succeeded |",
            "|---|---|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(number) for number in (sys.argv[2:] + ["700", "2"][len(sys.argv) - 2 :])))
