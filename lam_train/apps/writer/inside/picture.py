"""What the windows show, as BMP files: LibreOffice renders them without a screen, too."""


def write(desk, folder):
    """One file a window that shows, the lowest first; (file, x, y) of each."""
    written = []
    main = desk.window.getAccessibleContext().getLocationOnScreen()
    for window, accessible in reversed(desk.tops()):
        if not window.isVisible():
            continue
        place = window.getPosSize()
        is_main = window == desk.window
        if not is_main and accessible is not None and accessible.getAccessibleName() == "VCL ImplGetDefaultWindow":
            continue
        bitmap = window.createBitmap(0, 0, place.Width, place.Height)
        path = f"{folder}/{len(written)}.bmp"
        with open(path, "wb") as file:
            file.write(bitmap.getDIB().value)
        corner = (0, 0)
        if not is_main and accessible is not None:
            there = accessible.getLocationOnScreen()
            corner = (there.X - main.X, there.Y - main.Y)
        elif not is_main:
            corner = (place.X, place.Y)
        written.append((path, *corner))
    return written
