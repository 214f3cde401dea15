import gc
import weakref

import pytest

from lam_train.train.collector import collected_when_asked


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self):
        self.itself = self


def test_collects_when_asked_and_only_what_is_new():
    lasting = Ring()
    with collected_when_asked():
        assert not gc.isenabled() and gc.get_freeze_count() > 0
        assert not any(found is lasting for found in gc.get_objects())  # not gone through
        new = weakref.ref(Ring())
        gc.collect()
        assert new() is None
    assert gc.isenabled() and gc.get_freeze_count() == 0
    assert any(found is lasting for found in gc.get_objects())


def test_what_was_garbage_before_is_not_kept():
    gc.disable()
    try:
        left = weakref.ref(Ring())
        with collected_when_asked():
            assert left() is None
        assert not gc.isenabled()  # as it was
    finally:
        gc.enable()


def test_the_collector_goes_on_after_an_error():
    with pytest.raises(KeyboardInterrupt), collected_when_asked():
        raise KeyboardInterrupt
    assert gc.isenabled() and gc.get_freeze_count() == 0
