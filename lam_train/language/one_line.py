"""Text of others inside our lines: it cannot begin a line, end one, or look like our marks, and reads back exactly."""

import json
import re
from typing import Any

from lam_train.errors import UserError

CUT = "…"  # ends a text of which more is there
_LINE = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BREAKS = re.compile("[\\\\\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ESCAPED = re.compile(r"\\(u[0-9a-f]{4}|.)", re.DOTALL)
_PIECE = re.compile(r"\\.|.", re.DOTALL)
_NAMED = {"n": "\n", "r": "\r", "t": "\t"}


def one_line(text: str, marks: str = "") -> str:
    """`text` without a line break or control character; each character of `marks` gets a backslash."""
    text = _BREAKS.sub(lambda m: _LINE.get(m[0], f"\\u{ord(m[0]):04x}"), text)
    return re.sub(f"([{re.escape(marks)}])", r"\\\1", text) if marks else text


def original(text: str) -> str:
    """What `one_line` was given, whatever the marks."""
    return _ESCAPED.sub(lambda m: chr(int(m[1][1:], 16)) if len(m[1]) > 1 else _NAMED.get(m[1], m[1]), text)


def split_at(text: str, mark: str) -> list[str]:
    """The parts between the marks that no backslash precedes; still escaped."""
    parts = [""]
    for piece in _PIECE.findall(text):
        if piece == mark:
            parts.append("")
        else:
            parts[-1] += piece
    return parts


def cut(text: str, limit: int | None) -> str:
    """The first `limit` characters and a mark, where there are more."""
    return text if limit is None or len(text) <= limit else text[:limit].rstrip() + CUT


def to_json(value: Any, tight: bool = False) -> str:
    """JSON on one line, letters as they are; `tight`: without spaces between the marks."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":") if tight else None)
    except ValueError:
        raise UserError(f"an argument is a number that JSON does not have: {value}") from None
