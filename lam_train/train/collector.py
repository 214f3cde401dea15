"""Python's garbage collector, kept from going through what lives as long as the training."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collected_when_asked() -> Iterator[None]:
    """Within it, `gc.collect()` alone collects, and looks only at what was made since.

    PyTorch and transformers leave half a million objects at import: to go through them takes a quarter of a second.
    """
    was_on = gc.isenabled()
    gc.disable()
    gc.collect()  # what is frozen is not let go of, so no garbage may be in it
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()
