"""Download what a row names by URL, where the pipeline itself has to: each content once, and from nowhere private.

A fetch is four functions, one inside the other, each with one concern: ``fetch`` (memory and company: who else wants
this URL), ``_download`` (attempts), ``_attempt`` (deadline and redirects), ``_get`` (one place: its addresses, judged and
connected to as they were judged).

No setting of the environment reaches these requests except ``SSL_CERT_FILE``: behind a proxy, a judged address would mean
nothing.
"""

from __future__ import annotations

import random
import socket
import time
import zlib
from collections import OrderedDict
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import responses
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from pipeline.client.addresses import DEFAULT_PORTS, Lookup, Place, lookup, place_of, require_public
from pipeline.client.backoff import full_jitter
from pipeline.client.exchange import Answer
from pipeline.client.http import PinnedHttp
from pipeline.errors import AttemptError, MediaError, Sent
from pipeline.wire.signals import failure
from pipeline.wire.wording import presentable

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from types import TracebackType

MAX_REDIRECTS = 3
MAX_RETRY_AFTER_S = 30.0  # a server that asks for more is not waited for: the row's request would be long overdue
BACKOFF_S = 0.5
MAX_BACKOFF_S = 8.0
LOOKUPS = 16  # threads that resolve names: some take half a minute, and must not be all that the process has

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_GZIP = 16 + zlib.MAX_WBITS  # zlib's way to say: a gzip header, and its trailer checked
_SHOWN = 120  # characters of a URL in a message


@dataclass(frozen=True, slots=True)
class FetchRules:
    """What may be fetched, and with how much patience."""

    max_bytes: int = 64 * 1024 * 1024
    """Of one content, both as it is sent and decompressed."""
    timeout_s: float = 60.0
    """For one attempt from the name's lookup to the last byte, redirects included."""
    attempts: int = 3
    """For one URL, the first included."""
    allow_private: bool = False
    """Whether rows may name this machine and its network. Only for rows that are trusted."""
    ports: Container[int] = frozenset(DEFAULT_PORTS.values())
    """Where rows may send us."""
    cache_bytes: int = 128 * 1024 * 1024
    """Of contents kept in memory for further rows that name the same URL."""


@dataclass(frozen=True, slots=True)
class FetchStatistics:
    """What a fetcher has done so far. ``cache_hits`` counts the fetches that needed no download of their own."""

    fetched: int
    bytes: int
    cache_hits: int


