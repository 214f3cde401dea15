"""One episode: observe → decide → act → remember, to FINISH or the step limit."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import Field

from lam_train.agent.policy import Decision, Policy
from lam_train.apps.application import Application, ApplicationError
from lam_train.records import Action, Observation, Outcome, Previous, State, Step, Task, Trajectory, Verdict
from lam_train.settings import Settings

log = logging.getLogger(__name__)

NEEDS_CONTROL = ("click_input", "set_edit_text", "wheel_mouse_input")
"""The functions that act on the control that the label names."""


class EpisodeSettings(Settings):
    """When an episode ends."""

    max_steps: int = Field(12, gt=0)
    """decisions in an episode (UFO's limit is 30)"""
    max_refused: int = Field(3, gt=0)
    """unreadable answers and refused actions in a row before the episode fails"""
    retries: int = Field(2, ge=0)
    """how often an episode is begun again after the application broke"""


@dataclass
class _Attempt:
    """An episode as far as it went."""

    steps: list[Step] = field(default_factory=list)
    outcome: Outcome = "fail"
    reason: str = ""
    verdicts: list[Verdict] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    def ends(self, outcome: Outcome, reason: str = "") -> None:
        self.outcome, self.reason = outcome, reason


def run_episode(
    task: Task,
    environment: Application,
    decide: Callable[[State], Decision],
    settings: EpisodeSettings,
    *,
    policy: str,
    trajectory_id: str | None = None,
    seed: int = 0,
    on_step: Callable[[Step], None] | None = None,
) -> Trajectory:
    """The whole episode. `decide` answers one state; `policy` is its name; `on_step` sees every step as it is made.

    Outcome "success" and "unsure" are the check's word after FINISH; "error" means that the application broke
    `retries` + 1 times (the steps are those of the last attempt) or that an endpoint gave no answer; anything else is
    "fail", with the reason:

    - "early finish": FINISH, and the check says no.
    - "step limit": no FINISH within `max_steps`.
    - "bad format", "wrong control", "wrong argument": the last of `max_refused` refusals in a row.
    - "no plan": the policy says that it does not understand the request.

    Whatever else the environment or the policy raises ends the episode with that exception.
    """
    started = time.perf_counter()
    for retry in range(settings.retries + 1):
        attempt = _Attempt()
        try:
            _attempt(attempt, task, environment, decide, settings, seed, on_step)
        except ApplicationError as error:
            log.warning("%s: the application broke in attempt %d: %s", task.task_id, retry + 1, error)
            attempt.ends("error", f"application error: {error}")
            continue
        break
    return Trajectory(
        trajectory_id=trajectory_id or f"{task.task_id}.{policy}.{seed}",
        task=task,
        policy=policy,
        steps=attempt.steps,
        outcome=attempt.outcome,
        reason=attempt.reason,
        verdicts=attempt.verdicts,
        seconds=time.perf_counter() - started,
        retries=retry,
        versions=attempt.versions,
    )


def ask(policy: Policy, environment: Application, state: State) -> Decision:
    """The policy's decision on one state; one that sees (`sees = True`) is given a screenshot too."""
    if getattr(policy, "sees", False):
        return policy.decide([state], [environment.screenshot()])[0]
    return policy.decide([state])[0]


def _attempt(
    attempt: _Attempt,
    task: Task,
    environment: Application,
    decide: Callable[[State], Decision],
    settings: EpisodeSettings,
    seed: int,
    on_step: Callable[[Step], None] | None,
) -> None:
    """Fills `attempt`, from reset to the end; ApplicationError leaves the steps made so far in it."""
    observation, told = environment.reset(seed=seed, options={"task": task})
    attempt.versions = dict(told.get("versions", {}))
    previous: list[Previous] = []
    refused = 0
    while len(attempt.steps) < settings.max_steps:
        started = time.perf_counter()
        state = State(request=task.request, observation=observation, previous=previous, app=task.app)
        decision = decide(state)
        decided = time.perf_counter() - started
        if decision.action is None:
            after, ended, info = _unread(observation, decision), False, {"error": True, "cause": "bad format"}
        else:
            after, reward, terminated, truncated, info = environment.step(decision.action)
            ended = terminated or truncated
        step = Step(
            observation=observation,
            action=decision.action or Action(),
            result=info.get("result", after.result),
            error=bool(info.get("error", False)),
            acceptable=list(info.get("acceptable", ())),
            answer=decision.answer,
            problem=decision.problem if decision.action is None else "",
            prompt_tokens=decision.prompt_tokens,
            answer_tokens=decision.answer_tokens,
            logprobs=decision.logprobs,
            seconds=time.perf_counter() - started,
            decision_seconds=decided,
        )
        attempt.steps.append(step)
        if on_step is not None:
            on_step(step)
        if decision.action is None and decision.problem.startswith("no plan"):
            return attempt.ends("fail", "no plan")
        if decision.action is None and decision.problem.startswith("no answer"):
            return attempt.ends("error", decision.problem)
        if ended:
            return _finish(attempt, info.get("verdict"), reward, truncated and not terminated)
        refused = refused + 1 if step.error else 0
        if refused == settings.max_refused:
            return attempt.ends("fail", info.get("cause") or refusal_cause(step))
        previous = [*previous, Previous(action=step.action, result=step.result, error=step.error)]
        observation = after
    return attempt.ends("fail", "step limit")


def _unread(observation: Observation, decision: Decision) -> Observation:
    """What the policy sees after an answer that is no action: the same controls, and what was wrong."""
    return observation.model_copy(update={"result": f"Error: the answer is no action ({decision.problem})"})


def _finish(attempt: _Attempt, verdict: Verdict | None, reward: float, truncated: bool) -> None:
    """Judges an episode that the environment ended. Without a verdict (other people's environments) the reward says."""
    if verdict is None:
        if truncated:
            return attempt.ends("fail", "step limit")
        verdict = Verdict(complete="yes" if reward > 0 else "no", reason=f"reward {reward:g}", by="reward")
    attempt.verdicts.append(verdict)
    if verdict.complete == "yes":
        return attempt.ends("success")
    if verdict.complete == "unsure":
        return attempt.ends("unsure", verdict.reason)
    return attempt.ends("fail", "step limit" if truncated else "early finish")


def refusal_cause(step: Step) -> str:
    """Why an action was refused, one of `FAILURES`, where the environment does not say it in `info["cause"]`."""
    if step.problem:
        return "bad format"
    control = step.observation.control(step.action.control_label)
    if step.action.function in NEEDS_CONTROL and (control is None or not control.enabled):
        return "wrong control"
    return "wrong argument"
