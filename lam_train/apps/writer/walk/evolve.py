"""More task-plan pairs from those of a walk: two plans in one, other values, other words.

The paper evolves its pairs with a language model (section 3.1.4). This is the part that needs none: compositions and
plans with other values are executed as the walk's own were, and kept only if they worked; another wording belongs to a
plan that has been executed already.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from lam_train.apps.writer.walk import values, wording
from lam_train.apps.writer.walk.driver import StepFailed
from lam_train.apps.writer.walk.execute import Execution
from lam_train.apps.writer.walk.plans import APP, LICENSE, SOURCE, Composition, Draft, Move, Wish
from lam_train.apps.writer.walk.wording import pick, task_of
from lam_train.collect.raw import slug
from lam_train.records import TaskPlan

EVOLVED = f"{SOURCE}-evolved"


def other_values(drafts: Sequence[Draft], taken: set[str], each: int) -> Iterator[Draft]:
    """Plans of number and text fields with other values, up to `each` a field."""
    of_field: dict[str, list[Draft]] = defaultdict(list)
    for draft in drafts:
        if draft.kind in ("number", "text"):
            of_field[draft.id.rpartition("/")[0]].append(draft)
    for field, tried in of_field.items():
        first, key, most = tried[0], f"evolved {field}", each + len(tried) + 2
        if first.kind == "number":
            pool = values.numbers(first.value, key, most)
        else:
            pool = values.texts(first.control, first.value, key, most)
        fresh = [value for value in pool if f"{field}/{slug(value)}" not in taken]
        yield from (with_value(first, value, f"{field}/{slug(value)}") for value in fresh[:each])


def on_fresh_documents(drafts: Sequence[Draft]) -> list[Draft]:
    """Those that work on a document as it comes: of a check box's two plans, the second undid the first."""
    begun: set[str] = set()
    kept = []
    for draft in drafts:
        field = draft.id.rpartition("/")[0]
        if draft.kind != "check" or field not in begun:
            kept.append(draft)
        begun.add(field)
    return kept


def with_value(draft: Draft, value: str, id: str) -> Draft:
    """The same plan with another value."""
    step = wording.field_step if draft.kind == "number" else wording.entry_step
    acts = [act.model_copy(update={"args": {"text": value}}) for act in draft.moves[draft.setting].acts]
    moves = [*draft.moves]
    moves[draft.setting] = Move(text=step(draft.control, value), acts=acts)
    wish = draft.wish.model_copy(update={"value": value})
    return draft.model_copy(update={"id": id, "value": value, "moves": moves, "wish": wish})


def compositions(
    drafts: Sequence[Draft], split_of: Callable[[Draft], str], number: int, seed: int
) -> list[Composition]:
    """Up to `number` compositions of two plans that begin in one context and are in one split, half of them of two
    settings of one dialog."""
    usable = [draft for draft in drafts if draft.wish is not None or draft.kind == "command"]
    rng = random.Random(seed)
    by_dialog: dict[tuple[str, str, str], list[Draft]] = defaultdict(list)
    by_context: dict[tuple[str, str], list[Draft]] = defaultdict(list)
    for draft in usable:
        split = split_of(draft)
        by_context[draft.context, split].append(draft)
        if draft.wish is not None:
            by_dialog[draft.context, split, draft.dialog].append(draft)
    found: dict[str, Composition] = {}
    for groups in (by_dialog, by_context):
        wanted = len(found) + number // 2
        pools = [group for group in groups.values() if len({_thing(draft) for draft in group}) > 1]
        weights = [len(pool) for pool in pools]
        for _ in range(20 * number if pools else 0):
            if len(found) >= wanted:
                break
            first, second = rng.sample(rng.choices(pools, weights)[0], 2)
            if _go_together(first, second):
                made = composed(first, second)
                found.setdefault(made.id, made)
    return list(found.values())


def composed(first: Draft, second: Draft) -> Composition:
    """Two plans as one: in one visit of the dialog that both set something in, else one after the other."""
    id = f"{first.id}+{second.id}"
    return Composition(id=id, first=first, second=second, moves=_moves(first, second))


