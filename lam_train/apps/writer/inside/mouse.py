"""A mouse: button events posted to a window, which handles them as it does real ones.

On a real screen they do not work: a pressed button follows the pointer, which is elsewhere.
"""

from com.sun.star.awt import MouseButton, MouseEvent


def middle(accessible):
    """The middle of an accessible object, in screen coordinates."""
    place, size = accessible.getLocationOnScreen(), accessible.getBounds()
    return place.X + size.Width // 2, place.Y + size.Height // 2


def click(toolkit, window, accessible, count=1):
    """Clicks the middle of an accessible object inside a top window."""
    corner = window.getAccessibleContext().getLocationOnScreen()
    x, y = middle(accessible)
    event = MouseEvent()
    event.Source = window
    event.X = x - corner.X
    event.Y = y - corner.Y
    event.Buttons = MouseButton.LEFT
    event.ClickCount = count
    toolkit.mouseMove(event)
    toolkit.mousePress(event)
    toolkit.mouseRelease(event)
