"""The JSON object in a model's text: found, never evaluated."""

import json

from lam_train.language.step_format import AnswerError

_STRICT = {"object_pairs_hook": lambda pairs: _once(pairs), "parse_constant": lambda name: _no_number(name)}


def json_object(text: str) -> dict:
    """The first JSON object of a text, behind prose or a code fence; what follows it is not read.

    Raises AnswerError where there is none, where a key stands twice, and for what could not be written down again: NaN,
    infinities (1e400 is one), half a surrogate pair.
    """
    decoder = json.JSONDecoder(**_STRICT)
    start, first = text.find("{"), None
    while start >= 0:
        try:
            found = decoder.raw_decode(text, start)[0]
            if not writable(found):
                raise AnswerError("not JSON: half a surrogate pair, or a number beyond all floats")
            return found
        except json.JSONDecodeError as error:
            first = first or f"not JSON: {error.msg} at character {error.pos}"
        except (ValueError, RecursionError) as error:  # 5,000 digits, 100,000 brackets
            raise AnswerError(f"not JSON: {error}") from None
        start = text.find("{", start + 1)
    raise AnswerError(first or "no JSON object in the answer")


def writable(value: object) -> bool:
    """Whether a value could be written as JSON in UTF-8: without half a surrogate pair, NaN and infinities."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:
        return False
    return True


def _once(pairs: list[tuple[str, object]]) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise AnswerError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice")
    return found


def _no_number(name: str) -> None:
    raise AnswerError(f"{name} is no JSON number")


def refuse_unknown(found: dict, known: set[str]) -> None:
    """Raises AnswerError for a key that the format does not have."""
    unknown = [key for key in found if key not in known]
    if unknown:
        raise AnswerError(f"unknown key {unknown[0]!r}; the keys are {', '.join(sorted(known))}")
