"""Which of a page's titles says the task of a plan, and that title as an imperative sentence.

"Changing Page Orientation", "To change the page orientation, do the following:" and "How do I change …?" become
"Change …". A title that says no task ("Overview", "Page Styles") is passed over for the next one.
"""

import re

from lam_train.collect.raw import RawPair
from lam_train.collect.verbs import VERB_OF_GERUND, VERBS, first_word, word_set
from lam_train.records import TaskPlan

_NUMBERING = re.compile(
    r"^(?:(?:chapter|section|step|exercise|lesson|tutorial)\s+)?(?:\d+(?:\.\d+)*[.):]?|[a-zA-Z][.)])\s+(?=\S)",
    re.IGNORECASE,
)
_TO = re.compile(
    r"^(?:how (?:do|can|should) (?:i|you)|how to|in order to|(?:if you )?(?:want|wish|would like) to|to)\s+",
    re.IGNORECASE,
)
_BARE = re.compile(
    r"^(?:overview|examples?|introduction|procedure|steps?|usage|notes?|tips?|see also|options?|how-?to'?s?|installing|"
    r"general|details?|description|instructions?|put(?:ting)? it all together|getting started|start|requirements?|"
    r"summary|background|more|do (?:this|it|so|that)|(?:use|see|follow|try) (?:this|it|the following|these))$",
    re.IGNORECASE,
)
_ALSO_NOUNS = word_set("""
    label list log end page format layer index map mask burn point process plan program book design mail plot query
    position refer see contact control repeat outline work access report
""")
_TASK_VERBS = VERBS - _ALSO_NOUNS
_DETERMINERS = word_set("a an the your all to on from in multiple several different")
_NOUN_AFTER = word_set("is settings dialog menu toolbar button mode options tab window box bar pane command")
_DANGLING = re.compile(
    r"^do (?:so|it|this|that)\b|\b(?:this|these|those|such|the (?:above|following|latter|former))\b", re.IGNORECASE
)
_CUT_OFF = re.compile(r"\b(?:if|that|to|of|the|an?|and|or|for|with|by|from)$", re.IGNORECASE)
_DANGLING_EARLY = re.compile(r"^\S+ (?:(?:\S+ ){0,2}(?:it|them|its|their)|that|so|one)(?: |$)", re.IGNORECASE)
_MEANS = re.compile(
    r"^use (?P<means>(?:the |your |a )?"
    r"(?:mouse|keyboard|touchpad|menus?|menu bar|toolbar|sidebar|context menu|navigator))$",
    re.IGNORECASE,
)
_WINDOW = re.compile(
    r"(?:bar|dialog|settings|options|properties|pane|window|wizard|menu|navigator|manager|tab|view|mode)$",
    re.IGNORECASE,
)


def unify_task(title: str) -> str | None:
    """The title as an imperative ("Changing Page Margins" -> "Change Page Margins"), or None if it says no task."""
    text = _NUMBERING.sub("", title.strip(" \t.:;,-–—•*"))
    text = text.strip("“”\"'") if text[:1] in "“\"'" and text[-1:] in "”\"'" else text
    asked = _TO.match(text)
    text = _TO.sub("", text).strip(" ?")
    if not text or _BARE.match(text):
        return None
    words = text.split()
    if len(words) < 2:
        return None
    if _CUT_OFF.search(text) or _DANGLING.search(text) or _DANGLING_EARLY.match(text):
        return None
    first, second = first_word(text), words[1].lower().strip(",;:")
    if (second in _NOUN_AFTER and not asked) or not text[0].isalpha():
        return None
    if asked and (first in _DETERMINERS or first == "an"):
        return None
    if first.endswith("ly") and second in VERB_OF_GERUND:
        text = f"{words[0]} {_gerunds_to_verbs(' '.join(words[1:]))}"
    elif first in VERB_OF_GERUND:
        text = _gerunds_to_verbs(text)
    elif not asked and not _begins_with_verb(first, second):
        return None
    return text[0].upper() + text[1:]


def _begins_with_verb(first: str, second: str) -> bool:
    """Whether a title's first word is a verb there: "Select text", "Format the page"; not "Format Menu"."""
    if first.endswith("ly"):
        return second in VERBS
    return first in _TASK_VERBS or (first in VERBS and second in _DETERMINERS)


def _gerunds_to_verbs(text: str) -> str:
    """The first word, and those joined to it, as verbs: "Adding and Editing X" -> "Add and edit X"."""
    words = text.split()
    position = 0
    while position < len(words):
        word = words[position].strip(",").lower()
        if word not in VERB_OF_GERUND:
            break
        comma = "," if words[position].endswith(",") else ""
        words[position] = VERB_OF_GERUND[word] + comma
        position += 1
        if position < len(words) and words[position].lower() in ("and", "or"):
            position += 1
        elif not comma:
            break
    return " ".join(words)


def task_of(raw: RawPair) -> str | None:
    """The first of the titles that says a task. A menu path needs none: it says how to reach what its page is about."""
    if raw.given:
        return " ".join(raw.titles[0].split())
    tasks = [task for task in map(unify_task, raw.titles) if task is not None]
    if tasks:
        means = _MEANS.match(tasks[0])
        return f"{tasks[1]} using {means['means']}" if means and len(tasks) > 1 else tasks[0]
    if raw.kind == "menu_path" and raw.titles[0]:
        return _reach(raw.titles[0], raw.steps[-1])
    return None


def _reach(name: str, step: str) -> str:
    """The task of a menu path that ends at `step`, on a page named `name`."""
    name = _NUMBERING.sub("", name.strip(" :.")).removesuffix("...").removeprefix("The ")
    if re.search(r"\btab\.?$", step) and not name.lower().endswith("tab"):
        return f"Open the {name} tab"
    if _WINDOW.search(name):
        return f"Open {name}" if name.lower().endswith(("settings", "options", "properties")) else f"Open the {name}"
    return f"Use the {name} command"


def tell_apart(pairs: list[tuple[RawPair, TaskPlan]]) -> list[TaskPlan]:
    """The records, in order. Where one application has a task with several plans, each gets its heading as well:

    "Turn on protection" becomes "Turn on protection (Protecting Cells)" if another heading has one too.
    """
    same: dict[tuple[str, str], list[int]] = {}
    for number, (raw, record) in enumerate(pairs):
        if not raw.given and raw.kind != "menu_path":
            same.setdefault((record.app, record.task.lower()), []).append(number)
    records = [record for _, record in pairs]
    for numbers in same.values():
        if len({tuple(records[number].plan) for number in numbers}) < 2:
            continue
        for number in numbers:
            context = _context(*pairs[number])
            if context:
                records[number] = records[number].model_copy(update={"task": f"{records[number].task} ({context})"})
    return records


def _context(raw: RawPair, record: TaskPlan) -> str:
    """The innermost heading that says something else than the task."""
    for title in raw.headings:
        text = _NUMBERING.sub("", title.strip(" .:"))
        if text and not _BARE.match(text) and (unify_task(text) or text).lower() not in record.task.lower():
            return text
    return ""
