"""Writes that are on the disk, not only on their way to it, when they return."""

import os
from pathlib import Path


def flush(path: Path) -> None:
    """Waits until a file's or folder's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_flushed(path: Path, text: str) -> None:
    """Replaces a file by `text`, whole or not at all, and waits until it is on the disk."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    flush(partial)
    partial.replace(path)
    flush(path.parent)
