"""The second stage: planned actions, carried out one by one in the live application. Any error discards the task.

A plan is a policy like any other, so it runs through the same rollouts as a model: at each turn the next planned
action is grounded in the controls that are really there.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence

from lam_train.agent.episode import EpisodeSettings
from lam_train.agent.policy import Decision
from lam_train.agent.rollouts import rollouts
from lam_train.apps.application import Application
from lam_train.collect.trajectories.collection import Collection
from lam_train.collect.trajectories.grounding import ground
from lam_train.collect.trajectories.instantiation import Instantiation, PlannedAction
from lam_train.collect.trajectories.keeper import Keeper
from lam_train.collect.trajectories.progress import EpisodeProgress
from lam_train.records import Action, State, Task, Trajectory


class PlannedPolicy:
    """Carries out plans made in advance. A state finds its plan by its request, so requests must differ."""

    def __init__(self, name: str, plans: Iterable[Instantiation], threshold: float) -> None:
        self.name = name
        self.threshold = threshold
        self._plans = {plan.task.request: plan for plan in plans}

    def decide(self, states: Sequence[State]) -> list[Decision]:
        """The next planned action of each state's plan, grounded; or why the plan ends here."""
        return [self._decide(state) for state in states]

    def _decide(self, state: State) -> Decision:
        begun = time.monotonic()
        plan = self._plans.get(state.request)
        if plan is None or not plan.actions:
            return Decision(action=None, problem="no plan: " + (plan.problem if plan else "the request is unknown"))
        done = len(state.previous)
        if done and state.previous[-1].error:
            return Decision(action=None, problem=f"discarded: step {done} was refused: {state.previous[-1].result}")
        if done >= len(plan.actions):
            return Decision(action=None, problem="discarded: the plan is at its end")
        planned = plan.actions[done]
        control = ground(planned, state.observation, self.threshold, first=done == 0)
        answer = planned_json(planned)
        if isinstance(control, str):
            return Decision(action=None, answer=answer, problem=control, seconds=time.monotonic() - begun)
        rest = plan.actions[done + 1 :]
        action = Action(
            thought=planned.step,
            control_label=control.label if control else "",
            control_name=control.control_text if control else "",
            function=planned.function,
            args=planned.args,
            status="CONTINUE" if rest else "FINISH",
            plan=[later.step for later in rest],
        )
        return Decision(action=action, answer=answer, seconds=time.monotonic() - begun)


def planned_json(planned: PlannedAction) -> str:
    """The planned action with the paper's keys; kept as the step's answer, beside the control it was matched to."""
    keys = {
        "step": planned.step,
        "controlLabel": planned.control_label,
        "controlText": planned.control_text,
        "function": planned.function,
        "args": planned.args,
    }
    return json.dumps(keys, ensure_ascii=False)


def rounds(plans: Iterable[Instantiation]) -> Iterator[list[Instantiation]]:
    """The plans in groups whose requests differ: what one PlannedPolicy can hold."""
    left = list(plans)
    while left:
        seen: set[str] = set()
        group, later = [], []
        for plan in left:
            (later if plan.task.request in seen else group).append(plan)
            seen.add(plan.task.request)
        yield group
        left = later


def execute(
    collection: Collection,
    tasks: Sequence[Task],
    name: str,
    environments: Sequence[Application],
    threshold: float,
    settings: EpisodeSettings,
    keeper: Keeper,
    seed: int = 0,
) -> None:
    """Executes the plan of each task that has no episode yet; a task without a good plan gets one without steps.

    The first error ends an episode; the step limit never does, since a plan has an end of its own.
    """
    done, wanted = collection.done(), {task.task_id for task in tasks}
    plans = [plan for plan in collection.plans if plan.task.task_id in wanted - done]
    ready = [plan for plan in plans if not plan.problem]
    longest = max((len(plan.actions) for plan in ready), default=1)
    settings = settings.model_copy(update={"max_refused": 1, "max_steps": max(longest, settings.max_steps)})
    with EpisodeProgress("executing", "plan", len(plans)) as progress:
        for plan in plans:
            if plan.problem:
                keeper.keep(without_plan(plan.task, name), progress)
        for group in rounds(ready):
            policy = PlannedPolicy(name, group, threshold)
            for trajectory in rollouts([plan.task for plan in group], policy, environments, settings, seed=seed):
                keeper.keep(trajectory, progress)
        keeper.finish(progress)


def without_plan(task: Task, policy: str) -> Trajectory:
    """The episode of a task that the expert had no usable plan for; the reason stands in its instantiation."""
    return Trajectory(
        trajectory_id=f"{task.task_id}.{policy}", task=task, policy=policy, steps=[], outcome="fail", reason="no plan"
    )
