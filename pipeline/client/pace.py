"""Starts per minute, evenly spread: aiolimiter's bucket, small and drawn from by one at a time.

A full minute's bucket would let twice the limit through in the first minute. This one holds a start and 50 ms of the rate, and is a little
slower than the limit in turn: with a bucket of ``b`` from which ``d`` are drawn at once and ``(limit - b - d + 2) / 60`` per second, no
60 seconds see more than ``limit`` starts.
"""

from __future__ import annotations

from aiolimiter import AsyncLimiter

MINUTE_S = 60.0
BUCKET_S = 0.05  # of the rate: with less a late timer costs throughput, with more requests come in bursts
DRAW_S = 0.01  # of the rate, drawn at once: each wait costs a timer


class Pace:
    """Hands out starts. Another rate needs another pace: aiolimiter cannot change its own."""

    def __init__(self, per_minute: float, *, full: bool = False) -> None:
        """Make a pace whose first start is free, or with ``full`` one that keeps its distance from earlier starts."""
        spare = per_minute / MINUTE_S * BUCKET_S
        self._bucket = 1.0 + spare
        self._at_once = max(1, int(per_minute / MINUTE_S * DRAW_S))
        rate = (per_minute - self._bucket - self._at_once + 2.0) / MINUTE_S
        self._limiter = AsyncLimiter(self._bucket, self._bucket / rate)
        self._fill = self._bucket if full else spare  # what makes up for late timers is not there to begin with
        self._drawn = 0
        self.per_minute = per_minute

    @property
    def ready(self) -> bool:
        """Whether a start is there to be taken."""
        return self._drawn > 0

    async def draw(self) -> None:
        """Wait for the next starts. For one task at a time."""
        if self._fill:
            full, self._fill = self._fill, 0.0
            await self._limiter.acquire(full)  # at once, for it is empty
        await self._limiter.acquire(self._at_once)
        self._drawn = self._at_once

    def take(self) -> None:
        """Use a start that is ready."""
        self._drawn -= 1

    def lapse(self) -> None:
        """Let the first of the drawn starts go where something else holds the line up: it is used when it comes or not at all.

        Otherwise it and a later one could meet, and a minute see one start too many.
        """
        self._drawn = min(self._drawn, self._at_once - 1)
