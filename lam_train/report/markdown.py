"""Pieces of Markdown: tables, and text that stays text."""

import re
from html import escape

from lam_train.evaluate.statistics import Estimate


def table(head: list[str], body: list[list[str]]) -> list[str]:
    """The lines of a table, with an empty line after it."""
    lines = [head, ["---"] * len(head), *body]
    return ["| " + " | ".join(cells) + " |" for cells in lines] + [""]


def cell(text: str) -> str:
    """Text that cannot break out of a table's cell or act as Markdown or HTML."""
    text = escape(" ".join(text.split()), quote=False)
    for mark in "\\`*[]|":
        text = text.replace(mark, f"&#{ord(mark)};")
    return re.sub(r"(?<!\w)_|_(?!\w)", "&#95;", text)  # inside a word it marks nothing


def percent(estimate: Estimate | None, sign: str = "") -> str:
    """`83.6 [80.1, 86.9]`: a share and its interval, in percent; "-" for none."""
    return number(estimate, 1, sign, 100)


def number(estimate: Estimate | None, digits: int, sign: str = "", factor: float = 1) -> str:
    """A mean and its interval; "-" for none."""
    if estimate is None:
        return "-"
    bounds = estimate.mean, estimate.low, estimate.high
    mean, low, high = (format(factor * value, f"{sign}.{digits}f") for value in bounds)
    return f"{mean} [{low}, {high}]"
