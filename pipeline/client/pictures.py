"""How each picture of a request leaves: as its URL, or as bytes that are read or fetched, and prepared."""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from pipeline.client.fetch import Fetcher, FetchRules
from pipeline.errors import MediaError
from pipeline.media.cache import PreparedCache
from pipeline.media.load import LARGEST_SOURCE, read_media
from pipeline.media.prepare import ImageRules, PreparedImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from pipeline.records import Media
    from pipeline.spec.rules import MediaRules
    from pipeline.wire.dialect import Dialect

KEPT_BYTES = 128 * 1024 * 1024
"""Of changed pictures, for further rows that show the same one."""

AT_ONCE = 4
"""Pictures of one request that are fetched or prepared at the same time."""

_ANY_PORT = range(1, 65536)


def image_rules(rules: MediaRules, dialect: Dialect) -> ImageRules:
    """Return what a picture must be like when it leaves, by the job's rules and the dialect's limits."""
    limits = (dialect.image_formats, dialect.max_image_bytes)
    return ImageRules(*limits, rules.max_side, rules.animated, rules.convert)


def largest_source(rules: MediaRules, dialect: Dialect) -> int:
    """Return how many bytes a picture may have before it is prepared: more than may be sent only where it is made smaller."""
    shrinks = rules.max_side is not None or rules.convert
    return max(LARGEST_SOURCE, dialect.max_image_bytes) if shrinks else dialect.max_image_bytes


class Pictures(AbstractAsyncContextManager["Pictures"]):
    """The pictures of a run on their way out: prepared once, in as many threads as there are cores, fetched where the job allows it."""

    def __init__(self, rules: MediaRules, dialect: Dialect) -> None:
        self._send = rules.send
        self._rules = image_rules(rules, dialect)
        self._largest = largest_source(rules, dialect)
        self._fetcher = _fetcher(rules, self._largest) if rules.fetch and rules.send != "url" else None
        self._prepared = PreparedCache(KEPT_BYTES)
        self._threads = anyio.CapacityLimiter(os.cpu_count() or 1)
        self._out_of_reach: set[str] = set()  # URLs that the provider could not download

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections of the downloads."""
        if self._fetcher is not None:
            await self._fetcher.__aexit__(kind, error, trace)

    def goes_as_url(self, media: Media) -> bool:
        """Tell whether a picture leaves as its URL, for the provider to download."""
        return media.url is not None and self._send != "inline" and media.url not in self._out_of_reach

    def could_not_download(self, urls: Iterable[str]) -> None:
        """Note URLs that the provider could not download: from now on they are fetched here, if the job allows it."""
        if self._fetcher is not None:
            self._out_of_reach.update(urls)

    async def inline(self, media: Media) -> PreparedImage:
        """Return a picture as its bytes are to be sent; raises ``MediaError``, ``transient`` where a download may do better later."""
        if media.url is not None and self._fetcher is not None:
            data = await self._fetcher.fetch(media.url)
            return await anyio.to_thread.run_sync(self._prepare, media, data, limiter=self._threads)
        if self._send == "url":
            raise MediaError(f"{media.label} is no URL, and media.send is url", hint="set media.send to auto")
        return await anyio.to_thread.run_sync(self._read, media, limiter=self._threads)

    async def inline_all(self, wanted: Sequence[Media]) -> list[PreparedImage]:
        """Return the pictures of one request in their order, a few at a time; raises the ``MediaError`` of the first that fails.

        They are begun in their order, and none after a failure: so every one before the first that fails has been tried.
        """
        images: dict[int, PreparedImage] = {}
        failures: dict[int, MediaError] = {}
        waiting = iter(enumerate(wanted))

        async def work() -> None:
            for index, media in waiting:
                if failures:
                    return
                try:
                    images[index] = await self.inline(media)
                except MediaError as error:
                    failures[index] = error

        async with anyio.create_task_group() as group:
            for _ in range(min(AT_ONCE, len(wanted))):
                group.start_soon(work)
        if failures:
            raise failures[min(failures)]
        return [images[index] for index in range(len(wanted))]

    def _read(self, media: Media) -> PreparedImage:
        return self._prepare(media, read_media(media, self._largest))

    def _prepare(self, media: Media, data: bytes) -> PreparedImage:
        try:
            return self._prepared.prepare(data, self._rules)
        except MediaError as error:
            raise MediaError(f"{media.label}: {error.message}", hint=error.hint, transient=error.transient) from error


def _fetcher(rules: MediaRules, max_bytes: int) -> Fetcher:
    if rules.allow_private:
        return Fetcher(FetchRules(max_bytes, allow_private=True, ports=_ANY_PORT))
    return Fetcher(FetchRules(max_bytes))
