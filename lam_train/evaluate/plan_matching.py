"""Which steps of a predicted plan are in the reference plan: one definition, deterministic, without a model.

Two steps match when their similarity reaches a threshold. A predicted step is matched to at most one reference step and
the other way round, so repeating a step earns nothing. The rules below were chosen on labelled pairs of English steps;
`docs/evaluation.md` says how well they agree with the labels, and what the numbers cannot say.
"""

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
from rapidfuzz import process
from rapidfuzz.distance import Indel

SCORER = "rapidfuzz.distance.Indel.normalized_similarity of sorted words x agreement of names"
THRESHOLD = 77.0

# What points at a control, or says its kind, does not say which control it is: "Click the OK button", "Choose OK" and
# "Press OK" are one action.
_POINTING = "click choose select press pick tap hit go navigate use using right-click double-click"
_KINDS = "button menu submenu item option icon command key dialog window box field list drop-down panel entry menubar"
_JOINING = (
    "a an the and or then to on in of from into at by for with your you it its this that which is be will "
    "please can if now want again"
)
# Words that turn a step into another one: like a name, the other step must say them too.
_REVERSING_WORDS = (
    "close exit quit cancel delete remove clear deselect unselect uncheck untick unmark disable off not undo"
)
_LIGHT = frozenset(f"{_POINTING} {_KINDS} {_JOINING}".split())
_REVERSING = frozenset(_REVERSING_WORDS.split())
_TYPING = {"enter": "type", "input": "type", "specify": "type", "write": "type"}

_NUMBER = re.compile(r"^(?:step )?\d{1,3} ?[.):] ", re.IGNORECASE)
_PARENTHESIS = re.compile(r"\([^()]*\)")
_REMARK = re.compile(r"(?:The|This|These|It|A|An|You|Figure)\b")  # how a sentence begins that says what happens next
_PURPOSE_BEFORE = re.compile(r"^(?:To|In order to|If|When|Once|After)\b[^,]*, ", re.IGNORECASE)
_PURPOSE_AFTER = re.compile(
    r" (?:in order )?to (?:open|close|exit|display|show|see|view|start|enable|activate|apply|finish|save|perform"
    r"|confirm|create)\b[^.,;]*"
)
_WORD = re.compile(r"[\w%#]+(?:[-+.'/][\w%#]+)*")


@dataclass(frozen=True)
class NormalStep:
    """What a step does, without how it is written."""

    words: list[str]
    """The words that matter, sorted; never empty."""
    names: frozenset[str]
    """Words the other step must say too: with a capital inside a sentence, with a digit or a `+`, and "close",
    "delete", "not" and the like."""
    said: frozenset[str]
    """All words."""


def normalise_step(step: str) -> NormalStep:
    """The step in Unicode NFKC, lower case, as words, without what does not change the action.

    Dropped are numbering, markdown, quotes, menu arrows and punctuation; parentheses; further sentences that say
    what happens ("The dialog opens."); purposes ("To print, …", "… to open the panel"); joining words, verbs of
    pointing and kinds of controls. `Ctrl + S` is `ctrl+s`; enter, input, specify and write are type. A step of
    such words alone ("Press the menu key") keeps them.
    """
    text = " ".join(unicodedata.normalize("NFKC", step).replace("’", "'").replace("_", " ").split())
    text = _NUMBER.sub("", text).replace(" + ", "+")
    first, *others = re.split(r"(?<=[.!?]) ", _PARENTHESIS.sub(" ", text).strip())
    kept = " ".join([first, *(sentence for sentence in others if not _REMARK.match(sentence))])
    kept = _PURPOSE_AFTER.sub("", _PURPOSE_BEFORE.sub("", kept))
    sentences = [_WORD.findall(sentence) for sentence in re.split(r"(?<=[.!?:]) ", kept)]
    words = [word for sentence in sentences for word in sentence] or _WORD.findall(text) or [text]
    lower = [_TYPING.get(word.casefold(), word.casefold()) for word in words]
    names = {word.casefold() for sentence in sentences for place, word in enumerate(sentence) if _is_name(word, place)}
    weighty = [word for word in lower if word not in _LIGHT]
    return NormalStep(sorted(weighty or lower), frozenset(names), frozenset(word.casefold() for word in words))


