"""Which functions an expert is offered for a task, and whether a planned action calls one of them rightly."""

import re

from pydantic import JsonValue

from lam_train.language.functions import FUNCTIONS, Argument, Function

ALWAYS = ("click_input", "set_edit_text", "keyboard_input", "select_text")
ON_WORDS = {
    "insert_table": r"table|grid|rows?\b|columns?\b",
    "select_table": r"table|grid|rows?\b|columns?\b|cells?\b",
    "wheel_mouse_input": r"scroll|wheel|zoom|further (?:up|down)",
    "texts": r"read|what|which|how many|count|tell|contents? of",
    "summary": r"summar|describe|tell|report what|what",
    "annotation": r"screenshot|annotat|mark the controls",
}
"""function -> words in a task or its plan that make it worth offering (the paper: "filtered by task description")"""
TYPES = {"string": str, "integer": int, "boolean": bool, "array": list}


def offered_functions(text: str) -> list[Function]:
    """The functions that a task with this text may need, in the order of `FUNCTIONS`."""
    wanted = {name for name, words in ON_WORDS.items() if re.search(words, text, re.IGNORECASE)}
    return [function for name, function in FUNCTIONS.items() if name in ALWAYS or name in wanted]


def call_problem(name: str, args: dict[str, JsonValue], offered: list[Function]) -> str:
    """What is wrong with a call, in one line; "" where nothing is."""
    function = next((function for function in offered if function.name == name), None)
    if function is None:
        return f"the function {name!r} was not offered"
    for key, value in args.items():
        if key not in function.arguments:
            return f"{name} has no argument {key!r}"
        if not _fits(value, function.arguments[key]):
            return f"{name}: {key}={value!r} is not {function.arguments[key].schema}"
    missing = [key for key, argument in function.arguments.items() if argument.required and key not in args]
    return f"{name}: the argument {missing[0]!r} is missing" if missing else ""


def _fits(value: JsonValue, argument: Argument) -> bool:
    kind = argument.schema["type"]
    if not isinstance(value, TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return False
    return value in argument.schema.get("enum", [value])
