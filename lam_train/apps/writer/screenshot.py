"""A screenshot as PNG, from the bitmaps that LibreOffice renders of its windows."""

import io
from collections.abc import Sequence

from PIL import Image


def compose(windows: Sequence[tuple[str, int, int]]) -> bytes:
    """The windows over one another, lowest first, each a BMP file at (x, y); the first gives the size.

    A dialog is in the middle, as a window manager would place it: without a screen all have the same corner.
    """
    picture: Image.Image | None = None
    for path, x, y in windows:
        with Image.open(path) as window:
            if picture is None:
                picture = window.convert("RGB")
            else:
                if (x, y) == (0, 0):
                    x, y = (picture.width - window.width) // 2, max(0, (picture.height - window.height) // 2)
                picture.paste(window.convert("RGB"), (x, y))
    if picture is None:
        raise ValueError("no window shows")
    output = io.BytesIO()
    picture.save(output, format="PNG")
    return output.getvalue()
