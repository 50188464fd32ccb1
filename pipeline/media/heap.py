"""How the C library keeps memory that media have left: at hand for the next ones."""

from __future__ import annotations

import sys

KEPT_BYTES = 128 * 1024 * 1024
"""Of freed memory at most that is not given back to the system; a run's bodies in flight take more."""

LARGE_BYTES = 8 * 1024 * 1024
"""From here on a block is given back the moment it is freed: videos, which are few."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def keep_freed_memory() -> None:
    """Let the C library keep what is freed, where it is glibc; all others are left as they are.

    It would give the memory of a picture back to the system and take it anew for the next one, page by page, which takes longer than to
    read and encode the picture.
    """
    if sys.platform != "linux":
        return
    import ctypes  # takes milliseconds, which runs without media need not wait for

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
