"""Task-plan pairs of a dialog's fields, of menu commands and of keys: words and moves, still to be executed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lam_train.apps.writer.walk import values, wording
from lam_train.apps.writer.walk.menus import Entry
from lam_train.apps.writer.walk.plans import Act, Draft, Move, Wish
from lam_train.apps.writer.walk.survey import Field
from lam_train.collect.raw import slug

MENU_ITEM = ["MenuItem"]


def choose(path: Sequence[str]) -> Move:
    """Choosing an entry of the menu bar, menu by menu."""
    return Move(
        text=wording.choose_step(path),
        acts=[Act(function="click_input", name=label, types=MENU_ITEM) for label in path],
    )


def open_tab(tab: str) -> Move:
    return Move(text=wording.tab_step(tab), acts=[Act(function="click_input", name=tab, types=["TabItem"])])


def press_button(name: str) -> Move:
    return Move(text=wording.click_step(name), acts=[Act(function="click_input", name=name, types=["Button"])])


def press_keys(shown: str, keys: str) -> Move:
    return Move(text=wording.keys_step(shown), acts=[Act(function="keyboard_input", args={"keys": keys})])


def give(entry: Entry) -> Move:
    """Giving a command by its menu, its button or its keys."""
    if entry.way == "menu":
        return choose(entry.path)
    if entry.way == "keys":
        return press_keys(*entry.path)
    act = Act(function="click_input", name=entry.path[0], types=["Button"])
    return Move(text=wording.toolbar_step(entry.path[0]), acts=[act])


def fill_box(label: str, value: str) -> Move:
    """Giving a toolbar's box a value."""
    act = Act(function="set_edit_text", name=label, types=["ComboBox"], args={"text": value})
    return Move(text=wording.toolbar_box_step(label, value), acts=[act])


@dataclass(frozen=True)
class Page:
    """A page of a dialog, and how it is reached."""

    context: str
    opening: list[Move]  # to the page, from the document
    finish: list[Move]  # keeps what was set, and closes the dialog
    dialog: str
    tab: str
    of: str  # what the dialog is about: "the selected text"

    @property
    def name(self) -> str:
        """What decides the split: a tab of one name is in one split, whatever dialog it stands in."""
        return f"tab {self.tab}" if self.tab else f"dialog {self.dialog}"


@dataclass(frozen=True)
class Setting:
    """One way to set a field: what to, the move that does it, and what the control shows then."""

    value: str
    move: Move
    wish: Wish


def settings_of(field: Field, key: str, most: int) -> Iterator[Setting]:
    """The ways in which a field is tried, in the order to try them."""
    where = {"name": field.name, "types": field.types, "nth": field.nth}
    click = Act(function="click_input", **where)
    if field.kind == "check":
        for on in (not field.on, field.on):
            step = Move(text=wording.check_step(field.name, on), acts=[click])
            yield Setting("on" if on else "off", step, Wish(checked=on, **where))
    elif field.kind == "radio" and not field.on:
        yield Setting("on", Move(text=wording.radio_step(field.name), acts=[click]), Wish(checked=True, **where))
    elif field.kind == "list" and not field.on:
        step = Move(text=wording.list_step("", field.name), acts=[click])
        yield Setting("selected", step, Wish(selected=True, **where))
    elif field.kind == "button":
        yield Setting("on", press_button(field.name), Wish(**where))
    elif field.kind in ("number", "text", "choice"):
        step = {"number": wording.field_step, "text": wording.entry_step, "choice": wording.list_step}[field.kind]
        for value in values_of(field, key, most):
            act = Act(function="set_edit_text", args={"text": value}, **where)
            yield Setting(value, Move(text=step(field.name, value), acts=[act]), Wish(value=value, **where))


def values_of(field: Field, key: str, most: int) -> list[str]:
    """The values that a field is given; of a drop-down list three times as many as of a number."""
    if field.kind == "number":
        return values.numbers(field.value, key, most)
    if field.kind == "text":
        return values.texts(field.name, field.value, key, most)
    return values.some([choice for choice in field.choices if choice and choice != field.value], key, 3 * most)


def drafts_of(field: Field, page: Page, opener: list[Move], most: int) -> list[Draft]:
    """The plans of one field, in the order to execute them: each is seen kept before the next begins."""
    base = slug("/".join((page.dialog, page.tab or "-", field.group or "-", field.name, str(field.nth))))
    return [
        Draft(
            id=f"{base}/{slug(setting.value)}",
            page=page.name,
            context=page.context,
            kind=field.kind,
            moves=[*page.opening, *opener, setting.move, *page.finish],
            setting=len(page.opening) + len(opener),
            look=page.opening,
            wish=setting.wish,
            of=page.of,
            dialog=page.dialog,
            tab=page.tab,
            group=field.group,
            control=field.name,
            tip=field.tip,
            value=setting.value,
        )
        for setting in settings_of(field, f"{page.name}/{field.name}", most)
    ]
