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

MAX_BODY = 64 * 1024 * 1024
WAITING_REQUESTS = 16

_REASONS: Mapping[int, bytes] = {status.value: status.phrase.encode() for status in HTTPStatus}


def head_of(status: int, headers: Mapping[str, str]) -> bytes:
    """The status line and the headers."""
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, _REASONS.get(status, b"Unknown"))]
    lines += [f"{name}: {value}\r\n".encode("latin-1", "replace") for name, value in headers.items()]
    lines.append(b"\r\n")
    return b"".join(lines)


class Exchange:
    """One request, and the right to answer it."""

    __slots__ = ("body", "connection", "headers", "method", "path", "query", "too_large")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.method = ""
        self.path = ""
        self.query = ""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.too_large = False

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


class Connection(asyncio.Protocol):
    """Reads requests one after another and has each answered before the next."""

    transport: asyncio.Transport

    def __init__(self, handle: Callable[[Exchange], None], known: set[Connection]) -> None:
        self._handle = handle
        self._known = known
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Exchange] = deque()
        self._busy = False
        self._last = False
        self._exchange = Exchange(self)
        self._chunks: list[bytes] = []
        self._size = 0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._known.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it went makes no difference here
        """The client has gone, also when it only stopped writing; whoever waits for that may go on."""
        self._known.discard(self)
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; what is no HTTP gets 400 and the connection ends."""
        if self._last:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # a client may offer h2c; the request was parsed and is answered in HTTP/1.1
        except (httptools.HttpParserError, UnicodeDecodeError):
            self.refuse(400)

    def refuse(self, status: int) -> None:
        """Answer without reading on, and close."""
        self._last = True
        self.transport.write(head_of(status, {"content-length": "0", "connection": "close", "x-simulated": "true"}))
        self.transport.close()

    def reset(self) -> None:
        """Abort so that the peer sees a reset: close with SO_LINGER at zero."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as twin:
                twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    # the parser's side

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
                self._finish()
        elif expects:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body; too large a body is read to its end, or the client would see a reset instead of 413."""
        self._size += len(body)
        if self._size > MAX_BODY:
            self._exchange.too_large = True
            self._chunks.clear()
        elif not self._last:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        if not self._last:
            self._finish()

    def _finish(self) -> None:
        exchange = self._exchange
        exchange.method = self._parser.get_method().decode("latin-1")
        exchange.body = b"" if exchange.too_large else b"".join(self._chunks)
        if exchange.too_large or not self._parser.should_keep_alive():
            self._last = True
        self._exchange, self._chunks, self._size = Exchange(self), [], 0
        self._waiting.append(exchange)
        if len(self._waiting) > WAITING_REQUESTS:
            self.transport.pause_reading()
        if not self._busy:
            self._next()

    def _next(self) -> None:
        if self._waiting:
            self._busy = True
            self._handle(self._waiting.popleft())

    def answered(self) -> None:
        """The current exchange is over; take the next or close."""
        self._busy = False
        if self.closed.done():
            return
        if self._waiting:
            if len(self._waiting) == WAITING_REQUESTS:
                self.transport.resume_reading()
            self._next()
        elif self._last:
            self.transport.close()
