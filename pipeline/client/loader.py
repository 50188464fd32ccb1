"""How each picture, video and file of a request leaves: as its URL, or as bytes that are read or fetched, and prepared."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

import anyio

from pipeline.client.fetch import Fetcher, FetchRules
from pipeline.errors import MediaError
from pipeline.media.attachments import Attachment, VideoRules, attach_file, attach_video
from pipeline.media.cache import PreparedCache
from pipeline.media.heap import keep_freed_memory
from pipeline.media.load import LARGEST_SOURCE, labelled, read_media
from pipeline.media.prepare import ImageRules, PreparedImage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from pipeline.records import Media, MediaKind
    from pipeline.spec.rules import MediaRules
    from pipeline.wire.dialect import Dialect

Inline = PreparedImage | Attachment
"""Bytes that go into a body, with their media type."""

KEPT_BYTES = 128 * 1024 * 1024
"""Of changed pictures, for further rows that show the same one."""

AT_ONCE = 4
"""Media of one request that are fetched or prepared at the same time."""

_ANY_PORT = range(1, 65536)
_DOWNLOAD_S: Mapping[MediaKind, float] = {"image": 60.0, "file": 120.0, "video": 600.0}
_GUESSED_BYTES: Mapping[MediaKind, int] = {"image": 1024**2, "file": 8 * 1024**2, "video": 64 * 1024**2}  # of a URL


def image_rules(rules: MediaRules, dialect: Dialect) -> ImageRules:
    """Return what a picture must be like when it leaves, by the job's rules and the dialect's limits."""
    limits = (dialect.image_formats, dialect.max_image_bytes)
    return ImageRules(*limits, rules.max_side, rules.animated, rules.convert)


def largest_source(rules: MediaRules, dialect: Dialect) -> int:
    """Return how many bytes a picture may have before it is prepared: more than may be sent only where it is made smaller."""
    shrinks = rules.max_side is not None or rules.convert
    return max(LARGEST_SOURCE, dialect.max_image_bytes) if shrinks else dialect.max_image_bytes


def video_rules(dialect: Dialect) -> VideoRules:
    """Return what a video must be like, by the dialect's limits."""
    return VideoRules(dialect.video_formats, dialect.max_video_bytes, dialect.max_video_s)


def largest_bytes(rules: MediaRules, dialect: Dialect) -> Mapping[MediaKind, int]:
    """Return how many bytes media of each kind may have before they are prepared."""
    return {
        "image": largest_source(rules, dialect),
        "video": dialect.max_video_bytes,
        "file": dialect.max_file_bytes,
    }


def not_a_url(media: Media) -> MediaError:
    """Return the error for media that would have to leave as bytes where the job sends nothing but URLs."""
    return MediaError(f"{media.label} is no URL, and media.send is url", hint="set media.send to auto")


class Loader(AbstractAsyncContextManager["Loader"]):
    """The media of a run on their way out, read and prepared in as many threads as there are cores, fetched where the job allows it.

    Pictures are prepared once. Videos and files leave as they are: to look at them costs less than to read them.
    """

    def __init__(self, rules: MediaRules, dialect: Dialect) -> None:
        self._send = rules.send
        images, videos, prepared = image_rules(rules, dialect), video_rules(dialect), PreparedCache(KEPT_BYTES)
        self._largest = largest_bytes(rules, dialect)
        fetches = rules.fetch and rules.send != "url"
        self._fetchers: Mapping[MediaKind, Fetcher] = {
            kind: _fetcher(rules, kind, largest)
            for kind, largest in self._largest.items()
            if fetches and f"input_{kind}" in dialect.parts
        }
        self._preparing: Mapping[MediaKind, Callable[[Media, bytes], Inline]] = {
            "image": lambda _, data: prepared.prepare(data, images),
            "video": lambda _, data: attach_video(data, videos),
            "file": lambda media, data: attach_file(data, media.filename, dialect.max_file_bytes),
        }
        self._threads = ThreadPoolExecutor(os.cpu_count() or 1, "media", keep_freed_memory)
        self._out_of_reach: set[str] = set()  # URLs that the provider could not download

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections of the downloads, and start no further work."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for fetcher in self._fetchers.values():
            await fetcher.__aexit__(kind, error, trace)

    def goes_as_url(self, media: Media) -> bool:
        """Tell whether media leave as their URL, for the provider to download."""
        return media.url is not None and self._send != "inline" and media.url not in self._out_of_reach

    def held_bytes(self, media: Media) -> int:
        """Return about how many bytes media have when they leave; 0 as a URL."""
        if self.goes_as_url(media):
            return 0
        size = _GUESSED_BYTES[media.kind] if media.size is None else media.size
        return min(size, self._largest[media.kind])  # what is larger is refused before it is read

    def could_not_download(self, urls: Iterable[str]) -> None:
        """Note URLs that the provider could not download: from now on they are fetched here, if the job allows it."""
        if self._fetchers:
            self._out_of_reach.update(urls)

    async def inline(self, media: Media) -> Inline:
        """Return media as their bytes are to be sent; raises ``MediaError``, ``transient`` where a download may do better later."""
        fetcher = self._fetchers.get(media.kind)
        if media.url is not None and fetcher is not None:
            data = await fetcher.fetch(media.url)
            return await self._in_thread(self._prepare, media, data)
        if self._send == "url":
            raise not_a_url(media)
        return await self._in_thread(self._read, media)

    async def _in_thread(self, work: Callable[..., Inline], *given: object) -> Inline:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work, *given)

    async def inline_all(self, wanted: Sequence[Media]) -> list[Inline]:
        """Return the media of one request in their order, a few at a time; raises the ``MediaError`` of the first that fails.

        They are begun in their order, and none after a failure: so every one before the first that fails has been tried.
        """
        if len(wanted) == 1:  # most rows show one, and a group of tasks takes longer than to read it
            return [await self.inline(wanted[0])]
        loaded: dict[int, Inline] = {}
        failures: dict[int, MediaError] = {}
        waiting = iter(enumerate(wanted))

        async def work() -> None:
            for index, media in waiting:
                if failures:
                    return
                try:
                    loaded[index] = await self.inline(media)
                except MediaError as error:
                    failures[index] = error

        async with anyio.create_task_group() as group:
            for _ in range(min(AT_ONCE, len(wanted))):
                group.start_soon(work)
        if failures:
            raise failures[min(failures)]
        return [loaded[index] for index in range(len(wanted))]

    def _read(self, media: Media) -> Inline:
        return self._prepare(media, read_media(media, self._largest[media.kind]))

    def _prepare(self, media: Media, data: bytes) -> Inline:
        with labelled(media):
            return self._preparing[media.kind](media, data)


def _fetcher(rules: MediaRules, kind: MediaKind, max_bytes: int) -> Fetcher:
    limits = FetchRules(max_bytes, timeout_s=_DOWNLOAD_S[kind])
    return Fetcher(replace(limits, allow_private=True, ports=_ANY_PORT) if rules.allow_private else limits)
