"""The gate in front of the wire: what is beyond it may be paid for.

Closing it lets nothing new out and lets what is out come home, which is how a run ends on a signal, a refusal or a full disk without
throwing away answers that are on their way.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from pipeline.records import Post, Reply, Request


class Gate:
    """Counts the attempts in flight: of which row each is, and since when (seconds of the loop's clock). To be made inside the loop."""

    def __init__(self) -> None:
        self._out: dict[int, tuple[int, float]] = {}  # by a number of its own, for a request may have two attempts out
        self._passed = 0
        self._clock = asyncio.get_running_loop().time
        self._closed = False
        self._empty = anyio.Event()

    @property
    def closed(self) -> bool:
        """Whether nothing new is let out."""
        return self._closed

    @property
    def in_flight(self) -> int:
        """How many attempts are out."""
        return len(self._out)

    def close(self) -> None:
        """Let nothing new out."""
        self._closed = True
        if not self._out:
            self._empty.set()

    async def drained(self) -> None:
        """Wait, after ``close``, until nothing is out."""
        await self._empty.wait()

    def older_than(self, seconds: float) -> tuple[int, ...]:
        """Return the rows that have been out for longer than ``seconds``."""
        before = self._clock() - seconds
        return tuple(dict.fromkeys(row for row, since in self._out.values() if since < before))

    def gated(self, post: Post) -> Post:
        """Return a layer that lets attempts out while the gate is open; those that come later wait to be cancelled."""

        async def pass_through(request: Request) -> Reply:
            if self._closed:
                await anyio.sleep_forever()
            self._passed = number = self._passed + 1
            self._out[number] = request.row, self._clock()
            try:
                return await post(request)
            finally:
                del self._out[number]
                if self._closed and not self._out:
                    self._empty.set()

        return pass_through
