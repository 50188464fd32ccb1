"""TCP servers whose every byte a test decides, and requests to them over whichever transport a test is run with."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import anyio
import anyio.lowlevel
import pytest

from pipeline.client.direct import DirectHttp
from pipeline.client.exchange import Answer
from pipeline.client.http import StockHttp, authorities
from pipeline.errors import AttemptError
from pipeline.spec.rules import Deadlines

Clock = Callable[[], float]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"

Transport = Callable[[Deadlines], DirectHttp | StockHttp]
TRANSPORTS: dict[str, Transport] = {
    "direct": lambda deadlines: DirectHttp(deadlines, authorities),
    "httpx": StockHttp,
}
used: Transport = TRANSPORTS["direct"]  # the fixture ``transport`` sets it


def http_with(**deadlines: float) -> DirectHttp | StockHttp:
    """Return the transport that the test is run with."""
    return used(Deadlines.model_validate(deadlines))


class Server:
    """A TCP server whose every byte a test decides. It counts connections and keeps the requests it read."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.url = ""
        self.connections = 0
        self.requests: list[bytes] = []

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Read one request to its end."""
        head = await reader.readuntil(b"\r\n\r\n")
        length = int((*head.lower().split(b"content-length:"), b"0")[1].split(b"\r\n")[0])
        self.requests.append(head + await reader.readexactly(length))

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one connection."""
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._handler(reader, writer)
        writer.close()
        with suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
            await writer.wait_closed()


@asynccontextmanager
async def serving(handler: Callable[[Server], Handler], tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """Run a server on loopback while the block runs."""
    server = Server(lambda reader, writer: handler(server)(reader, writer))
    listening = await asyncio.start_server(server.meet, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"http{'s' if tls else ''}://127.0.0.1:{port}/v1/responses"
    try:
        yield server
    finally:
        listening.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            if "Server.meet" in repr(task):
                task.cancel()
        await listening.wait_closed()
        await anyio.lowlevel.checkpoint()


def saying(*pieces: bytes, then: str = "stay") -> Callable[[Server], Handler]:
    """Return a server that reads a request, says this, and then stays, closes, resets, or answers the next request."""

    def of(server: Server) -> Handler:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while True:
                await server.read(reader)
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                if then == "reset":
                    linger = b"\1\0\0\0\0\0\0\0"  # on, for no time: closing sends RST
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                if then == "stay":
                    await asyncio.Event().wait()
                if then != "again":
                    return

        return handle

    return of


async def post(url: str, body: bytes = b"{}", headers: Mapping[str, str] | None = None, **deadlines: float) -> Answer:
    """Send one request."""
    async with http_with(**deadlines) as http:
        return await http.post(url, headers or {}, body)


async def failing(
    url: str, body: bytes = b"{}", headers: Mapping[str, str] | None = None, **deadlines: float
) -> AttemptError:
    """Send one request that fails, and return how."""
    with pytest.raises(AttemptError) as failed:
        await post(url, body, headers, **deadlines)
    return failed.value
