"""The gate in front of the wire: what is beyond it may be paid for.

Closing it lets nothing new out and lets what is out come home, which is how a run ends on a signal, a refusal or a full disk without
throwing away answers that are on their way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from pipeline.records import Post, Reply, Request


class Gate:
    """Counts what is in flight, by row and sample and since when (seconds of the loop's clock)."""

    def __init__(self) -> None:
        self._out: dict[tuple[int, int], float] = {}
        self._closed = False
        self._empty = anyio.Event()

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
        before = anyio.current_time() - seconds
        return tuple(dict.fromkeys(row for (row, _), since in self._out.items() if since < before))

    def gated(self, post: Post) -> Post:
        """Return a layer that lets attempts out while the gate is open; those that come later wait to be cancelled."""

        async def pass_through(request: Request) -> Reply:
            if self._closed:
                await anyio.sleep_forever()
            place = (request.row, request.sample)
            self._out[place] = anyio.current_time()
            try:
                return await post(request)
            finally:
                del self._out[place]
                if self._closed and not self._out:
                    self._empty.set()

        return pass_through
