"""Walks Writer: a menu entry, the dialog that it opens, its tabs and fields; every plan found is executed."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lam_train.apps.application import Application, ApplicationError
from lam_train.apps.writer.walk import pairs, survey, values
from lam_train.apps.writer.walk.commands import Registry
from lam_train.apps.writer.walk.contexts import Context, contexts_of
from lam_train.apps.writer.walk.dialogs import DialogDefinitions
from lam_train.apps.writer.walk.driver import Driver, StepFailed
from lam_train.apps.writer.walk.execute import Execution
from lam_train.apps.writer.walk.menus import CLOSED_LABELS, Entry
from lam_train.apps.writer.walk.plans import Draft, Move, Result
from lam_train.apps.writer.walk.survey import Field
from lam_train.collect.raw import slug
from lam_train.records import Observation

log = logging.getLogger(__name__)

BROKEN = "application error"  # how the outcome of an entry begins that is to be walked again
OPENERS = ("check", "radio", "list", "button")
BOXED = 8  # choices of a toolbar's box that are tried, times the values of a field
LISTED = 5  # entries of a page's lists that are tried, times the values of a field
MOST_OPENERS = 30  # list entries of a page that are tried for what they make usable
MOST_OPENED = 24  # of these fields, per opener
MOST_FAILURES = 8  # plans that fail one after the other on a page; what is left of it would, too
MOST_ENDINGS = 3  # buttons that end a dialog and those below it
DEEPEST_MENU = 4
DEEPEST_DIALOG = 2
# What these buttons and pages do reaches out of the document, or into the walk itself.
CLOSED_BUTTONS = frozenset(
    """Browse|Add / Import|Import|Load|Load Styles|Save|From File|Macro|Assign|Events|Select|Edit|Delete|Delete all
