"""A timer whose moment is moved far more often than it goes off."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

_TICK_S = 0.001  # a loop's clock may run behind its timers by this much


class Alarm:
    """Calls ``ring`` at ``due``, a time of the loop's clock, unless that is moved before.

    The loop is bothered only for an earlier moment than the one it knows of. When it calls too early, it is told the later one. So moving
    it with every piece that arrives costs a comparison.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], object]) -> None:
        self.due = math.inf
        self._loop = loop
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None
        self._handle_due = math.inf

    def move(self, due: float) -> None:
        """Go off at ``due`` and no more when it was to before."""
        self.due = due
        if due < self._handle_due:
            self._arm()

    def cancel(self) -> None:
        """Never go off."""
        if self._handle is not None:
            self._handle.cancel()

    def _arm(self) -> None:
        self.cancel()
        self._handle_due = self.due
        self._handle = self._loop.call_at(self.due, self._called)

    def _called(self) -> None:
        self._handle, self._handle_due = None, math.inf
        if self._loop.time() < self.due - _TICK_S:
            self._arm()
        else:
            self._ring()
