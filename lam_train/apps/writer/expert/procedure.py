"""Procedures: what to do in Writer, as intents, and how far an episode's earlier actions have come with them.

A procedure is a fixed list of intents. Nothing is remembered between decisions: the earlier actions are laid
against the list, and what they have not done is still to do. So any state can be decided at any time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lam_train.apps.writer.expert.on_screen import Find, is_checked, named, normal
from lam_train.records import Action, Observation, Previous, Status


class NoPlan(Exception):
    """The expert does not know how to go on, and why."""


@dataclass(frozen=True)
class Intent:
    """One action, before its control is looked up on the screen."""

    function: str
    say: str
    """what it does, as the plan puts it: four words at most"""
    find: Find | None = None
    """its control, where it needs one"""
    names: tuple[str, ...] = ()
    """the control's names; none where it is document text, which the action itself may change"""
    args: dict[str, Any] = field(default_factory=dict)
    unless: Callable[[Observation], bool] | None = None
    """it need not be done where this holds"""
    instead: tuple["Intent", ...] = ()
    """what is done in its place, once, when it is refused or its control is missing"""
    thought: str = ""

    def is_(self, action: Action) -> bool:
        """Whether an earlier action was this one."""
        if action.function != self.function or action.args != self.args:
            return False
        return not self.names or normal(action.control_name) in map(normal, self.names)


def click(*names: str, kind: str = "") -> Intent:
    """A click on a control that goes by one of these names."""
    return Intent("click_input", f"click {names[0]}", named(*names, kind=kind), names)


def on(switch: Intent) -> Intent:
    """A click that turns something on; none where it is on."""
    return replace(switch, unless=is_checked(switch.names[0]))


def button(name: str, *path: str) -> Intent:
    """A click on a button of the toolbar; where it does not show or cannot be pressed, the menu's entry instead."""
    return replace(click(name, kind="Button"), instead=tuple(menu(*path)))


def menu(*path: str) -> list[Intent]:
    """Clicks from the menu bar to an entry."""
    return [click(name, kind="MenuItem") for name in path]


def fill(name: str, text: str, kind: str = "") -> Intent:
    """A field's text, in place of what it holds."""
    return Intent("set_edit_text", f"set {name}", named(name, kind=kind), (name,), {"text": text})


def keys(pressed: str, say: str) -> Intent:
    """Keys, to whatever has the focus."""
    return Intent("keyboard_input", say, args={"keys": pressed})


def typed(text: str) -> str:
    """A text as keys: what has a meaning of its own among keys, in braces."""
    return "".join(f"{{{letter}}}" if letter in "^+%~(){}" else letter for letter in text)


def still_to_do(intents: Sequence[Intent], previous: Sequence[Previous]) -> list[Intent]:
    """The intents that the earlier actions have not done, in order; actions that are none of them count for nothing.

    Raises NoPlan where an intent was refused and so was what was tried instead.
    """
    left = list(intents)
    for earlier in previous:
        place = _place(left, earlier.action)
        if place is None:
            continue
        if not left[place].is_(earlier.action):  # what is done in its place, its control being missing
            left[: place + 1] = left[place].instead
            place = 0
        if not earlier.error:
            left = left[place + 1 :]
        elif left[place].instead:
            left[: place + 1] = left[place].instead
        else:
            raise NoPlan(f"{left[place].say} was refused: {earlier.result}")
    return left


def _place(left: Sequence[Intent], action: Action) -> int | None:
    """Which intent an action was: the next, or a later one where those between could be left out."""
    for place, intent in enumerate(left):
        if intent.is_(action) or (intent.instead and intent.instead[0].is_(action)):
            return place
        if intent.unless is None:
            return None
    return None


def next_action(intents: Sequence[Intent], observation: Observation) -> Action:
    """The first intent that is needed as an action on this screen, with the rest as its plan.

    Raises NoPlan where its control is not there, or is disabled, and nothing can be done instead.
    """
    needed = list(intents)
    while needed:
        if needed[0].unless is not None and needed[0].unless(observation):
            needed = needed[1:]
            continue
        intent, rest = needed[0], needed[1:]
        control = intent.find(observation) if intent.find else None
        if intent.find is None or (control is not None and control.enabled):
            status: Status = "CONTINUE" if rest else "FINISH"
            return Action(
                thought=intent.thought,
                control_label=control.label if control else "",
                control_name=control.control_text if control else "",
                function=intent.function,
                args=dict(intent.args),
                status=status,
                plan=[later.say for later in rest],
            )
        if not intent.instead:
            state = "is disabled" if control is not None else "is not on the screen"
            raise NoPlan(f"{intent.say}: its control {state}")
        needed = [*intent.instead, *rest]
    return Action(thought="it is done already", status="FINISH")
