"""The JSON in a large model's answer, whatever prose or code fence stands around it. Nothing is evaluated."""

import json
from typing import Any

from lam_train.language.answer_text import writable


def first_object(text: str, *keys: str) -> dict[str, Any] | None:
    """The first JSON object in the text that has all the keys and could be written down again; None: there is none."""
    return next((value for value in objects(text) if all(key in value for key in keys) and writable(value)), None)


def objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects of a text, from left to right; an object's own parts are not listed again."""
    found, decoder, place = [], json.JSONDecoder(), text.find("{")
    while place != -1:
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):  # no JSON, a number of 5,000 digits, 100,000 brackets
            end = place + 1
        else:
            found.append(value)
        place = text.find("{", end)
    return found
