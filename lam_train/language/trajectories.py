"""Trajectories as samples: a sample a step, of episodes that succeeded (phase 2; the paper, section 4.2)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from lam_train.errors import UserError
from lam_train.language.conversation import Language
from lam_train.language.sample import Sample
from lam_train.language.shortening import Shown, fit
from lam_train.language.step_format import StepFormat
from lam_train.language.steps import step_answer, step_prompt
from lam_train.records import Split, State, Step, Trajectory


class HeldOut(UserError):
    """A trajectory of the test split among training data: refused, never skipped."""


@dataclass
class StepReader:
    """Makes the samples of trajectories and counts what became of them.

    Only successes are learned from. A step that the application refused, or whose answer was no action, is no target;
    it stays in the history of the steps behind it, where it was. Nor is a step whose controls were not recorded, as in
    some imported results: there is nothing to choose from.
    Token ids that a model left in a trajectory are not used: a sample is made from the records' text.
    """

    language: Language
    format: StepFormat
    splits: Sequence[Split] = ("train",)
    limit: int | None = None  # tokens of a sample, above which its prompt is shortened; None: never
    counts: Counter = field(default_factory=Counter)

    def samples(self, trajectory: Trajectory, place: str) -> list[Sample]:
        """One sample a step that is learned, with id TRAJECTORY/NUMBER; raises HeldOut for the test split."""
        split = trajectory.task.split
        if split == "test":
            raise HeldOut(
                f"{place}: {trajectory.trajectory_id} is a trajectory of the test split: training on it, or choosing a "
                "checkpoint by it, would spoil the evaluation; give trajectories of other splits"
            )
        if split not in self.splits:
            self.counts[f"trajectories skipped: split {split}"] += 1
            return []
        if trajectory.outcome != "success":
            self.counts[f"trajectories skipped: {trajectory.outcome}"] += 1
            return []
        self.counts["trajectories learned from"] += 1
        steps = list(zip(trajectory.states(), trajectory.steps, strict=True))
        return [
            self._sample(state, step, trajectory, number)
            for number, (state, step) in enumerate(steps)
            if self._learned(step)
        ]

    def _learned(self, step: Step) -> bool:
        why = ""
        if step.problem:
            why = "the answer was no action"
        elif step.error:
            why = "refused by the application"
        elif not step.observation.controls:
            why = "no controls were recorded"
        if why:
            self.counts[f"steps not learned: {why}"] += 1
        return not why

    def _sample(self, state: State, step: Step, trajectory: Trajectory, number: int) -> Sample:
        def conversation(shown: Shown) -> list[dict[str, str]]:
            answer = step_answer(step.action, shown.state.observation, shown.format)
            return [*step_prompt(shown.state, shown.format), {"role": "assistant", "content": answer}]

        def sample(shown: Shown) -> Sample:
            id = f"{trajectory.trajectory_id}/{number}"
            task, whole = trajectory.task.task_id, trajectory.trajectory_id
            return self.language.sample(conversation(shown), id, task=task, trajectory=whole)

        whole = Shown(state, self.format)
        made = sample(whole)
        if self.limit is None or len(made.tokens) <= self.limit:
            return made
        keep = {step.action.control_label, *step.acceptable}
        shown = fit(state, self.format, lambda tried: len(sample(tried).tokens), self.limit, keep)
        self._count(shown)
        return sample(shown)

    def _count(self, shown: Shown) -> None:
        self.counts["prompts shortened"] += 1
        self.counts["prompts shortened: document text cut"] += shown.format.text_limit != self.format.text_limit
        self.counts["prompts shortened: controls left out"] += shown.controls_left_out
        self.counts["prompts shortened: earlier actions left out"] += shown.actions_left_out
