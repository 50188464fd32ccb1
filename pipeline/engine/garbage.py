"""Python's garbage collector while a run sends: what is built once is left out of it, and it looks less often."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

THRESHOLDS = (50_000, 20, 100)
"""Python's own are (700, 10, 10): with thousands of rows in flight it then goes through all of them, in vain, many times a second."""


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Let a run make garbage for a while; afterwards everything is as it was, for who else lives in this process.

    What is alive at the start, modules above all, is not looked at meanwhile, unless somebody else has set objects apart already: then
    ours could not be told from theirs.
    """
    before, theirs = gc.get_threshold(), gc.get_freeze_count()
    if before[0]:  # 0 is off, and stays so
        gc.set_threshold(*THRESHOLDS)
    if not theirs:
        gc.freeze()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        if not theirs:
            gc.unfreeze()