Load Gradients List|Save Gradients List|Load Line Styles|Save Line Styles|Load Arrow Styles|Save Arrow Styles
Security|Advanced|Email|Accessibility""".replace("\n", "|").split("|")
)
CLOSED_TABS = ("Macro",)


@dataclass(frozen=True)
class Sources:
    """What is known of Writer before it runs."""

    registry: Registry
    definitions: DialogDefinitions
    paths: dict[str, tuple[str, ...]]  # where a command stands in the menu bar

    def asks(self, command: str) -> bool:
        """Whether a command opens a dialog, as far as its label tells."""
        return command in self.registry.commands and self.registry.commands[command].asks


@dataclass(frozen=True)
class Ending:
    """How a dialog is ended so that it keeps what was set, and what it then does to the document."""

    moves: list[Move]  # [] for a dialog that has no button for it
    untouched: str  # digest of the document before
    given: str  # digest of the document that the dialog gives with nothing set; "" where it cannot be ended so

    @property
    def inserts(self) -> bool:
        """Whether the dialog does something by itself, or wants something set: then only the document tells."""
        return self.given != self.untouched


class Walker:
    """Walks with one application; `report` takes each result, drafts whose id is in `known` are not done again."""

    def __init__(
        self,
        application: Application,
        sources: Sources,
        report: Callable[[Result], None],
        known: set[str],
        most: int,
    ) -> None:
        self.driver = Driver(application)
        self.sources, self.known, self.most, self._tell = sources, known, most, report

    def walk(self, entry: Entry) -> str:
        """Walks an entry in the first of its contexts where it works; says what became of it."""
        path = self.menu_path(entry)
        reason = ""
        for context in contexts_of(path):
            execution = Execution(self.driver, context, str(entry), self._report)
            try:
                execution.fresh()
                return self._entry(execution, entry)
            except StepFailed as failure:
                reason = f"{failure.kind}: {failure}"
                log.info("%s, %s: %s", entry, context.name, reason)
                if entry.way == "toolbar" and failure.kind == "no control":  # nor is it there in another context
                    break
            except ApplicationError as error:
                self.driver.forget()
                reason = f"{BROKEN}: {error}"
                log.warning("%s, %s: %s", entry, context.name, reason)
        return reason

    def _about(self, entry: Entry) -> dict[str, Any]:
        """What a draft says of the command that it begins with."""
        command = self.sources.registry.commands.get(entry.command)
        return {
            "way": entry.way,
            "path": list(self.menu_path(entry)),
            "command": entry.command,
            "tooltip": command.tooltip if command else "",
        }

    def menu_path(self, entry: Entry) -> tuple[str, ...]:
        """Where the entry's command stands in the menu bar; its label alone for one that stands nowhere."""
        if entry.way == "menu":
            return entry.path
        command = self.sources.registry.commands.get(entry.command)
        return self.sources.paths.get(entry.command, (command.label if command else entry.path[0],))

    def _report(self, result: Result) -> None:
        self.known.add(result.draft.id)
        self._tell(result)

    def _entry(self, execution: Execution, entry: Entry) -> str:
        """Gives the entry's command on the fresh document that stands there, and walks what it opens."""
        if entry.way == "box":
            return self._box(execution, entry)
        opening = [*execution.context.moves, pairs.give(entry)]
        shown = entry.path if entry.way == "menu" else entry.path[:1]
        draft = Draft(
            id=slug("/".join((entry.way, *shown))),
            page=f"command {entry.command or entry.path[-1]}",
            context=execution.context.name,
            kind="command",
            moves=opening,
            of=_of(execution.context, entry),
            **self._about(entry),
        )
        try:
            seen = execution.effect(entry, opening)
        except StepFailed as failure:
            if failure.kind != "no effect":
                raise
            execution.report(execution.failed(draft, failure.kind, str(failure)))
            return "no effect"
        if seen != "modal":
            self._seen(execution, draft, seen)
            return f"command: {seen}"
        if all(control.control_type == "MenuItem" for control in self.driver.observation.controls):
            return self._submenu(execution, entry, self.driver.observation)
        return self._dialog(execution, entry, opening, depth=1)

    def _box(self, execution: Execution, entry: Entry) -> str:
        """A box of a toolbar: each of its choices, on a fresh document."""
        label, context = entry.path[0], execution.context
        execution.reach(context.moves)
        control = self.driver.find(label, ["ComboBox"])
        if control is None:
            raise StepFailed("no control", f"there is no box “{label}”")
        # The sizes are listed with their unit, and typed without; the last entry of the styles opens a sidebar.
        offered = [choice.removesuffix(" pt") for choice in self.driver.choices(control.label) if choice[-3:] != "..."]
        others = [value for value in offered if value != control.value]
        for value in values.some(others, label, BOXED * self.most):
            draft = Draft(
                id=slug(f"box/{label}/{value}"),
                page=f"command {entry.command}",
                context=context.name,
                kind="box",
                moves=[*context.moves, pairs.fill_box(label, value)],
                of=context.of_task,
                control=label,
                value=value,
                **self._about(entry),
            )
            if draft.id not in self.known:
                execution.attempt(draft, execution.saved)
        return f"box of {len(offered)}"

    def _submenu(self, execution: Execution, entry: Entry, observation: Observation) -> str:
        """The entries of a menu that Writer fills while it runs, which the menu bar's definition does not have."""
        labels = [survey.shown_name(c) for c in observation.controls if c.enabled and c.control_text]
        if entry.way != "menu" or len(entry.path) >= DEEPEST_MENU:
            return "menu, not walked"
        for label in labels:
            if label in CLOSED_LABELS:
                continue
            try:
                execution.fresh()
                self._entry(execution, Entry("menu", (*entry.path, label), ""))
            except StepFailed as failure:
                log.info("%s > %s: %s", entry, label, failure)
        return f"menu of {len(labels)}"

    def _dialog(self, execution: Execution, entry: Entry, opening: list[Move], depth: int) -> str:
        """A dialog that stands open: that it opens, and by the menu bar, its tabs and fields."""
        context, shown = execution.context, self.driver.observation
        dialog = shown.window.partition(":")[0].strip()
        way = "/".join((entry.way, *entry.path, opening[-1].text if depth > 1 else ""))
        draft = Draft(
            id=slug(f"open/{dialog}/{way}"),
            page=f"dialog {dialog}",
            context=context.name,
            kind="open",
            moves=opening,
            of=_of(context, entry),
            dialog=dialog,
            **self._about(entry),
        )
        self._seen(execution, draft, "opened")
        if entry.way != "menu":
            return f"dialog {dialog}"
        tabs = self._tabs(execution, opening)
        ending = self._ending(execution, opening)
        for tab in tabs or [""]:
            moves = [*opening, pairs.open_tab(tab)] if tab else opening
            page = pairs.Page(context.name, moves, ending.moves, dialog, tab, _of(context, entry))
            try:
                self._page(execution, entry, page, ending, depth)
            except StepFailed as failure:
                log.info("%s, %s: %s", dialog, tab, failure)
            except ApplicationError as error:
                self.driver.forget()
                log.warning("%s, %s: %s", dialog, tab, error)
        return f"dialog {dialog} with {len(tabs)} tabs"

    def _tabs(self, execution: Execution, opening: list[Move]) -> list[str]:
        """The dialog's own tabs; a page may have tabs inside, which go when another is opened."""
        first = survey.tabs(self.driver.observation)
        if not first:
            return []
        walked = [tab for tab in dict.fromkeys(first) if tab not in CLOSED_TABS]
        last = survey.tabs(execution.reach([*opening, pairs.open_tab(walked[-1])]))
        return [tab for tab in walked if tab in last]

    def _seen(self, execution: Execution, draft: Draft, seen: str) -> None:
        """A draft whose moves have just been done, one by one, and whose end stands on the screen."""
        if draft.id not in self.known:
            execution.report(Result(draft=draft, entry=execution.entry, seen=seen))

    def _ending(self, execution: Execution, opening: list[Move]) -> Ending:
        """How the dialog ends, and those below it, tried twice with nothing set: what it does must be the same."""
        execution.fresh()
        untouched = self.driver.digest()
        finish = self._finish(execution, opening)
        if not finish:
            return Ending([], untouched, "")
        given = []
        for _ in range(2):
            execution.fresh()
            try:
                shown = execution.reach([*opening, *finish])
            except StepFailed:
                return Ending(finish, untouched, "")
            if shown.modal:
                return Ending(finish, untouched, "")
            execution.done = None
            given.append(self.driver.digest())
            if given[0] == untouched:
                break
        if len(set(given)) > 1:
            log.info("%s: what it does with nothing set is not the same twice", execution.entry)
            return Ending([], untouched, "")
        return Ending(finish, untouched, given[0])

    def _finish(self, execution: Execution, opening: list[Move]) -> list[Move]:
        """The moves that end the dialog, and those below it, and keep what was set; [] where there are none."""
        observation = execution.reach(opening)
        finish: list[Move] = []
        window = ""
        while observation.modal and len(finish) < MOST_ENDINGS:
            button = survey.finish_button(observation)
            if not button:
                return []
            stays = observation.window == window and pairs.press_button(button) == finish[-1]
            window = observation.window
            finish.append(pairs.press_button("Close" if stays else button))
            try:
                observation = execution.reach([*opening, *finish])
            except StepFailed:  # it wants something set first
                return finish
        return finish

    def _page(self, execution: Execution, entry: Entry, page: pairs.Page, ending: Ending, depth: int) -> None:
        """A tab or a whole dialog: its fields, those that another field makes usable, and dialogs behind buttons."""
        execution.fresh()
        execution.failures = 0
        execution.reach(page.opening)
        if page.tab:
            draft = Draft(
                id=slug(f"tab/{page.dialog}/{page.tab}"),
                page=page.name,
                context=page.context,
                kind="tab",
                moves=page.opening,
                of=page.of,
                dialog=page.dialog,
                tab=page.tab,
            )
            self._seen(execution, draft, "tab")
        if not page.finish:
            return
        found = survey.fields(self.driver.observation, self.sources.definitions, self.driver.choices)
        usable = [field for field in found if field.enabled]
        for field in few_listed(usable, page.name, LISTED * self.most):
            if field.kind != "button":
                self._field(execution, pairs.drafts_of(field, page, [], self.most), ending, alone=False)
        self._behind(execution, entry, page, ending, usable, depth)

    def _behind(
        self,
        execution: Execution,
        entry: Entry,
        page: pairs.Page,
        ending: Ending,
        usable: list[Field],
        depth: int,
    ) -> None:
        """The fields that are disabled, or absent, until another is set; the dialogs that the page's buttons open."""
        seen: set[tuple[str, str, int]] = set()
        openers = [f for f in usable if f.kind in OPENERS and not f.on and f.name not in CLOSED_BUTTONS]
        for opener in few_listed(openers, page.name, MOST_OPENERS):
            setting = next(pairs.settings_of(opener, page.name, 1), None)
            if setting is None:
                continue
            try:
                execution.done = None  # the dialog is left: nothing of the opener before is kept
                window = execution.reach(page.opening).window
                after = execution.reach([*page.opening, setting.move])
            except StepFailed:
                continue
            if not after.modal:
                continue
            if after.window != window:
                if depth < DEEPEST_DIALOG and survey.finish_button(after):
                    self._dialog(execution, entry, [*page.opening, setting.move], depth + 1)
                continue
            fields = survey.fields(after, self.sources.definitions, self.driver.choices)
            opened = [f for f in survey.changed_fields(usable, fields) if f.key not in seen and f.kind != "button"]
            for field in few_listed(opened[:MOST_OPENED], page.name, 2 * self.most):
                seen.add(field.key)
                drafts = pairs.drafts_of(field, page, [setting.move], self.most)
                self._field(execution, drafts, ending, alone=True)

    def _field(self, execution: Execution, drafts: list[Draft], ending: Ending, alone: bool) -> None:
        """The plans of one field in order; `alone`: each on a fresh document, which a field needs that was opened."""
        alone = alone or ending.inserts
        if execution.failures >= MOST_FAILURES:
            return
        for draft in drafts[:1] if alone and drafts and drafts[0].kind == "check" else drafts:
            if draft.id in self.known:
                continue
            if ending.inserts:
                execution.attempt(draft, lambda one: execution.differs(one, ending.given or ending.untouched))
                continue
            if alone:
                execution.fresh()
            execution.attempt(draft, execution.kept)


def _of(context: Context, entry: Entry) -> str:
    """What a task of the entry must name; what is inserted is not a property of what the cursor is in."""
    return "" if entry.path[0] == "Insert" else context.of_task


def few_listed(fields: list[Field], key: str, most: int) -> list[Field]:
    """The fields, and of the list entries among them at most so many, chosen by the key."""
    listed = values.some([field.name for field in fields if field.kind == "list"], key, most)
    return [field for field in fields if field.kind != "list" or field.name in listed]
