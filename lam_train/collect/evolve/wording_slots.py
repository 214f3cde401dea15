"""What a generated request says in the slots of its wording: the wording, read backwards."""

import re

from lam_train.apps.writer.tasks import wordings
from lam_train.records import Task


def wording_text(name: str) -> str | None:
    """The text, with slots, of a wording of one operation by its name; None for a name that is none.

    "bold/sentence/train/2", "bold/clause/train/1/bare" or "bold/clause/train/1/frame/explore/3".
    """
    parts = name.split("/")
    try:
        family, kind, split, number = parts[0], f"{parts[1]}s", parts[2], int(parts[3])
        text = wordings.wordings()[family][kind][split][number - 1]
        if len(parts) == 4:
            return text
        frames = wordings.frames()["frames"]
        frame = frames["all"][0] if parts[4:] == ["bare"] else frames[parts[5]][int(parts[6]) - 1]
    except (KeyError, IndexError, ValueError):
        return None
    return frame.replace("{clause}", text)


def slots_of(task: Task) -> dict[str, str] | None:
    """What the request says for each slot of its wording; None where that cannot be told for certain."""
    text = wording_text(task.wording)
    if text is None:
        return None
    pattern, seen = "", set()
    for piece in re.split(r"(\{\w+\})", text):
        name = piece[1:-1]
        if not re.fullmatch(r"\{\w+\}", piece):
            pattern += f"(?i:{re.escape(piece)})"  # sentences begin with a capital, whatever the wording says
        elif name in seen:
            pattern += f"(?P={name})"
        else:
            pattern += f"(?P<{name}>.+?)"
            seen.add(name)
    found = re.fullmatch(pattern, task.request, re.DOTALL)
    if found is None:
        return None
    slots = {name: _inside(value, found.start(name)) for name, value in found.groupdict().items()}
    again = wordings.sentence_case(wordings.fill(text, slots))
    return slots if again == task.request else None


def _inside(value: str, place: int) -> str:
    """A slot's text as it stands inside a sentence: "The paragraph …" began one."""
    return value[0].lower() + value[1:] if place == 0 and value.startswith(("The ", "All ", "Every ")) else value
