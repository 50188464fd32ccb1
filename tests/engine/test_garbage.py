"""A run leaves Python's garbage collector as it found it."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from pipeline.engine.garbage import THRESHOLDS, seldom_collected


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Whatever a test sets is undone."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_the_settings_come_back_however_a_run_ends(ends: str) -> None:
    """Also where whoever embeds us has settings of their own."""
    gc.set_threshold(321, 7, 5)

    def run() -> None:
        with seldom_collected():
            assert gc.get_threshold() == THRESHOLDS
            assert gc.get_freeze_count() > 0
            if ends == "badly":
                raise KeyError

    if ends == "badly":
        with pytest.raises(KeyError):
            run()
    else:
        run()
    assert (gc.get_threshold(), gc.get_freeze_count()) == ((321, 7, 5), 0)


def test_objects_that_somebody_else_has_set_apart_stay_so() -> None:
    """Ours could not be told from theirs afterwards."""
    gc.freeze()
    theirs = gc.get_freeze_count()
    with seldom_collected():
        pass
    assert gc.get_freeze_count() == pytest.approx(theirs, rel=0.01)


def test_a_collector_that_is_off_stays_off() -> None:
    """Whoever switched it off had a reason."""
    gc.set_threshold(0)
    with seldom_collected():
        assert gc.get_threshold()[0] == 0
