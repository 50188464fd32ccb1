"""HTTP by stock httpx, for what our own transport does not speak: proxies and HTTP/2; and the fetching of what rows name by URL.

One ``AsyncClient`` with one connection per request in flight, all sharing one TLS context: httpx's connection pool looks
at every connection for every event, which costs 5 ms of CPU per request at 64 in flight and 155 ms at 512; a client that holds a single
connection costs 0.5 ms at either (measured over loopback, httpx 0.28.1).

This is the only module that imports httpx, and the door at which its errors become ours.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import anyio
import httpx

from pipeline.client import exchange
from pipeline.client.dial import distrusted, unsent
from pipeline.client.exchange import Answer
from pipeline.errors import AttemptError, Sent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from types import TracebackType

    from pipeline.client.addresses import Place
    from pipeline.client.exchange import Hear
    from pipeline.spec.rules import Deadlines

CONNECT_S = 10.0  # to one address of a picture's server; there may be more addresses to try
MAX_IDLE = 32  # connections kept open to pictures' servers, which are many

_Line = tuple[str, str, int, str]  # scheme, host, port, address


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
    (UnicodeEncodeError, _Fault("protocol", Sent.NEVER, "a header holds characters that HTTP does not take")),
    (httpx.TimeoutException, _Fault("timeout", Sent.MAYBE, "no answer within the deadline")),
    (httpx.RemoteProtocolError, _Fault("disconnected", Sent.MAYBE, "the server broke off")),
    (httpx.NetworkError, _Fault("disconnected", Sent.MAYBE, "the connection broke")),
    (httpx.DecodingError, _Fault("bad_body", Sent.MAYBE, "the answer's compression is broken")),
    (httpx.TooManyRedirects, _Fault("redirect", Sent.NEVER, "too many redirects")),
    (httpx.HTTPError, _Fault("transport", Sent.MAYBE, "the exchange failed")),
    (httpx.StreamError, _Fault("transport", Sent.MAYBE, "the answer could not be read")),
    (ssl.SSLError, _Fault("disconnected", Sent.MAYBE, "the encryption broke")),  # amid an answer, httpx lets it through
)
# The library for HTTP/2 calls a server's mistakes ours, long after a request has left.
_BY_H2 = _Fault("disconnected", Sent.MAYBE, "the exchange broke")
_HTTP2 = frozenset({"h2", "hyperframe", "hpack"})
_FOREIGN = tuple(kind for kind, _ in _FAULTS)
_PERMANENT = frozenset({"url", "protocol", "redirect"})
UNUSABLE = (httpx.InvalidURL, ValueError, ImportError)
"""What httpx raises when it meets a proxy that it cannot use; the text may hold a password."""
_UNSENT = (*UNUSABLE, OSError)


def authorities() -> ssl.SSLContext:
    """Return whom to trust: certifi's authorities, or those that ``SSL_CERT_FILE`` names."""
    return httpx.create_ssl_context()


