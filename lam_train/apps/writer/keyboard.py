"""Key strokes written as pywinauto writes them, read into LibreOffice's keys.

`^` Ctrl, `+` Shift and `%` Alt hold for the next key or group in parentheses; `{ENTER}`, `{TAB 3}` (three times);
`{{}`, `{+}` … are the characters themselves; `~` is Enter; everything else is typed as it stands.
"""

from lam_train.apps.writer.mistakes import Mistake

SHIFT, CTRL, ALT = 1, 2, 4  # com.sun.star.awt.KeyModifier
MODIFIERS = {"+": SHIFT, "^": CTRL, "%": ALT}
NAMED = {
    "ENTER": "RETURN",
    "RETURN": "RETURN",
    "TAB": "TAB",
    "ESC": "ESCAPE",
    "ESCAPE": "ESCAPE",
    "SPACE": "SPACE",
    "BACKSPACE": "BACKSPACE",
    "BACK": "BACKSPACE",
    "BS": "BACKSPACE",
    "BKSP": "BACKSPACE",
    "DELETE": "DELETE",
    "DEL": "DELETE",
    "INSERT": "INSERT",
    "INS": "INSERT",
    "HOME": "HOME",
    "END": "END",
    "UP": "UP",
    "DOWN": "DOWN",
    "LEFT": "LEFT",
    "RIGHT": "RIGHT",
    "PGUP": "PAGEUP",
    "PAGEUP": "PAGEUP",
    "PRIOR": "PAGEUP",
    "PGDN": "PAGEDOWN",
    "PAGEDOWN": "PAGEDOWN",
    "NEXT": "PAGEDOWN",
    **{f"F{number}": f"F{number}" for number in range(1, 13)},
}
PUNCTUATION = {
    ",": "COMMA", ".": "POINT", " ": "SPACE", "-": "SUBTRACT", "+": "ADD", "*": "MULTIPLY", "/": "DIVIDE",
    "<": "LESS", ">": "GREATER", "=": "EQUAL", ";": "SEMICOLON", "`": "QUOTELEFT", "~": "TILDE",
    "[": "BRACKETLEFT", "]": "BRACKETRIGHT", "'": "QUOTERIGHT",
}  # fmt: skip
MOST_STROKES = 2000
Stroke = list  # [key's name or "", character, modifiers]


def strokes(keys: str) -> list[Stroke]:
    """The key strokes that `keys` stands for. Raises Mistake when it cannot be read."""
    read, rest = sequence(keys, 0, 0, closing=False)
    assert rest == len(keys)
    if len(read) > MOST_STROKES:
        raise Mistake(f"keys: {len(read)} key strokes are too many (at most {MOST_STROKES})")
    return read


def sequence(keys: str, at: int, held: int, closing: bool) -> tuple[list[Stroke], int]:
    """Strokes from position `at` to the end, or to the closing parenthesis; and the position after it."""
    read: list[Stroke] = []
    modifiers = held
    while at < len(keys):
        character = keys[at]
        if character in MODIFIERS:
            modifiers |= MODIFIERS[character]
            at += 1
            continue
        if character == "(" and modifiers != held:
            group, at = sequence(keys, at + 1, modifiers, closing=True)
            read += group
        elif character == ")" and closing:
            return read, at + 1
        elif character == "{":
            group, at = braces(keys, at, modifiers)
            read += group
        else:
            read.append(["RETURN", "", modifiers] if character == "~" else typed(character, modifiers))
            at += 1
        modifiers = held
    if closing:
        raise Mistake("keys: a parenthesis is not closed")
    if modifiers != held:
        raise Mistake("keys: ends with a modifier; write {^}, {+} or {%} for the character itself")
    return read, at


def braces(keys: str, at: int, modifiers: int) -> tuple[list[Stroke], int]:
    end = keys.find("}", at + 2)  # "{}}" is the closing brace itself
    if end < 0:
        raise Mistake("keys: a { is not closed; write {{} for the character itself")
    name, _, count = keys[at + 1 : end].partition(" ")
    # int() reads no other digits ("²") than decimal ones, and not any number of them
    readable = count.isdecimal() and len(count) <= len(str(MOST_STROKES))
    if count and not (readable and 1 <= int(count) <= MOST_STROKES):
        raise Mistake(
            f"keys: {{{name} {count:.20}}}: the number of repetitions is not a number from 1 to {MOST_STROKES}"
        )
    times = int(count or 1)
    upper = name.upper().removeprefix("VK_")
    if upper in NAMED:
        code = NAMED[upper]
        return [[code, " " if code == "SPACE" else "", modifiers]] * times, end + 1
    if len(name) == 1:
        return [typed(name, modifiers)] * times, end + 1
    raise Mistake(f"keys: there is no key {{{name}}}; known are {', '.join(sorted(NAMED))}")


def typed(character: str, modifiers: int) -> Stroke:
    """A character's key; with Ctrl or Alt held it is a shortcut and types nothing."""
    if character == "\n":
        return ["RETURN", "", modifiers]
    if character == "\t":
        return ["TAB", "", modifiers]
    if not character.isprintable() or ord(character) > 0xFFFF:
        raise Mistake(f"keys: {character!r} cannot be typed")
    if character.isascii() and character.isalpha():
        code = character.upper()
    elif character.isascii() and character.isdigit():
        code = f"NUM{character}"
    else:
        code = PUNCTUATION.get(character, "")
    shifted = modifiers | (SHIFT if character.isupper() and not modifiers & (CTRL | ALT) else 0)
    return [code, "" if modifiers & (CTRL | ALT) else character, shifted]
