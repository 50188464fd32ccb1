"""One client connection: bytes to requests, and the exact bytes of the replies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import cast

import httptools

__all__ = ["MAX_BODY", "Connection", "Exchange", "head_of"]

MAX_BODY = 288 * 1024 * 1024  # a video of 200 MB in base64
WAITING_REQUESTS = 16

_REASONS: Mapping[int, bytes] = {status.value: status.phrase.encode() for status in HTTPStatus}


def head_of(status: int, headers: Mapping[str, str]) -> bytes:
    """The status line and the headers."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    first = b"HTTP/1.1 %d %b\r\n" % (status, _REASONS.get(status, b"Unknown"))
    return b"%b%b\r\n" % (first, lines.encode("latin-1", "replace"))


class Exchange:
    """One request, and the right to answer it."""

    __slots__ = ("body", "connection", "headers", "last", "method", "path", "query", "too_large")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.method = ""
        self.path = ""
        self.query = ""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.too_large = False
        self.last = False

    @property
    def gone(self) -> bool:
        """Whether the client has left, so that nobody reads the answer."""
        return self.connection.closed.done()

    def write(self, data: bytes) -> None:
        """Hand bytes to the socket."""
        if not self.gone:
            self.connection.transport.write(data)

    def close(self) -> None:
        """End the connection in order, after what was written."""
        self.connection.transport.close()

    def reset(self) -> None:
        """End the connection with RST, as a crashed peer does."""
        self.connection.reset()


class RequestReader:
    """Makes requests of bytes that may be cut anywhere."""

    def __init__(self, connection: Connection, done: Callable[[Exchange], None]) -> None:
        self._connection = connection
        self._done = done
        self._parser = httptools.HttpRequestParser(self)
        self._exchange = Exchange(connection)
        self._chunks: list[bytes] = []
        self._size = 0
        self.last = False
        """Whether no further request may come on this connection."""

    def feed(self, data: bytes) -> bool:
        """Take some bytes; False when they are no HTTP."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # a client may offer h2c; the request was parsed and is answered in HTTP/1.1
        except httptools.HttpParserError:
            return False
        return True

    def on_url(self, url: bytes) -> None:
        """The request line's target, in one or more pieces."""
        path, _, query = url.decode("latin-1").partition("?")
        self._exchange.path += path
        self._exchange.query += query

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._exchange.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Judge the announced size before the body comes."""
        headers = self._exchange.headers
        announced = headers.get(b"content-length", b"0")
        expects = headers.get(b"expect", b"").lower() == b"100-continue"
        if announced.isdigit() and int(announced) > MAX_BODY:
            self._exchange.too_large = True
            if expects:  # such a client has not sent the body yet and need not
                self._finish(last=True)
        elif expects:
            self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body; too large a body is read to its end, or the client would see a reset instead of 413."""
        self._size += len(body)
        if self._size > MAX_BODY:
            self._exchange.too_large = True
            self._chunks.clear()
        elif not self.last:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if not self.last:
            self._finish(last=not self._parser.should_keep_alive())

    def _finish(self, *, last: bool) -> None:
        exchange = self._exchange
        exchange.method = self._parser.get_method().decode("latin-1")
        exchange.body = b"" if exchange.too_large else b"".join(self._chunks)
        exchange.last = self.last = last
        self._exchange, self._chunks, self._size = Exchange(self._connection), [], 0
        self._done(exchange)


class Connection(asyncio.Protocol):
    """Has the requests of one client answered, each before the next."""

    transport: asyncio.Transport

    def __init__(self, handle: Callable[[Exchange], None], known: set[Connection]) -> None:
        self._handle = handle
        self._known = known
        self._reader = RequestReader(self, self._take)
        self._waiting: deque[Exchange] = deque()
        self._busy = False
        self._refused = False
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._known.add(self)

    def eof_received(self) -> None:
        """The client writes no more, which ends the connection; whoever waits for that goes on before others are answered."""
        self._end()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it went makes no difference here
        """The client has gone."""
        self._known.discard(self)
        self._end()

    def _end(self) -> None:
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Read on; what is no HTTP gets 400 and the connection ends."""
        if not self._refused and not self._reader.feed(data):
            self.refuse(400)

    def refuse(self, status: int) -> None:
        """Answer without reading on, and close."""
        self._refused = True
        self.transport.write(head_of(status, {"content-length": "0", "connection": "close", "x-simulated": "true"}))
        self.transport.close()

    def reset(self) -> None:
        """Abort so that the peer sees a reset: close with SO_LINGER at zero."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as twin:
                twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def answered(self) -> None:
        """The current exchange is over; take the next or close."""
        self._busy = False
        if self.closed.done():
            return
        if self._waiting:
            if len(self._waiting) == WAITING_REQUESTS:
                self.transport.resume_reading()
            self._next()
        elif self._reader.last:
            self.transport.close()

    def _take(self, exchange: Exchange) -> None:
        self._waiting.append(exchange)
        if len(self._waiting) > WAITING_REQUESTS:
            self.transport.pause_reading()
        if not self._busy:
            self._next()

    def _next(self) -> None:
        self._busy = True
        self._handle(self._waiting.popleft())
