"""A task-plan pair as a conversation, and a model's answer as plan steps."""

import re

from lam_train.records import TaskPlan

SYSTEM = (
    "You are a planner for desktop applications. Given a task, write the plan that does it: "
    "numbered steps, one a line, each a single action a user takes, with the exact names of menus, "
    "buttons and fields. Write nothing else."
)

_NUMBER = re.compile(r"^\s*(?:step\s*)?\d{1,3}\s*[.):]\s+", re.IGNORECASE)
_BULLET = re.compile(r"^\s*[-*•]\s+")


def plan_prompt(task: str, app: str = "") -> list[dict[str, str]]:
    """The messages a planner is shown. The system message comes first: all samples share it."""
    request = f"Application: {app}\nTask: {task}" if app else f"Task: {task}"
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": request}]


def plan_answer(record: TaskPlan) -> str:
    """The plan as the planner writes it: `1. …` and so on, a step a line."""
    return "\n".join(f"{number}. {' '.join(step.split())}" for number, step in enumerate(record.plan, start=1))


def parse_plan(text: str) -> list[str]:
    """The steps of an answer: its numbered lines, else its bullets, else none."""
    lines = [line for line in text.splitlines() if line.strip()]
    for mark in (_NUMBER, _BULLET):
        steps = [mark.sub("", line).strip() for line in lines if mark.match(line)]
        if steps:
            return [step for step in steps if step]
    return []
