"""How requests are phrased: wordings by family and split, and how clauses are framed and joined.

The texts are in `wordings/*.yaml`. A family has imperative `clauses` ("make "{phrase}" bold"), which frames turn into
requests and which compositions join, and whole `sentences`. Every clause, sentence and frame belongs to one split; only
the bare clause is every split's. `explore` uses train's too: what it holds in addition is new to the policy.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import yaml

from lam_train.records import Split

FOLDER = Path(__file__).resolve().parent / "wordings"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml where it is there: fifteen times as fast
OWN_SHARE = 0.4  # of explore's tasks, those that are phrased in a way that train does not have


@dataclass(frozen=True)
class Wording:
    name: str  # "bold/train/clause2", "pair/test/1"
    text: str


@cache
def wordings() -> dict[str, dict]:
    """Family -> {"clauses", "sentences"} -> split -> texts."""
    loaded: dict[str, dict] = {}
    for file in sorted(FOLDER.glob("*.yaml")):
        if file.stem != "frames":
            loaded |= yaml.load(file.read_text(encoding="utf-8"), LOADER)
    return loaded


@cache
def frames() -> dict[str, dict[str, list[str]]]:
    """{"frames", "pairs", "triples"} -> split -> texts."""
    return yaml.load((FOLDER / "frames.yaml").read_text(encoding="utf-8"), LOADER)


def of_split(texts: dict[str, list[str]], kind: str, split: Split, rng: Random) -> Wording:
    """One of a split's texts at random, with its name; explore's are often train's."""
    own = split
    if split == "explore" and (not texts.get("explore") or rng.random() >= OWN_SHARE):
        own = "train"
    index = rng.randrange(len(texts[own]))
    return Wording(f"{kind}/{own}/{index + 1}", texts[own][index])


def clause(family: str, split: Split, rng: Random) -> Wording:
    """An imperative clause with its slots."""
    return of_split(wordings()[family]["clauses"], f"{family}/clause", split, rng)


def request_wording(family: str, split: Split, rng: Random) -> Wording:
    """A whole request for one operation, with its slots: a sentence, or a framed clause."""
    texts = wordings()[family]
    counts = {kind: len(texts[kind][split]) for kind in ("clauses", "sentences")}
    if rng.random() * sum(counts.values()) < counts["sentences"]:
        return of_split(texts["sentences"], f"{family}/sentence", split, rng)
    chosen = clause(family, split, rng)
    if rng.random() < 0.4:
        return Wording(f"{chosen.name}/bare", frames()["frames"]["all"][0].replace("{clause}", chosen.text))
    frame = of_split(frames()["frames"], "frame", split, rng)
    return Wording(f"{chosen.name}/{frame.name}", frame.text.replace("{clause}", chosen.text))


def joined(clauses: list[str], split: Split, rng: Random) -> Wording:
    """Two or three filled clauses as one request."""
    kind = "pairs" if len(clauses) == 2 else "triples"
    frame = of_split(frames()[kind], kind[:-1], split, rng)
    text = frame.text
    for letter, filled in zip("abc", clauses, strict=False):
        text = text.replace("{" + letter + "}", filled, 1)
    return Wording(frame.name, sentence_case(text))


def fill(text: str, slots: dict[str, str]) -> str:
    """The wording with its slots filled."""
    for name, value in slots.items():
        text = text.replace("{" + name + "}", value)
    return text


def with_pronoun(clause: str, phrase: str) -> str:
    """The clause with "it" for the quoted phrase; "strike out it" becomes "strike it out"."""
    clause = clause.replace(f'the words "{phrase}"', "it").replace(f'"{phrase}"', "it")
    return re.sub(r"^(strike|cross) (out|through) it\b", r"\1 it \2", clause)


def sentence_case(text: str) -> str:
    """Every sentence begins with a capital letter, unless it begins with a quotation."""
    parts = text.split(". ")
    return ". ".join(part[:1].upper() + part[1:] for part in parts)
