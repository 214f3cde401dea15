"""Executes plans in the live application, and says of each whether it worked and how that was seen.

A plan worked when each of its controls was there and enabled, no action was refused, and its effect was seen:

- `opened`: the dialog stands there; `tab`: the tab is the selected one;
- `kept`: the dialog, ended with its button and opened again, shows what was set;
- `differs`: the saved document differs from the one that the dialog gives with nothing set (dialogs that insert);
- `document`: the saved document changed; `checked`: the menu entry's mark changed; `selection`: a command that selects
  or goes somewhere did; `screen`: other controls show (commands).
"""

import logging
import re
from collections.abc import Callable

from lam_train.apps.application import ApplicationError
from lam_train.apps.writer.walk import pairs, survey
from lam_train.apps.writer.walk.contexts import Context
from lam_train.apps.writer.walk.driver import Driver, StepFailed
from lam_train.apps.writer.walk.menus import Entry
from lam_train.apps.writer.walk.plans import Draft, Move, Result
from lam_train.records import Observation

log = logging.getLogger(__name__)

MOST_CLOSINGS = 6
_MOVES = re.compile(r"Select|Entire|^\.uno:Go|Jump|Page(Up|Down)|(Start|End)Of|To(Start|End|Next|Prev)")
_MENUS_WITH_MARKS = ("View", "Edit", "Tools", "Form", "Table")


class Execution:
    """Brings one application into a plan's context, does plans, and checks them."""

    def __init__(self, driver: Driver, context: Context, entry: str, report: Callable[[Result], None]) -> None:
        self.driver, self.context, self.entry, self.report = driver, context, entry, report
        self.failures = 0  # plans that failed one after the other
        self.done: list[Move] | None = None  # moves done since the document alone was on the screen

    def fresh(self) -> None:
        """A fresh document in the context."""
        self.leave()
        self.driver.begin(self.context.template)
        self.driver.do(self.context.prepare)
        self.done = []

    def reach(self, moves: list[Move]) -> Observation:
        """Does the moves, from where the application is if that is on their way."""
        if self.done is None or moves[: len(self.done)] != self.done:
            self.leave()
            self.done = []
        for move in moves[len(self.done) :]:
            before, self.done = self.done, None
            self.driver.do([move])
            self.done = [*before, move]
        return self.driver.observation

    def leave(self) -> None:
        """Closes what stands before the document, keeping nothing."""
        for _ in range(MOST_CLOSINGS):
            observation = self.driver.observation
            if not observation.modal:
                return
            names = {survey.shown_name(c) for c in observation.controls if c.control_type == "Button" and c.enabled}
            name = next((name for name in survey.LEAVE if name in names), None)
            move = pairs.press_button(name) if name else pairs.press_keys("Esc", "{ESC}")
            self.driver.do([move])
        raise ApplicationError(f"{self.driver.observation.window}: cannot be closed")

    def left(self) -> bool:
        """Whether the document alone is on the screen now; what stood before it is closed."""
        try:
            self.leave()
        except (ApplicationError, StepFailed):
            return False
        return True

    def attempt(self, draft: Draft, check: Callable[[Draft], str]) -> Result:
        """Does a draft and checks it; `check` returns how its effect was seen, or raises StepFailed."""
        try:
            result = Result(draft=draft, entry=self.entry, seen=check(draft))
        except StepFailed as failure:
            self.done = None
            result = self.failed(draft, failure.kind, str(failure))
        except ApplicationError as error:
            self.done = None
            self.driver.forget()
            result = self.failed(draft, "application error", str(error))
        self.failures = self.failures + 1 if result.failed else 0
        self.report(result)
        return result

    def failed(self, draft: Draft, kind: str, detail: str) -> Result:
        return Result(draft=draft, entry=self.entry, failed=kind, detail=detail[:300])

    # --- the checks

    def kept(self, draft: Draft) -> str:
        """The dialog shows what was set when it is opened again; else, on a fresh document, the saved one changed."""
        if self.done is None:
            self.fresh()
        self._set_and_finish(draft)
        self.reach(draft.look)
        if self._holds(draft):
            return "kept"
        if draft.kind in ("list", "radio", "choice"):
            self.fresh()
            untouched = self.driver.digest()
            self._set_and_finish(draft)
            self.done = None
            if self.driver.digest() != untouched:
                return "document"
        raise StepFailed("not kept", f"the dialog, opened again, does not show {draft.wish}")

    def saved(self, draft: Draft) -> str:
        """The saved document changed."""
        self.fresh()
        untouched = self.driver.digest()
        self.reach(draft.moves)
        self.done = None
        if self.driver.observation.modal:
            raise StepFailed("another dialog", f"“{self.driver.observation.window}” came up")
        if self.driver.digest() == untouched:
            raise StepFailed("no effect", "nothing changed in the saved document")
        return "document"

    def differs(self, draft: Draft, baseline: str) -> str:
        """The saved document is another than the one the dialog gives with nothing set."""
        self.fresh()
        self._set_and_finish(draft)
        self.done = None
        if self.driver.digest() == baseline:
            raise StepFailed("no effect", "the document is as if nothing had been set")
        return "differs"

    def _set_and_finish(self, draft: Draft) -> None:
        self.reach(draft.moves[: draft.setting + 1])
        if not self._holds(draft):
            raise StepFailed("not taken", f"the control does not show {draft.wish}")
        self.reach(draft.moves)
        if self.driver.observation.modal:
            raise StepFailed("another dialog", f"“{self.driver.observation.window}” came up")
        self.done = []

    def _holds(self, draft: Draft) -> bool:
        control = self.driver.find(draft.wish.name, draft.wish.types, draft.wish.nth)
        return control is not None and draft.wish.holds(control)

    def effect(self, entry: Entry, opening: list[Move]) -> str:
        """Gives a command on a fresh document, and says what it changed: one of the words above; "modal" where it
        opened a dialog or a menu, which then stands there. Raises StepFailed where nothing was seen."""
        self.reach(self.context.moves)
        before, mark, digest = self.driver.observation, self._mark(entry), self.driver.digest()
        self.done = self.context.moves
        after = self.reach(opening)
        if after.modal:
            return "modal"
        self.done = None
        if self.driver.digest() != digest:
            return "document"
        if moves_the_cursor(entry.command) and _selected(after) != _selected(before):
            return "selection"
        if _names(after) != _names(before):
            return "screen"
        if mark is not None and self._mark(entry) not in (None, mark):
            return "checked"
        raise StepFailed("no effect", "nothing changed")

    def _mark(self, entry: Entry) -> bool | None:
        """Whether the menu entry is checked; None for one that has no mark, and for buttons and keys."""
        if entry.way != "menu" or entry.path[0] not in _MENUS_WITH_MARKS:
            return None
        self.reach([pairs.choose(entry.path[:-1])])
        control = self.driver.find(entry.path[-1], pairs.MENU_ITEM)
        self.leave()
        return control.checked if control else None


def moves_the_cursor(command: str) -> bool:
    """Whether a command is there to select or to go somewhere; of another, a moved cursor is no effect."""
    return bool(_MOVES.search(command))


def _selected(observation: Observation) -> list[bool | None]:
    return [control.selected for control in observation.controls]


def _names(observation: Observation) -> list[tuple[str, str, bool | None]]:
    return [(control.control_text, control.control_type, control.checked) for control in observation.controls]
