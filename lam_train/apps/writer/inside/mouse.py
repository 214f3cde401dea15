"""A mouse: button events posted to a window, which handles them as it does real ones."""

from com.sun.star.awt import MouseButton, MouseEvent


def click(toolkit, window, accessible, count=1):
    """Clicks the middle of an accessible object inside a top window."""
    corner = window.getAccessibleContext().getLocationOnScreen()
    place, size = accessible.getLocationOnScreen(), accessible.getBounds()
    event = MouseEvent()
    event.Source = window
    event.X = place.X - corner.X + size.Width // 2
    event.Y = place.Y - corner.Y + size.Height // 2
    event.Buttons = MouseButton.LEFT
    event.ClickCount = count
    toolkit.mouseMove(event)
    toolkit.mousePress(event)
    toolkit.mouseRelease(event)
