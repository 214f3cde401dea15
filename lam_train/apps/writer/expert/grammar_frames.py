"""The sentences that any property of text may stand in: "make X …", "X should be …", "change the … of X to …"."""

from dataclasses import dataclass

from lam_train.apps.writer.expert.grammar_words import CHANGE, GIVE, MAKE, MUST


@dataclass(frozen=True)
class Property:
    """A property of text, in the ways that English has for one. Slots stand in <angle brackets>."""

    operation: str
    is_: str = ""  # "make X …", "X should be …"
    has: str = ""  # "apply … to X", "give X …", "… for X"
    do: tuple[str, ...] = ()  # whole clauses
    name: str = ""  # "change the … of X to"
    value: str = ""  # … this
    fixed: tuple[tuple[str, str], ...] = ()


AN = r"(?:(?:an?|the) )?"
LINK = r"(?:(?:to (?:be|appear|look|become|have)|as|appear|look|be|stand|so that (?:it|they) (?:is|are)) )?"
BE = r"(?:be|appear|become|stand|look|go|stand out)"
IN = r"(?:(?:in|into|to|with|using|as|a|an|the|be|set|shown|formatted|written|printed|displayed|made) )*"
TO = r"(?:to be|to|at|as|be|with|by)"


def frames(shape: Property) -> list[str]:
    """Every clause that a property may stand in."""
    found = list(shape.do)
    if shape.is_:
        is_ = f"(?:{shape.is_})"
        found += [
            rf"{MAKE} <target> {LINK}{IN}{is_}",
            rf"<target> {MUST} {BE} {IN}{is_}",
            rf"(?:use|choose|pick) {is_} (?:for|on|in) <target>",
        ]
    if shape.has:
        has = f"(?:{shape.has})"
        found += [
            rf"{GIVE} {AN}{has} (?:to|on|for|over|in|with|of) <target>",
            rf"give <target> (?:(?:with|in|the|a|an) )*{has}",
            rf"<target> {MUST} (?:have|get|be (?:given|set in|set with)|use) (?:(?:the|an?) )?{has}",
            rf"format <target> (?:with|using|as) {has}",
        ]
    if shape.name:
        name, value = f"(?:{shape.name})", f"(?:{shape.value})"
        found += [
            rf"{CHANGE} (?:the )?{name} (?:of|for|on|in) <target> {TO} {value}",
            rf"{CHANGE} <target>(?:'s|s')? (?:to )?{name} {TO} {value}",
            rf"{CHANGE} (?:the )?{name} to {value} (?:for|on|in|of) <target>",
            rf"(?:use|choose|pick|select) {value} (?:as|for) (?:the )?{name} (?:of|for|on|in) <target>",
            rf"(?:the )?{name} (?:of|for|on|in) <target> {MUST} be {value}",
            rf"give <target> (?:the |an? )?{name} (?:of )?{value}",
            rf"(?:for|in|on) <target>,? (?:set|use|choose|change|make) (?:the )?{name} (?:to )?{value}",
        ]
    return found
