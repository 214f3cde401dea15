"""The paper's expert: a large model that plans a whole task in one call, and a filter of what it planned."""

import time
from typing import Any

from pydantic import ValidationError

from lam_train.collect.trajectories.function_pool import call_problem, offered_functions
from lam_train.collect.trajectories.instantiate_prompt import (
    MOST_ADDED_WORDS,
    REQUEST_TYPES,
    filter_messages,
    instantiate_messages,
)
from lam_train.collect.trajectories.instantiation import CallUsage, Instantiation, PlannedAction
from lam_train.collect.trajectories.json_answer import first_object, objects
from lam_train.endpoint import Endpoint, EndpointFailure, Reply
from lam_train.language.answer_text import writable
from lam_train.language.functions import Function
from lam_train.records import Observation, Task, reason_of

KEYS = {
    "step": "step",
    "controlLabel": "control_label",
    "controlText": "control_text",
    "function": "function",
    "args": "args",
}
"""the paper's key of an action -> ours"""


class UnreadablePlan(Exception):
    """An answer is no plan; the message says why."""


class EndpointPlanner:
    """A `Planner` behind an OpenAI-compatible endpoint."""

    def __init__(self, endpoint: Endpoint, filtered: bool = True, images: bool = False) -> None:
        """`filtered`: a second call judges the instantiated task; `images`: the model is shown a screenshot too."""
        self.endpoint = endpoint
        self.filtered, self.images = filtered, images
        self.name = endpoint.settings.model
        self.parallel = endpoint.settings.parallel

    def plan(self, task: Task, steps: list[str], document: Observation, screenshot: bytes | None) -> Instantiation:
        """One call for the plan, checked by rules, and one for the filter."""
        begun = time.monotonic()
        offered = offered_functions(" ".join([task.request, *steps]))
        try:
            reply = self.endpoint.ask(instantiate_messages(task, steps, document, offered, screenshot))
        except EndpointFailure as failure:
            return Instantiation(task=task, problem=f"failed: {failure}")
        planned = read_plan(task, reply.text, offered, free=bool(steps))
        usage, seconds = call_usage(self.endpoint, reply), time.monotonic() - begun
        planned = planned.model_copy(update={"usage": usage, "seconds": seconds})
        if planned.problem or not self.filtered:
            return planned
        return self._filter(planned, document)

    def _filter(self, planned: Instantiation, document: Observation) -> Instantiation:
        begun = time.monotonic()
        try:
            reply = self.endpoint.ask(filter_messages(planned.task, document))
        except EndpointFailure as failure:
            return planned.model_copy(update={"problem": f"failed: {failure}"})
        verdict = read_filter(reply.text)
        usage = planned.usage + call_usage(self.endpoint, reply)
        return planned.model_copy(update={**verdict, "usage": usage, "filter_seconds": time.monotonic() - begun})


def call_usage(endpoint: Endpoint, reply: Reply) -> CallUsage:
    """What one answered call cost."""
    prompt, answer = reply.prompt_tokens or 0, reply.answer_tokens or 0
    settings = endpoint.settings
    prices = settings.price_per_million_prompt_tokens or 0.0, settings.price_per_million_answer_tokens or 0.0
    cost = (prompt * prices[0] + answer * prices[1]) / 1e6
    return CallUsage(calls=1, prompt_tokens=prompt, answer_tokens=answer, cost=cost)


def read_plan(task: Task, text: str, offered: list[Function], free: bool) -> Instantiation:
    """The plan in an answer, or the problem with it.

    `free`: the answer's new_task becomes the request (a task-plan is made concrete); a task that has a check keeps its
    request word for word, since the check knows no other.
    """
    value = first_object(text, "actions_plan")
    if value is None:
        return Instantiation(task=task, problem=f"unreadable: no actions_plan in {text[:120]!r}")
    said = {key: _text(value.get(key)) for key in ("observation", "thought")}
    new_task = _text(value.get("new_task"))
    if free and new_task:
        added = len(new_task.split()) - len(task.request.split())
        if added > MOST_ADDED_WORDS:
            return Instantiation(task=task, problem=f"filtered: new_task adds {added} words", **said)
        task = task.model_copy(update={"request": new_task})
    try:
        actions = [_action(item) for item in _items(value["actions_plan"])]
    except UnreadablePlan as error:
        return Instantiation(task=task, problem=f"unreadable: {error}", **said)
    if not actions:
        return Instantiation(task=task, problem=f"no plan: {said['thought'][:200] or 'the plan is empty'}", **said)
    for action in actions:
        problem = call_problem(action.function, action.args, offered)
        if problem:
            return Instantiation(task=task, problem=f"filtered: {problem}", actions=actions, **said)
    return Instantiation(task=task, actions=actions, **said)


def _items(plan: Any) -> list[Any]:
    """The action calls: a list, or (the paper's way) a text with an object a line."""
    if isinstance(plan, list):
        return [item for part in plan for item in (objects(part) if isinstance(part, str) else [part])]
    if isinstance(plan, str):
        return objects(plan)
    raise UnreadablePlan(f"actions_plan is {plan!r:.80}")


def _action(item: Any) -> PlannedAction:
    if not isinstance(item, dict) or not writable(item):
        raise UnreadablePlan(f"an action is {item!r:.80}")
    given = {ours: item[theirs] for theirs, ours in KEYS.items() if item.get(theirs) is not None}
    given["step"] = _text(given.get("step"))
    for key in ("control_label", "control_text"):
        given[key] = _text(given.get(key))
    try:
        return PlannedAction(**given)
    except ValidationError as error:
        raise UnreadablePlan(reason_of(error)) from None


def read_filter(text: str) -> dict[str, str]:
    """The filter's word as fields of an Instantiation; an answer that cannot be read lets nothing pass."""
    value = first_object(text, "judge")
    if value is None or not isinstance(value["judge"], bool):
        return {"problem": f"filtered: unreadable verdict {text[:120]!r}"}
    kind = _text(value.get("type")) or "None"
    said = {"judgement": _text(value.get("thought")), "request_type": kind if kind in REQUEST_TYPES else "Others"}
    if not value["judge"]:
        said["problem"] = f"filtered: {said['request_type']}: {said['judgement'][:200]}"
    return said


def _text(value: Any) -> str:
    """A model may give a number for a label, or null for nothing."""
    return "" if value is None else str(value).strip()
