"""The fourth stage: step samples in the paper's format (Appendix C), a JSON object a line, for any trainer.

Our own phases read the trajectories themselves (`lam_train.language`); this is for reading, and for use elsewhere.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from lam_train.language.step_format import StepFormat
from lam_train.language.steps import step_answer, step_prompt
from lam_train.records import Outcome, Record, Split, Trajectory


class SampleMetadata(Record):
    """Where a sample comes from, and what its step gave."""

    task_id: str
    trajectory_id: str
    step: int  # from 1
    steps: int
    app: str
    template: str
    family: str
    split: Split
    policy: str
    outcome: Outcome
    execution_seconds: float  # of this step, decision and action together
    feedback: str  # what the application answered to the action
    refused: bool  # the application refused it and nothing changed


class StepSample(Record):
    """One step as a conversation: the paper's system, user and assistant messages."""

    system: str
    user: str
    assistant: str
    metadata: SampleMetadata


def step_samples(trajectory: Trajectory, format: StepFormat) -> Iterator[StepSample]:
    """A sample a step. A step without an action is none; of a success, a refused step is none either: it is no example.

    The history that a sample shows is whole: refused actions and their refusals stand in it.
    """
    for number, (state, step) in enumerate(zip(trajectory.states(), trajectory.steps, strict=True), start=1):
        if step.problem or (step.error and trajectory.outcome == "success"):
            continue
        messages = {message["role"]: message["content"] for message in step_prompt(state, format)}
        task = trajectory.task
        metadata = SampleMetadata(
            task_id=task.task_id,
            trajectory_id=trajectory.trajectory_id,
            step=number,
            steps=len(trajectory.steps),
            app=task.app,
            template=task.template,
            family=task.family,
            split=task.split,
            policy=trajectory.policy,
            outcome=trajectory.outcome,
            execution_seconds=step.seconds,
            feedback=step.result,
            refused=step.error,
        )
        answer = step_answer(step.action, step.observation, format)
        yield StepSample(system=messages["system"], user=messages["user"], assistant=answer, metadata=metadata)


def write_samples(
    trajectories: Iterable[Trajectory], folder: Path, format: StepFormat
) -> dict[Literal["success", "fail"], int]:
    """Writes `folder/success.jsonl` and `folder/fail.jsonl` (all that is no success); returns how many lines each has.

    Both appear whole or not at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[Literal["success", "fail"], int] = {"success": 0, "fail": 0}
    partial = {name: folder / f"{name}.jsonl.partial" for name in counts}
    with partial["success"].open("w", encoding="utf-8") as good, partial["fail"].open("w", encoding="utf-8") as bad:
        for trajectory in trajectories:
            name = "success" if trajectory.outcome == "success" else "fail"
            for sample in step_samples(trajectory, format):
                (good if name == "success" else bad).write(sample.model_dump_json() + "\n")
                counts[name] += 1
    for name, path in partial.items():
        path.replace(folder / f"{name}.jsonl")
    return counts
