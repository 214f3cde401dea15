"""Key strokes as pywinauto writes them."""

import pytest

from lam_train.apps.writer.keyboard import ALT, CTRL, SHIFT, strokes
from lam_train.apps.writer.mistakes import Mistake


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("aB", [["A", "a", 0], ["B", "B", SHIFT]]),
        ("^b", [["B", "", CTRL]]),
        ("^+{F12}", [["F12", "", CTRL | SHIFT]]),
        ("%{F4}x", [["F4", "", ALT], ["X", "x", 0]]),
        ("{TAB 2}", [["TAB", "", 0], ["TAB", "", 0]]),
        ("+(ab)c", [["A", "a", SHIFT], ["B", "b", SHIFT], ["C", "c", 0]]),
        ("{+}{{}{}}", [["ADD", "+", 0], ["", "{", 0], ["", "}", 0]]),
        ("~{ENTER}{VK_RETURN}\n", [["RETURN", "", 0]] * 4),
        ("1é", [["NUM1", "1", 0], ["", "é", 0]]),
        ("(a)", [["", "(", 0], ["A", "a", 0], ["", ")", 0]]),
        ("{a 3}", [["A", "a", 0]] * 3),
    ],
)
def test_keys_are_read(keys, expected):
    assert strokes(keys) == expected


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("^", "ends with a modifier"),
        ("+(ab", "parenthesis is not closed"),
        ("{ENTER", "is not closed"),
        ("{FLY}", r"no key \{FLY\}"),
        ("{TAB x}", "number of repetitions"),
        ("{TAB ²}", "number of repetitions"),
        (f"{{TAB {'9' * 5000}}}", r"\{TAB 9{20}\}: the number of repetitions"),
        ("{a 99999}", "number of repetitions"),
        ("{a 2000}b", "too many"),
        ("\x07", "cannot be typed"),
        ("🙂", "cannot be typed"),
    ],
)
def test_what_cannot_be_read_is_a_mistake(keys, says):
    with pytest.raises(Mistake, match=says):
        strokes(keys)
