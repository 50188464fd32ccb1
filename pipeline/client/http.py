"""The one seam for HTTP: bytes out, bytes in, and an exact word on how far a request got.

Stock httpx, but one ``AsyncClient`` with one connection per request in flight, all sharing one TLS context: httpx's connection pool looks
at every connection for every event, which costs 5 ms of CPU per request at 64 in flight and 155 ms at 512; a client that holds a single
connection costs 0.5 ms at either (measured over loopback, httpx 0.28.1).

This is the only module that imports httpx, and the door at which its errors become ours. What matters is how far the request got: an
attempt that never left is free, one that left and got no whole answer may have been paid.
"""

from __future__ import annotations

import ssl
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import anyio
import httpx

from pipeline.errors import AttemptError, Sent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from types import TracebackType

    from pipeline.spec.job import Deadlines

MAX_BODY_BYTES = 64 * 1024 * 1024  # of an answer, decoded; a long answer with logprobs has some megabytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer: status, headers by lower-case name, decoded body."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Http(Protocol):
    """What the client needs of a transport."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request and return the whole answer, or raise ``AttemptError`` saying how far it got."""


@dataclass(frozen=True, slots=True)
class _Fault:
    kind: str
    sent: Sent
    words: str


# Most specific first. Every class that httpx can raise for a request is one of these or a subclass; a test walks them.
_FAULTS: tuple[tuple[type[Exception], _Fault], ...] = (
    (httpx.ConnectTimeout, _Fault("connect", Sent.NEVER, "no connection within the deadline")),
    (httpx.PoolTimeout, _Fault("connect", Sent.NEVER, "no free connection")),
    (httpx.ConnectError, _Fault("connect", Sent.NEVER, "cannot connect")),
    (httpx.ProxyError, _Fault("proxy", Sent.NEVER, "the proxy refused")),
    (httpx.UnsupportedProtocol, _Fault("url", Sent.NEVER, "the address is not http or https")),
    (httpx.LocalProtocolError, _Fault("protocol", Sent.NEVER, "the request could not be put into HTTP")),
    (httpx.InvalidURL, _Fault("url", Sent.NEVER, "the address is no URL")),
    (httpx.TimeoutException, _Fault("timeout", Sent.MAYBE, "no answer within the deadline")),
    (httpx.RemoteProtocolError, _Fault("disconnected", Sent.MAYBE, "the server broke off")),
    (httpx.NetworkError, _Fault("disconnected", Sent.MAYBE, "the connection broke")),
    (httpx.DecodingError, _Fault("bad_body", Sent.MAYBE, "the answer's compression is broken")),
    (httpx.TooManyRedirects, _Fault("redirect", Sent.NEVER, "too many redirects")),
    (httpx.HTTPError, _Fault("transport", Sent.MAYBE, "the exchange failed")),
    (httpx.StreamError, _Fault("transport", Sent.MAYBE, "the answer could not be read")),
)
_PERMANENT = frozenset({"url", "protocol", "redirect"})


class StockHttp(AbstractAsyncContextManager["StockHttp"]):
    """Clients of one connection each, lent to one request at a time. No key, cookie or redirect is ever carried to another host."""

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._timeout = httpx.Timeout(None, connect=deadlines.connect_s)
        self._tls = httpx.create_ssl_context()  # certifi's authorities, or those of SSL_CERT_FILE
        self._idle: list[httpx.AsyncClient] = []
        self._all: list[httpx.AsyncClient] = []

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection, also when the run was cancelled."""
        with anyio.CancelScope(shield=True):
            for client in self._all:
                await client.aclose()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send one request and return the whole answer; raises ``AttemptError``."""
        client = self._idle.pop() if self._idle else self._new_client()
        try:
            return await self._exchange(client, url, headers, body)
        finally:
            self._idle.append(client)

    def _new_client(self) -> httpx.AsyncClient:
        # Proxies come from the environment as everywhere; a request goes to one host, so a client needs no second connection.
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0)
        client = httpx.AsyncClient(verify=self._tls, timeout=self._timeout, limits=limits, follow_redirects=False)
        self._all.append(client)
        return client

    async def _exchange(self, client: httpx.AsyncClient, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """One timer bounds the attempt: it is set to whatever deadline comes next, and never beyond the total."""
        start = anyio.current_time()
        end = start + self._deadlines.total_s
        phase = "first byte"
        with anyio.CancelScope(
            deadline=min(end, start + self._deadlines.connect_s + self._deadlines.first_byte_s)
        ) as timer:
            try:
                request = client.build_request("POST", url, headers=dict(headers), content=body)
                response = await client.send(request, stream=True)
                try:
                    phase = "next piece"
                    chunks = []
                    async for chunk in self._chunks(response, timer, end):
                        chunks.append(chunk)  # noqa: PERF401 - an async comprehension would hide that this is where the time goes
                    return Answer(response.status_code, _lowered(response.headers), b"".join(chunks))
                finally:
                    await response.aclose()
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
                raise translated(error) from error
        raise _late(phase, anyio.current_time() - start, total=anyio.current_time() >= end)

    async def _chunks(self, response: httpx.Response, timer: anyio.CancelScope, end: float) -> AsyncIterator[bytes]:
        size = 0
        timer.deadline = min(end, anyio.current_time() + self._deadlines.idle_s)
        async for chunk in response.aiter_bytes():
            timer.deadline = min(end, anyio.current_time() + self._deadlines.idle_s)
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                raise AttemptError(
                    f"the answer is larger than {MAX_BODY_BYTES // 2**20} MiB",
                    kind="bad_body",
                    sent=Sent.ANSWERED,
                    transient=False,
                )
            yield chunk


def translated(error: Exception) -> AttemptError:
    """Return our error for one of httpx's, saying how far the request got."""
    fault = next(fault for kind, fault in _FAULTS if isinstance(error, kind))
    cause = _root(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return AttemptError(
            f"the server's certificate is not trusted: {cause.verify_message}",
            kind="certificate",
            sent=Sent.NEVER,
            transient=False,
            scope="run",
            hint="check provider.base_url; a company's own authority is named by SSL_CERT_FILE",
        )
    detail = str(error) or type(error).__name__
    return AttemptError(
        f"{fault.words}: {detail}", kind=fault.kind, sent=fault.sent, transient=fault.kind not in _PERMANENT
    )


def _root(error: BaseException) -> BaseException:
    seen = {id(error)}
    while (cause := error.__cause__ or error.__context__) is not None and id(cause) not in seen:
        seen.add(id(cause))
        error = cause
    return error


def _late(phase: str, seconds: float, *, total: bool) -> AttemptError:
    which = "the whole attempt" if total else f"the {phase}"
    return AttemptError(
        f"no answer within the deadline for {which}, after {seconds:.0f} s",
        kind="timeout",
        sent=Sent.MAYBE,
        transient=True,
    )


def _lowered(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