def _is_name(word: str, place: int) -> bool:
    capital = place > 0 and word[0].isupper()
    return capital or "+" in word or word.casefold() in _REVERSING or any(letter.isdigit() for letter in word)


def step_similarity(predicted: list[str], reference: list[str]) -> np.ndarray:
    """[predicted, reference] similarities of steps, from 0 to 100.

    The share of words that two steps have in common (twice the common words / all words: rapidfuzz's normalised
    Indel similarity of the sorted words) times the share of names, of both, that the other step says too
    (1 without names). The second factor tells long steps apart that differ in one name: "Open the overview and start
    typing Users" from "Open the overview and start typing Sound".
    """
    if not predicted or not reference:
        return np.zeros((len(predicted), len(reference)))
    ours, theirs = [normalise_step(step) for step in predicted], [normalise_step(step) for step in reference]
    words = process.cdist(
        [step.words for step in ours],
        [step.words for step in theirs],
        scorer=Indel.normalized_similarity,
        dtype=np.float64,
    )
    return 100 * words * np.array([[_agreement(one, other) for other in theirs] for one in ours])


def _agreement(one: NormalStep, other: NormalStep) -> float:
    names = len(one.names) + len(other.names)
    return (len(one.names & other.said) + len(other.names & one.said)) / names if names else 1.0


@dataclass(frozen=True)
class PlanMatch:
    """How a predicted plan meets its reference."""

    pairs: list[tuple[int, int]]
    """(predicted step, reference step), both from 0, by predicted step."""
    predicted_steps: int
    reference_steps: int
    success: bool
    """The plans have the same number of steps and each step matches the reference's step in its place."""
    covered: bool
    """Every step of the reference is predicted, in the reference's order; further steps may stand between."""

    @property
    def precision(self) -> float:
        """The share of predicted steps that are in the reference; 0 when nothing is predicted."""
        return len(self.pairs) / self.predicted_steps if self.predicted_steps else 0.0

    @property
    def recall(self) -> float:
        """The share of the reference's steps that are predicted."""
        return len(self.pairs) / self.reference_steps


def match_plans(predicted: list[str], reference: list[str], threshold: float = THRESHOLD) -> PlanMatch:
    """Matches the steps of two plans, one to one.

    Of all one-to-one matchings of steps with a similarity of at least `threshold`, the one taken has the most pairs;
    among those, the greatest sum of similarities (in whole percent); among those, the least
    sum of squared distances between places. `reference` must not be empty (ValueError).
    """
    if not reference:
        raise ValueError("the reference plan has no steps")
    similarity = step_similarity(predicted, reference)
    matches = similarity >= threshold
    return PlanMatch(
        pairs=_assign(matches, similarity),
        predicted_steps=len(predicted),
        reference_steps=len(reference),
        success=len(predicted) == len(reference) and bool(matches.diagonal().all()),
        covered=_covered(matches),
    )


def _assign(matches: np.ndarray, similarity: np.ndarray) -> list[tuple[int, int]]:
    """The matching `match_plans` describes, as one assignment problem over exact integers.

    The three criteria become one weight by factors that no sum of the lesser criteria can reach. The sums stay
    below 2**53, where float64 is exact, for plans of up to 500 steps.
    """
    if not matches.any():
        return []
    from scipy.optimize import linear_sum_assignment  # half a second to import, and a recipe's schema imports this file

    rows, columns = matches.shape
    fewest, most = min(rows, columns), max(rows, columns)
    squared_distance = (np.arange(rows)[:, None] - np.arange(columns)[None, :]) ** 2
    per_percent = fewest * most**2 + 1
    per_pair = fewest * 100 * per_percent + per_percent
    weight = np.where(matches, per_pair + np.rint(similarity) * per_percent - squared_distance, 0.0)
    chosen = zip(*linear_sum_assignment(weight, maximize=True), strict=True)
    return [(int(row), int(column)) for row, column in chosen if matches[row, column]]


def _covered(matches: np.ndarray) -> bool:
    """Whether each column can be given a matching row with rows rising: the earliest row is always a best choice."""
    row = 0
    for column in range(matches.shape[1]):
        while row < matches.shape[0] and not matches[row, column]:
            row += 1
        if row == matches.shape[0]:
            return False
        row += 1
    return True