def _moves(first: Draft, second: Draft) -> list[Move]:
    if _is_one_visit(first, second):
        opening = len(_opening(first))
        tab = second.look[len(_opening(second)) :]
        same_tab = first.tab == second.tab
        # What the first has set already is not set again: a check box would be cleared by it.
        own = [move for move in second.moves[len(second.look) : second.setting] if move not in first.moves]
        own.append(second.moves[second.setting])
        end = first.moves[first.setting + 1 :]
        return [*first.moves[: first.setting + 1], *([] if same_tab else tab), *own, *end] if opening else []
    begun = 0
    while begun < min(len(first.moves), len(second.moves)) - 1 and not second.moves[begun].text.startswith("Choose"):
        if first.moves[begun] != second.moves[begun]:
            break
        begun += 1
    return [*first.moves, *second.moves[begun:]]


def _opening(draft: Draft) -> list[Move]:
    """The moves that open the dialog, without its tab."""
    return draft.look[:-1] if draft.tab else draft.look


def _is_one_visit(first: Draft, second: Draft) -> bool:
    both = first.wish is not None and second.wish is not None and first.dialog == second.dialog
    return both and _opening(first) == _opening(second) and first.moves[-1] == second.moves[-1]


def _thing(draft: Draft) -> str:
    """What a plan changes; two of one thing make no composition."""
    if draft.kind == "command":
        return draft.command or draft.id
    if draft.kind == "list":  # of a tab's lists an entry is all that is known
        return f"{draft.dialog}/{draft.tab}/list"
    return f"{draft.dialog}/{draft.tab}/{draft.group}/{'' if draft.kind == 'radio' else draft.control}"


def _go_together(first: Draft, second: Draft) -> bool:
    """Whether two plans change different things, and neither sets what the other needs set."""
    sets = [draft.moves[draft.setting] for draft in (first, second) if draft.wish is not None]
    shared = any(move in first.moves and move in second.moves for move in sets)
    return _thing(first) != _thing(second) and not shared


def composed_task(composition: Composition) -> str:
    """One request for both."""
    one, two = task_of(composition.first), task_of(composition.second)
    return pick(
        [f"{one}, and {_joined(two)}", f"{one}. Then {_joined(two)}", f"{one} and also {_joined(two)}"],
        composition.id,
    )


def _joined(task: str) -> str:
    return task if task[1:2].isupper() else task[:1].lower() + task[1:]


def works(execution: Execution, composition: Composition) -> str:
    """Executes it on a fresh document: a setting's dialog, opened again, shows it; a command changes what is saved."""
    first, second = composition.first, composition.second
    execution.fresh()
    if _is_one_visit(first, second):
        _finish(execution, composition.moves)
    else:
        digests = [execution.driver.digest()]
        end = len(first.moves)
        for moves in (composition.moves[:end], composition.moves[end:]):
            execution.done = []
            _finish(execution, moves)
            digests.append(execution.driver.digest())
        for number, draft in enumerate((first, second)):
            if draft.wish is None and digests[number] == digests[number + 1]:
                raise StepFailed("no effect", f"{draft.id} changed nothing in the document")
    for draft in (first, second):
        if draft.wish is not None:
            execution.done = None
            execution.reach(draft.look)
            if not _shows(execution, draft.wish):
                raise StepFailed("not kept", f"the dialog, opened again, does not show {draft.wish}")
    return "kept" if first.wish is not None or second.wish is not None else "document"


def _finish(execution: Execution, moves: list[Move]) -> None:
    if execution.reach(moves).modal:
        raise StepFailed("another dialog", f"“{execution.driver.observation.window}” came up")
    execution.done = []


def _shows(execution: Execution, wish: Wish) -> bool:
    control = execution.driver.find(wish.name, wish.types, wish.nth)
    return control is not None and wish.holds(control)


def evolved_pair(id: str, task: str, plan: list[str], page: str) -> TaskPlan:
    """An evolved pair as phase 1 reads it."""
    return TaskPlan(
        task_id=f"{EVOLVED}/{id}", task=task, plan=plan, source=EVOLVED, app=APP, license=LICENSE, page=page
    )