class Fetcher(AbstractAsyncContextManager["Fetcher"]):
    """Fetches URLs for many rows at once. ``http`` is closed with it; ``lookup`` finds the addresses of a name."""

    def __init__(
        self,
        rules: FetchRules,
        *,
        http: PinnedHttp | None = None,
        lookup: Lookup = lookup,
        rng: random.Random | None = None,
    ) -> None:
        self._rules = rules
        self._http = http or PinnedHttp()
        self._lookup = lookup
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._lookups = anyio.CapacityLimiter(LOOKUPS)
        self._cache = _Cache(rules.cache_bytes)
        self._flights: dict[str, _Flight] = {}
        self._fetched = self._bytes = self._cache_hits = 0

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self._http.__aexit__(kind, error, trace)

    def statistics(self) -> FetchStatistics:
        """Return what was done so far."""
        return FetchStatistics(self._fetched, self._bytes, self._cache_hits)

    async def fetch(self, url: str) -> bytes:
        """Return what is at ``url``; raises ``MediaError``, ``transient`` where another time may do better.

        Rows that ask while the same URL is on its way share its content or its failure.
        """
        while (data := self._cache.get(url)) is None:
            flight = self._flights.get(url)
            if flight is None:
                return await self._lead(url)
            data = await flight.outcome()
            if data is not None:
                break
        self._cache_hits += 1
        return data

    async def _lead(self, url: str) -> bytes:
        """Download for this row and all that join. If this row is cancelled, one of them leads, from the start."""
        flight = self._flights[url] = _Flight()
        try:
            data = flight.data = await self._download(url)
        except MediaError as error:
            flight.error = error
            raise
        finally:
            del self._flights[url]
            flight.landed.set()
        self._cache.put(url, data)
        self._fetched += 1
        self._bytes += len(data)
        return data

    async def _download(self, url: str) -> bytes:
        failures = 0
        while True:
            try:
                return await self._attempt(url)
            except (MediaError, AttemptError) as error:
                failures += 1
                wait_s = self._wait_s(error, failures)
                if wait_s is None:
                    hint = error.hint if isinstance(error, MediaError) else None  # others speak of the provider
                    message = f"cannot fetch {_shown(url)}: {presentable(error.message)}"
                    raise MediaError(message, hint=hint, transient=error.transient) from error
            await anyio.sleep(wait_s)

    def _wait_s(self, error: MediaError | AttemptError, failures: int) -> float | None:
        """Return the seconds until another attempt, or None when there is none."""
        if not error.transient or failures >= self._rules.attempts:
            return None
        asked_s = error.retry_after_s if isinstance(error, AttemptError) else None
        if asked_s is None:
            return full_jitter(BACKOFF_S, failures, MAX_BACKOFF_S, self._rng)
        return asked_s if asked_s <= MAX_RETRY_AFTER_S else None

    async def _attempt(self, url: str) -> bytes:
        with anyio.move_on_after(self._rules.timeout_s):  # of all of it, so that no trickle of bytes extends it
            place = place_of(url, self._rules.ports)
            for _ in range(1 + MAX_REDIRECTS):
                answer = await self._get(place)
                if answer.status not in _REDIRECTS:
                    return await self._content(answer)
                place = place.redirected(answer.headers.get("location"), self._rules.ports)
            raise MediaError(f"it redirects more than {MAX_REDIRECTS} times")
        raise AttemptError(
            f"it is not here after {self._rules.timeout_s:g} s", kind="timeout", sent=Sent.MAYBE, transient=True
        )

    async def _get(self, place: Place) -> Answer:
        *others, last = await self._addresses(place)
        for address in others:
            try:
                return await self._http.get(place, address, self._rules.max_bytes)
            except AttemptError as error:
                if error.kind != "connect":
                    raise
        return await self._http.get(place, last, self._rules.max_bytes)

    async def _addresses(self, place: Place) -> Sequence[str]:
        try:
            found = await anyio.to_thread.run_sync(
                self._lookup, place.host, place.port, abandon_on_cancel=True, limiter=self._lookups
            )
        except OSError as error:
            raise AttemptError(
                f"no address is known for {place.host}: {error.strerror or error}",
                kind="lookup",
                sent=Sent.NEVER,
                transient=error.errno == socket.EAI_AGAIN,
            ) from error
        if not self._rules.allow_private:
            require_public(place.host, found)
        return found

    async def _content(self, answer: Answer) -> bytes:
        if answer.status != HTTPStatus.OK:
            words = f"the server says {answer.status} {responses.get(answer.status, '')}"
            raise failure(answer.status, answer.headers, words, now=time.time())
        encoding = answer.headers.get("content-encoding", "").strip().lower()
        if encoding in {"", "identity"}:
            return answer.content
        if encoding not in {"gzip", "x-gzip"}:
            raise MediaError(f"it comes compressed as {presentable(encoding, 40)}, which was not asked for")
        return await anyio.to_thread.run_sync(_gunzipped, answer.content, self._rules.max_bytes)


@dataclass(slots=True)
class _Flight:
    """One download under way. It lands without data and error when the row that led it is cancelled."""

    landed: anyio.Event = field(default_factory=anyio.Event)
    data: bytes | None = None
    error: MediaError | None = None

    async def outcome(self) -> bytes | None:
        """Wait until it lands, and return its data; raises an error of the caller's own, for tracebacks grow."""
        await self.landed.wait()
        if self.error is not None:
            raise MediaError(self.error.message, hint=self.error.hint, transient=self.error.transient)
        return self.data


class _Cache:
    """The contents used last, never more than ``max_bytes`` of them with their URLs."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._contents: OrderedDict[str, bytes] = OrderedDict()

    def get(self, url: str) -> bytes | None:
        """Return a content that is kept, which is then the one used last."""
        if url in self._contents:
            self._contents.move_to_end(url)
        return self._contents.get(url)

    def put(self, url: str, content: bytes) -> None:
        """Keep a content that is not kept yet, in the place of the longest unused ones; one without any place passes by."""
        if len(url) + len(content) > self._max_bytes:
            return
        self._contents[url] = content
        self._size += len(url) + len(content)
        while self._size > self._max_bytes:
            oldest, dropped = self._contents.popitem(last=False)
            self._size -= len(oldest) + len(dropped)


def _gunzipped(content: bytes, max_bytes: int) -> bytes:
    """Return the one member of a gzip file, its length and checksum verified, which httpx does not do. Blocking."""
    inflate = zlib.decompressobj(_GZIP)
    try:
        data = inflate.decompress(content, max_bytes + 1)
    except zlib.error as error:
        raise _broken(str(error)) from error
    if len(data) > max_bytes:
        raise MediaError(f"it is larger than {max_bytes:,} bytes when decompressed")
    if not inflate.eof:
        raise _broken("it ends early")
    if inflate.unused_data:
        raise _broken("something follows its end")
    return data


def _broken(reason: str) -> AttemptError:
    return AttemptError(f"its compression is broken: {reason}", kind="bad_body", sent=Sent.ANSWERED, transient=True)


def _shown(url: str) -> str:
    """Return a URL as messages have it: short, and without its query, which may be a signature that is as good as a key."""
    address = url.partition("#")[0].partition("?")[0]
    return presentable(address, _SHOWN)
