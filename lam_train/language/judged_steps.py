"""Every step of successes and failures as a sample that ends with its action, for phase 4."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lam_train.errors import UserError
from lam_train.language.conversation import Language
from lam_train.language.sample import Sample
from lam_train.language.shortening import Shown, fit
from lam_train.language.step_format import StepFormat
from lam_train.language.steps import step_answer, step_prompt
from lam_train.language.trajectories import HeldOut
from lam_train.records import Outcome, Split, State, Step, Trajectory


@dataclass
class JudgedSteps:
    """Makes the samples of judged trajectories and counts what became of them.

    A sample is a state's prompt and, as its targets, the action that was taken there: an unreadable answer as it was
    written, any other action in the format. Tokens that a model left in a trajectory are not used: they may be another
    tokenizer's.
    """

    language: Language
    format: StepFormat
    splits: Sequence[Split]
    limit: int | None = None  # tokens of a sample, above which its prompt is shortened; None: never
    outcomes: Sequence[Outcome] = ("success", "fail")
    evaluates: bool = False  # nothing is learned from them: the test split is read too
    counts: Counter = field(default_factory=Counter)

    def samples(self, trajectories: Iterable[Trajectory], where: str) -> list[tuple[Trajectory, list[Sample]]]:
        """(trajectory, its samples: one a step, with id TRAJECTORY/NUMBER) of the trajectories of `outcomes`.

        Raises HeldOut for the test split, unless it `evaluates`.
        """
        found, taken = [], set()
        for trajectory in trajectories:
            if self._left_out(trajectory, where):
                continue
            if trajectory.trajectory_id in taken:
                raise UserError(f"{where}: the trajectory {trajectory.trajectory_id} is there twice")
            taken.add(trajectory.trajectory_id)
            steps = zip(trajectory.states(), trajectory.steps, strict=True)
            made = [
                self._sample(state, step, trajectory, number)
                for number, (state, step) in enumerate(steps)
                if self._is_action(step)
            ]
            if made:
                self.counts[f"trajectories of outcome {trajectory.outcome}"] += 1
                found.append((trajectory, made))
        return found

    def _left_out(self, trajectory: Trajectory, where: str) -> bool:
        split, outcome = trajectory.task.split, trajectory.outcome
        if split == "test" and not self.evaluates:
            raise HeldOut(
                f"{where}: {trajectory.trajectory_id} is a trajectory of the test split: a reward model that has seen "
                "it would spoil the evaluation; give trajectories of other splits"
            )
        why = f"split {split}" if split not in self.splits else "" if outcome in self.outcomes else outcome
        if why:
            self.counts[f"trajectories skipped: {why}"] += 1
        return bool(why)

    def _is_action(self, step: Step) -> bool:
        why = ""
        if step.problem and not step.answer:
            why = "nothing was answered"
        elif not step.observation.controls:
            why = "no controls were recorded"
        if why:
            self.counts[f"steps left out: {why}"] += 1
        return not why

    def _sample(self, state: State, step: Step, trajectory: Trajectory, number: int) -> Sample:
        def sample(shown: Shown) -> Sample:
            answer = step.answer if step.problem else step_answer(step.action, shown.state.observation, shown.format)
            messages = [*step_prompt(shown.state, shown.format), {"role": "assistant", "content": answer}]
            id = f"{trajectory.trajectory_id}/{number}"
            return self.language.sample(messages, id, trajectory.task.task_id, trajectory.trajectory_id)

        made = sample(Shown(state, self.format))
        if self.limit is not None and len(made.tokens) > self.limit:
            keep = {step.action.control_label, *step.acceptable}
            made = sample(fit(state, self.format, lambda tried: len(sample(tried).tokens), self.limit, keep))
            self.counts["prompts shortened"] += 1
        return made


def scored_at_the_end(sample: Sample) -> Sample:
    """The sample with its last token, the end of turn, as the only target, as the reward model learns it.

    The source of that target, the position that is scored, is the action's last token.
    """
    tokens = sample.tokens
    read, end = (replace(sample.segments[0], tokens=part, weight=0.0) for part in np.split(tokens, [len(tokens) - 1]))
    return replace(sample, segments=(read, replace(end, weight=1.0)))