class StockHttp(AbstractAsyncContextManager["StockHttp"]):
    """Clients of one connection each, lent to one request at a time. No key, cookie or redirect is ever carried to another host.

    With ``http2`` they speak HTTP/2 where a server does; that needs the package h2. The first client is made at once, so that authorities
    and proxies which cannot be used are found before anything is sent: raises ``OSError`` for the former, ``UNUSABLE`` for the latter.
    """

    def __init__(self, deadlines: Deadlines, *, http2: bool = False) -> None:
        self._deadlines = deadlines
        self._http2 = http2
        # Only for the two steps of connecting, TCP and TLS: httpx closes their socket, which a cancelled handshake would leave open.
        # Its read timeout starts anew with every byte, so from there on `_Timer` counts.
        self._timeout = httpx.Timeout(None, connect=min(deadlines.connect_s, deadlines.total_s / 2))
        self._tls = authorities()
        self._all: list[httpx.AsyncClient] = []
        self._idle = [self._new_client()]

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection, also when the run was cancelled."""
        with anyio.CancelScope(shield=True):
            for client in self._all:
                await client.aclose()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, hear: Hear | None = None) -> Answer:
        """Send one request and return the whole answer; raises ``AttemptError``."""
        with self._lent() as client:
            timer = _Timer(self._deadlines)
            request = partial(client.build_request, "POST", url, headers=dict(headers), content=body)
            return await _exchanged(client, request, timer, hear)

    async def call(self, method: str, url: str, headers: Mapping[str, str]) -> Answer:
        """Send a request without a body, such as a GET, and return the whole answer; raises ``AttemptError``, never as perhaps paid."""
        with self._lent() as client:
            timer = _Timer(self._deadlines, free=True)
            return await _exchanged(client, partial(client.build_request, method, url, headers=dict(headers)), timer)

    @contextmanager
    def _lent(self) -> Iterator[httpx.AsyncClient]:
        client = self._idle.pop() if self._idle else self._new_client()
        try:
            yield client
        finally:
            self._idle.append(client)

    def _new_client(self) -> httpx.AsyncClient:
        # Proxies come from the environment as everywhere; a request goes to one host, so a client needs no second connection.
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0)
        client = httpx.AsyncClient(
            verify=self._tls, timeout=self._timeout, limits=limits, follow_redirects=False, http2=self._http2
        )
        self._all.append(client)
        return client


async def _exchanged(
    client: httpx.AsyncClient, build: Callable[..., httpx.Request], timer: _Timer, hear: Hear | None = None
) -> Answer:
    with timer.scope:
        try:
            response = await client.send(build(extensions={"trace": timer.hear}), stream=True)
            try:
                chunks = [chunk async for chunk in _chunks(response, timer, hear)]
                return Answer(response.status_code, _lowered(response.headers), b"".join(chunks))
            finally:
                await response.aclose()
                # Response and stream hold each other, and with them the request's bytes, until the collector comes by: too late.
                response.stream = httpx.ByteStream(b"")
        except _FOREIGN as error:
            raise translated(error, left=timer.sent is Sent.MAYBE) from error
        except _UNSENT as error:
            if timer.sent is Sent.MAYBE:
                raise
            raise unsent(error) from error
    raise timer.late()


class _Timer:
    """The one timer of an attempt: set to whatever deadline comes next, and never beyond that of the whole attempt.

    With ``free`` the request costs nothing, however far it gets.
    """

    def __init__(self, deadlines: Deadlines, *, free: bool = False) -> None:
        self._deadlines = deadlines
        self._free = free
        self._start = anyio.current_time()
        self._end = self._start + deadlines.total_s
        self.scope = anyio.CancelScope()
        self._left = False  # True once a byte of the request may have left
        self._begin("connection", 2 * deadlines.connect_s)

    async def hear(self, event: str, info: Mapping[str, object]) -> None:
        """Hear httpx say what it does. Before our request, a proxy may get one of its own (CONNECT)."""
        if event.endswith("send_request_headers.started") and getattr(info["request"], "method", None) != b"CONNECT":
            self._left = True
            self._begin("first byte", self._deadlines.first_byte_s)

    @property
    def sent(self) -> Sent:
        """How far the request got, if it ends now without an answer."""
        return Sent.MAYBE if self._left and not self._free else Sent.NEVER

    def piece(self) -> None:
        """A piece of the answer is here; the next one is due."""
        self._begin("next piece", self._deadlines.idle_s)

    def late(self) -> AttemptError:
        """Return the error for the deadline that has passed."""
        phase = "whole attempt" if self.scope.deadline >= self._end else self._phase
        return AttemptError(
            f"no answer within the deadline for the {phase}, after {self.scope.deadline - self._start:g} s",
            kind="timeout" if self._left else "connect",
            sent=self.sent,
            transient=True,
        )

    def _begin(self, phase: str, seconds: float) -> None:
        self._phase = phase
        self.scope.deadline = min(self._end, anyio.current_time() + seconds)


async def _chunks(response: httpx.Response, timer: _Timer, hear: Hear | None) -> AsyncIterator[bytes]:
    size = 0
    timer.piece()
    async for chunk in response.aiter_bytes():
        timer.piece()
        size += len(chunk)
        if size > exchange.MAX_BODY_BYTES:
            raise AttemptError(
                f"the answer is larger than {exchange.MAX_BODY_BYTES // 2**20} MiB",
                kind="bad_body",
                sent=timer.sent,
                transient=False,
            )
        if hear is not None:
            hear(chunk)
        yield chunk


class PinnedHttp(AbstractAsyncContextManager["PinnedHttp"]):
    """Gets what rows name by URL: connects to exactly the address it is given, though the URL names a host.

    httpx's bare transport follows no redirect, keeps no cookie, and takes neither proxy nor password from the environment.
    A connection is used again only for the name its certificate was checked for. ``tls`` says whom to trust.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls or authorities()
        self._idle: list[tuple[_Line, httpx.AsyncHTTPTransport]] = []  # the longest unused one first

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection, also when the run was cancelled."""
        with anyio.CancelScope(shield=True):
            for _, transport in self._idle:
                await transport.aclose()

    async def get(self, place: Place, address: str, max_bytes: int) -> Answer:
        """Return the answer to a GET; raises ``AttemptError``. The whole time is the caller's to bound.

        The body comes as it was sent, not decompressed, and only with status 200; one of more than ``max_bytes`` is refused.
        """
        line = (place.scheme, place.host, place.port, address)
        transport = self._lend(line)
        try:
            return await _got(transport, place, address, max_bytes)
        finally:
            self._idle.append((line, transport))
            if len(self._idle) > MAX_IDLE:
                with anyio.CancelScope(shield=True):
                    await self._idle.pop(0)[1].aclose()

    def _lend(self, line: _Line) -> httpx.AsyncHTTPTransport:
        for index, (known, transport) in enumerate(self._idle):
            if known == line:
                del self._idle[index]
                return transport
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=30.0)
        return httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False, limits=limits)


async def _got(transport: httpx.AsyncHTTPTransport, place: Place, address: str, max_bytes: int) -> Answer:
    url = httpx.URL(scheme=place.scheme, host=address, port=place.port, raw_path=place.target.encode("ascii"))
    headers = {
        "host": place.authority,
        "accept": "*/*",
        "accept-encoding": "identity",
        "user-agent": "responses-pipeline",
    }
    extensions = {"sni_hostname": place.host, "timeout": {"connect": CONNECT_S}}
    try:
        response = await transport.handle_async_request(
            httpx.Request("GET", url, headers=headers, extensions=extensions)
        )
        try:
            content = await _capped(response, max_bytes) if response.status_code == httpx.codes.OK else b""
            return Answer(response.status_code, _lowered(response.headers), content)
        finally:
            await response.aclose()
    except _FOREIGN as error:
        raise translated(error) from error


async def _capped(response: httpx.Response, max_bytes: int) -> bytes:
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    content = bytearray()  # no list: a hostile server can send its bytes one by one, and each object costs forty
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(content)


def _too_large(max_bytes: int) -> AttemptError:
    return AttemptError(f"it is larger than {max_bytes:,} bytes", kind="too_large", sent=Sent.ANSWERED, transient=False)


def translated(error: Exception, *, left: bool = True) -> AttemptError:
    """Return our error for one of httpx's, or of the encryption's, saying how far the request got.

    ``left`` is False where it is known that no byte of it had left.
    """
    fault = next(fault for kind, fault in _FAULTS if isinstance(error, kind))
    causes = _causes(error)
    cause = causes[-1]
    if left and any(type(each).__module__.partition(".")[0] in _HTTP2 for each in causes):
        fault = _BY_H2
    if isinstance(cause, ssl.SSLCertVerificationError):
        return distrusted(cause)
    # What will never do is not quoted: it may be a password amid an address, or a key in a header.
    words = fault.words if fault.kind in _PERMANENT else f"{fault.words}: {str(error) or type(error).__name__}"
    sent = fault.sent if left else Sent.NEVER
    return AttemptError(words, kind=fault.kind, sent=sent, transient=fault.kind not in _PERMANENT)


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and what it came from, the first of all last."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    return causes


def _lowered(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
