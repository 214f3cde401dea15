"""A prompt that is too long, made shorter by leaving out what is least likely to matter (docs/step_format.md).

The cuts come in this order, and no more of them than it takes; what is left keeps its labels:

1. controls that are disabled;
2. the oldest earlier actions, down to the last two;
3. the controls least related to the request and the plan, one at a time, down to 16 and the menus;
4. document text: each paragraph and cell to its first 160, 80, then 40 characters;
5. the rest of the earlier actions, of the controls, then of the menus and the document's text, least related first.

The request, the previous plan and the answer are never cut, and a control in `keep` is never left out: in training the
one that the expert acts on.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection
from dataclasses import dataclass

from rapidfuzz import fuzz

from lam_train.language.step_format import StepFormat
from lam_train.records import Control, State

KEPT_ACTIONS = 2
KEPT_CONTROLS = 16
TEXT_LIMITS = (160, 80, 40)


@dataclass(frozen=True)
class Shown:
    """What a prompt shows of a state, and how it is written. An answer to it is read with `state.observation`."""

    state: State
    format: StepFormat
    controls_left_out: int = 0
    actions_left_out: int = 0


def fit(
    state: State,
    format: StepFormat,
    tokens: Callable[[Shown], int],
    limit: int,
    keep: Collection[str] = (),
) -> Shown:
    """The longest prompt of at most `limit` tokens, else the shortest there is (then still too long).

    `tokens` counts what a prompt takes, with all that must fit beside it. `keep`: labels of controls that stay.
    """
    whole = Shown(state, format)
    if tokens(whole) <= limit:
        return whole
    cuts = _cuts(state, format, keep)
    first = bisect_left(range(len(cuts)), True, key=lambda n: tokens(_shown(state, cuts[: n + 1])) <= limit)
    return _shown(state, cuts[: first + 1])


@dataclass(frozen=True)
class _Cut:
    """One step of the order above."""

    format: StepFormat
    controls: tuple[str, ...] = ()  # labels
    actions: int = 0


def _shown(state: State, cuts: list[_Cut]) -> Shown:
    gone = {label for cut in cuts for label in cut.controls}
    actions = sum(cut.actions for cut in cuts)
    controls = [control for control in state.observation.controls if control.label not in gone]
    observation = state.observation.model_copy(update={"controls": controls})
    shorter = state.model_copy(update={"observation": observation, "previous": state.previous[actions:]})
    return Shown(shorter, cuts[-1].format, len(state.observation.controls) - len(controls), actions)


def _cuts(state: State, format: StepFormat, keep: Collection[str]) -> list[_Cut]:
    controls = [control for control in state.observation.controls if control.label not in keep]
    texts = _least_related(state, [c for c in controls if c.control_type == "Document"])
    rest = [c for c in controls if c.control_type != "Document"]
    disabled = tuple(c.label for c in rest if not c.enabled)
    menus = _least_related(state, [c for c in rest if c.enabled and c.control_type == "MenuItem"])
    others = _least_related(state, [c for c in rest if c.enabled and c.control_type != "MenuItem"])
    early = max(len(state.previous) - KEPT_ACTIONS, 0)
    several = max(len(others) - KEPT_CONTROLS, 0)

    cuts = [_Cut(format, disabled)] if disabled else []
    cuts += [_Cut(format, actions=1) for _ in range(early)]
    cuts += [_Cut(format, (label,)) for label in others[:several]]
    for limit in TEXT_LIMITS:
        if texts and (format.text_limit is None or format.text_limit > limit):
            format = format.model_copy(update={"text_limit": limit})
            cuts.append(_Cut(format))
    # The last action but no earlier one still says what the result and the plan belong to: it goes last of all.
    late = len(state.previous) - early
    cuts += [_Cut(format, actions=1) for _ in range(late - 1)]
    cuts += [_Cut(format, (label,)) for label in (*others[several:], *menus, *texts)]
    return cuts or [_Cut(format)]


def _least_related(state: State, controls: list[Control]) -> list[str]:
    """Their labels, the least related to the request and the plan first; of equals, the last in the list."""
    wanted = " ".join([state.request, *state.plan]).casefold()
    scored = [
        (fuzz.token_set_ratio(f"{c.control_text} {c.value or ''}".casefold(), wanted), -place, c.label)
        for place, c in enumerate(controls)
    ]
    return [label for *_, label in sorted(scored)]
