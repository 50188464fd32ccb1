"""Our own HTTP/1.1 client: connections of ``client.connection``, lent to one request at a time.

It exists for its cost, a tenth of a stock client's, and because it alone knows to the byte how far a request got. It speaks to the server
itself, over no proxy; it follows no redirect, keeps no cookie and never asks twice. It asks for answers that are not packed.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv6Address
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import anyio

from pipeline.client.connection import Connection
from pipeline.client.dial import dial, unsent
from pipeline.errors import AttemptError, Sent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from pipeline.client.exchange import Answer, Hear
    from pipeline.spec.rules import Deadlines

_PORTS = {"http": 80, "https": 443}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?")
_KEPT = "/:@!$&'()*+,;=~%?[]"  # of a path and a query; quoted already, or in need of no quotes
_FRAMING = frozenset({"content-length", "transfer-encoding"})
_USUAL = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "responses-pipeline"}


@dataclass(slots=True, eq=False)
class _Server:
    """Where requests go, and the connections that lie idle there, the last one used on top."""

    scheme: str
    host: str
    port: int
    idle: list[Connection] = field(default_factory=list)

    @property
    def authority(self) -> str:
        """The server as the ``Host`` header names it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class DirectHttp(AbstractAsyncContextManager["DirectHttp"]):
    """Lends connections: as many are open as there were requests at once, and those that nobody needs close by themselves.

    ``trust`` returns whom to trust where a server speaks TLS; it is asked once, for the first of them.
    """

    def __init__(self, deadlines: Deadlines, trust: Callable[[], ssl.SSLContext]) -> None:
        self._deadlines = deadlines
        self._trust = trust
        self._tls: ssl.SSLContext | None = None
        self._servers: dict[tuple[str, str, int], _Server] = {}
        self._open: set[Connection] = set()
        # What was made for the last POST. A run posts to one address with one key: the head of its requests is made once.
        self._url = ""
        self._headers: Mapping[str, str] | None = None
        self._server: _Server | None = None
        self._head = b""

    async def __aenter__(self) -> Self:
        """Belong to the running loop."""
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection, also when the run was cancelled."""
        with anyio.CancelScope(shield=True):
            for connection in list(self._open):
                connection.close()
                await connection.lost

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, hear: Hear | None = None) -> Answer:
        """Send one request and return the whole answer; raises ``AttemptError``."""
        if headers is not self._headers or url != self._url or self._server is None:
            server, target = self._found(url)
            head = _head("POST", target, server.authority, headers) + b"content-length: "
            # All at once, after all that can fail: one server's head, with its key, must never go to another.
            self._url, self._headers, self._server, self._head = url, headers, server, head
        return await self._exchanged(self._server, b"%b%d\r\n\r\n" % (self._head, len(body)), body, hear)

    async def call(self, method: str, url: str, headers: Mapping[str, str]) -> Answer:
        """Send a request without a body, such as a GET, and return the whole answer; raises ``AttemptError``, never as perhaps paid."""
        server, target = self._found(url)
        length = b"" if method == "GET" else b"content-length: 0\r\n"
        head = _head(method, target, server.authority, headers) + length + b"\r\n"
        return await self._exchanged(server, head, b"", free=True)

    async def _exchanged(
        self, server: _Server, head: bytes, body: bytes, hear: Hear | None = None, *, free: bool = False
    ) -> Answer:
        start = self._loop.time()
        while server.idle:
            connection = server.idle.pop()
            if connection.usable:
                break
            connection.close()
        else:
            connection = await self._dialled(server)
        try:
            return await connection.exchange(head, body, start, hear, free=free)
        finally:
            if connection.open:
                server.idle.append(connection)

    async def _dialled(self, server: _Server) -> Connection:
        def gone(connection: Connection) -> None:
            self._open.discard(connection)
            if connection in server.idle:
                server.idle.remove(connection)

        if server.scheme == "https" and self._tls is None:
            try:
                self._tls = self._trust()
            except OSError as error:
                raise unsent(error) from error
            self._tls.set_alpn_protocols(["http/1.1"])
        tls = self._tls if server.scheme == "https" else None
        make = partial(Connection, self._loop, self._deadlines, gone)
        connection = await dial(self._loop, (server.host, server.port), tls, self._deadlines, make)
        self._open.add(connection)
        return connection

    def _found(self, url: str) -> tuple[_Server, str]:
        """Return the server that a URL names, and the place there; raises ``AttemptError``."""
        try:
            parts = urlsplit(url)
            host, port = _host(parts.hostname or ""), parts.port
            target = (quote(parts.path, safe=_KEPT) or "/") + (
                f"?{quote(parts.query, safe=_KEPT)}" if parts.query else ""
            )
        except ValueError:  # what it says quotes the address, which may hold a password
            raise _unsendable("url", "the address is no URL: its host, port or path cannot be read") from None
        if parts.scheme not in _PORTS:
            raise _unsendable("url", "the address is not http or https")
        if "@" in parts.netloc:
            raise _unsendable("url", "the address holds a user name or a password; a key has a variable of its own")
        key = (parts.scheme, host, _PORTS[parts.scheme] if port is None else port)
        server = self._servers.get(key)
        if server is None:
            server = self._servers[key] = _Server(*key)
        return server, target


def _host(name: str) -> str:
    """Return a host's name as it goes on the wire; raises ``ValueError``."""
    if ":" in name:
        return str(IPv6Address(name))
    host = name.removesuffix(".").encode("idna").decode("ascii").lower()
    if not _HOST.fullmatch(host):
        raise ValueError("it names no valid host")
    return host


def _head(method: str, target: str, authority: str, headers: Mapping[str, str]) -> bytes:
    """Return the head of a request without its length and its end; raises ``AttemptError`` that names no value."""
    named = {name.lower(): value for name, value in headers.items()}
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in {"host": authority, **_USUAL, **named}.items():
        if name in _FRAMING:
            raise _unsendable("protocol", f"the header {name} is the transport's own")
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise _unsendable("protocol", "a header holds characters that HTTP does not take")
        lines.append(f"{name}: {value.strip()}")
    return ("\r\n".join(lines) + "\r\n").encode("ascii")


def _unsendable(kind: str, message: str) -> AttemptError:
    return AttemptError(message, kind=kind, sent=Sent.NEVER, transient=False)
