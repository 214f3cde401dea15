"""What a walk gave, counted honestly: the card, the counts and the examples of its dataset."""

import datetime
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from lam_train.apps.writer.walk.plans import LICENSE, SOURCE, Draft, Result
from lam_train.collect import deduplicate
from lam_train.collect.card import table
from lam_train.collect.split import SPLITS, Split
from lam_train.records import TaskPlan

NEAR = 0.8  # the similarity at which `collect_plans` calls two pairs near duplicates

_ABOUT = """\
Task-plan pairs from LibreOffice Writer itself, each plan executed in the live application. A record is a line of JSON:
`task_id`, `task`, `plan` (a list of steps), `source`, `app`, `license`, `page`, `kind`, as `collect_plans` writes it.

The walk chooses every entry of the menu bar, every button of the toolbars and every keyboard shortcut that stays within
the document, and in the dialogs that open every tab, field, option and list entry. A pair is kept when each control of
its plan was there and enabled, no action was refused, and its effect was seen:

- `opened`, `tab`: the dialog or the tab stands there;
- `kept`: the dialog was ended with its button, opened again, and shows what was set;
- `document`: the saved document changed; for a setting, one that the dialog had taken but does not show again;
- `differs`: the saved document is another than the one the same dialog gives with nothing set (dialogs that insert);
- `checked`, `selection`, `screen`: the menu entry's mark changed, other text is selected, other controls show.

Tasks are worded by rule from labels, tooltips and help tips, not by people. A pair's `page` is the command or the tab
it is about, and a page's pairs are all in one split, so the same setting reached by two ways is never on both sides.
"""

_LICENSE = f"""\
Labels, tooltips and help tips, of which tasks and plans are made, are LibreOffice's own ({LICENSE}), read from the
installed application. The documents that the plans ran on are the templates of this project.
"""


def counted(results: Sequence[Result], splits: Mapping[Split, list[TaskPlan]], equal: int) -> dict:
    """All counts of a dataset, for `counts.json` and the card."""
    pairs = [pair for split in SPLITS for pair in splits[split]]
    ids = {pair.task_id for pair in pairs}
    worked = [result for result in results if result.seen and f"{SOURCE}/{result.draft.id}" in ids]
    drafts = [result.draft for result in worked]
    return {
        "plans tried": len(results),
        "worked": sum(bool(result.seen) for result in results),
        "equal task, left out": equal,
        "pairs": len(pairs),
        "distinct tasks": len({pair.task.casefold() for pair in pairs}),
        "distinct plans": len({tuple(pair.plan) for pair in pairs}),
        "distinct plans, values aside": len({shape(draft) for draft in drafts}),
        f"not near duplicates ({NEAR})": len(deduplicate.near(pairs, NEAR)[0]),
        "steps in plans": sum(len(pair.plan) for pair in pairs),
        "menu entries, buttons and keys": len({result.entry for result in worked}),
        "commands": len({draft.command for draft in drafts if draft.command}),
        "dialogs": len({draft.dialog for draft in drafts if draft.dialog}),
        "tabs": len({(draft.dialog, draft.tab) for draft in drafts if draft.tab}),
        "controls": len({(draft.dialog, draft.tab, draft.control) for draft in drafts if draft.control}),
        "splits": {split: len(splits[split]) for split in SPLITS},
        "pages": {split: len({pair.page for pair in splits[split]}) for split in SPLITS},
        "seen": dict(Counter(result.seen for result in worked).most_common()),
        "kinds": dict(Counter(draft.kind for draft in drafts).most_common()),
        "failed": dict(Counter(result.failed for result in results if result.failed).most_common()),
    }


def shape(draft: Draft) -> tuple[str, ...]:
    """A plan without the value it sets: two pairs of one shape differ in a number, a choice or on and off only."""
    steps = [move.text for move in draft.moves]
    if draft.wish is not None:
        name = "list entry" if draft.kind == "list" else draft.control
        steps[draft.setting] = f"{draft.kind}: {name}"
    return tuple(steps)


def card_text(counts: dict) -> str:
    """The whole card."""
    plain = [(name, number) for name, number in counts.items() if not isinstance(number, dict)]
    rows = [(split, counts["pages"][split], counts["splits"][split]) for split in SPLITS]
    parts = [
        "# Task-plan pairs from the application",
        f"Made on {datetime.date.today().isoformat()} by the recipe `collect_application_plans`.",
        _ABOUT,
        "## Counts",
        table(("what", "number"), plain),
        "Pairs that differ in a value only are pairs of their own; `distinct plans, values aside` counts them once.",
        "## Splits",
        table(("split", "pages", "pairs"), rows),
        "## How the effect was seen",
        table(("seen", "pairs"), counts["seen"].items()),
        "## Kinds",
        table(("kind", "pairs"), counts["kinds"].items()),
        "## Plans that did not work, and were dropped",
        table(("why", "plans"), counts["failed"].items()),
        "## License",
        _LICENSE,
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def examples_text(splits: Mapping[Split, Iterable[TaskPlan]], number: int, seed: int) -> str:
    """`number` random pairs, to look at with one's own eyes."""
    pairs = [(split, pair) for split in SPLITS for pair in splits[split]]
    chosen = random.Random(seed).sample(pairs, min(number, len(pairs)))
    parts = [f"# {len(chosen)} random pairs"]
    for split, pair in chosen:
        steps = "\n".join(f"{index}. {step}" for index, step in enumerate(pair.plan, start=1))
        parts.append(f"## {pair.task}\n\n{split}; `{pair.task_id}`\n\n{steps}")
    return "\n\n".join(parts) + "\n"
