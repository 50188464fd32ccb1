"""How much media may be in memory at once: a layer before which requests wait until what they show has room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from pipeline.client.body import shown_by

if TYPE_CHECKING:
    from pipeline.client.loader import Loader
    from pipeline.records import Post, Reply, Request

ROOM_BYTES = 512 * 1024**2
"""Of media as they are on disk. On its way out each takes about four times that: the bytes, their base64, and the body around it."""


class Room:
    """A number of bytes that requests share. They get theirs in the order in which they come; one that wants more than all gets all."""

    def __init__(self, size: int = ROOM_BYTES) -> None:
        self._size = self._free = size
        self._next = anyio.Lock()
        self._given_back = anyio.Event()

    @asynccontextmanager
    async def taken(self, wanted: int) -> AsyncIterator[None]:
        """Wait for so many bytes, and hold them."""
        wanted = min(wanted, self._size)
        async with self._next:
            while self._free < wanted:
                self._given_back = anyio.Event()
                await self._given_back.wait()
            self._free -= wanted
        try:
            yield
        finally:
            self._free += wanted
            self._given_back.set()


def fitting(post: Post, room: Room, loader: Loader) -> Post:
    """Return a layer that lets a request pass when there is room for its media; one without any passes at once."""

    async def fit(request: Request) -> Reply:
        wanted = sum(loader.held_bytes(media) for media in shown_by(request))
        if not wanted:
            return await post(request)
        async with room.taken(wanted):
            return await post(request)

    return fit
