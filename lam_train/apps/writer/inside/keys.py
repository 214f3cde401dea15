"""A keyboard: key events posted to a window, which handles them as it does real ones."""

import uno
from com.sun.star.awt import Key, KeyEvent


def press(toolkit, window, keystrokes):
    for name, character, modifiers in keystrokes:
        event = KeyEvent()
        event.Source = window
        event.KeyCode = getattr(Key, name) if name else 0
        event.KeyChar = uno.Char(character or "\0")
        event.Modifiers = modifiers
        toolkit.keyPress(event)
        toolkit.keyRelease(event)
