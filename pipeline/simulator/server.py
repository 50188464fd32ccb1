"""The server: a loop that listens on loopback, in a thread of its own or until a signal."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.simulator.connection import Connection
from pipeline.simulator.dialects import DIALECTS
from pipeline.simulator.ledger import Ledger
from pipeline.simulator.provider import Provider
from pipeline.simulator.script import read_script
from pipeline.simulator.tally import Stats

_new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
with contextlib.suppress(ImportError):  # uvloop does not exist for every platform
    import uvloop

    _new_loop = uvloop.new_event_loop

__all__ = ["Simulator", "serve"]

BACKLOG = 4096

GARBAGE = (50_000, 20, 100)
"""When a process that only serves looks for cycles, as ``gc.set_threshold`` takes it: what it keeps of each request holds none, and to
look through all of that as often as Python does by itself costs a twelfth of its time."""


class Simulator:
    """A provider on loopback, in a thread of its own, for as long as the context is open."""

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        script: Mapping[str, object] | None = None,
        ledger: Path | None = None,
    ) -> None:
        self.url = ""
        self._address = (host, port)
        self._script = read_script(script)
        self._ledger_path = ledger
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None

    def __enter__(self) -> Self:
        self._ledger = Ledger(self._ledger_path)
        self._provider = Provider(self._script, self._ledger)
        try:
            listening = _listen(*self._address)
        except OSError:
            self._ledger.close()
            raise
        self.url = _url(listening)
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(listening, ready), name="simulator", daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._loop is not None
        assert self._stop is not None
        assert self._thread is not None
        with contextlib.suppress(RuntimeError):  # the loop has already ended by itself
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def base_url(self, dialect: str = "openai") -> str:
        """Where a client of this dialect sends its requests."""
        return self.url + DIALECTS[dialect].prefix

    @property
    def stats(self) -> Stats:
        """A snapshot of what was seen so far."""
        return self._provider.stats()

    def requests(self) -> list[dict[str, Any]]:
        """The ledger's records, oldest first; the last 100,000 are kept."""
        return list(self._ledger.records)

    def events(self) -> list[Mapping[str, Any]]:
        """What became of the answers, oldest first: `answered`, and `fetched`, `cancelled`, `deleted` by response id."""
        return list(self._ledger.events)

    def _run(self, listening: socket.socket, ready: threading.Event) -> None:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(self._main(listening, ready))

    async def _main(self, listening: socket.socket, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        await _serve_until(self._stop, listening, self._provider, ready.set)
        self._ledger.close()


def serve(
    host: str,
    port: int,
    script: Mapping[str, object] | None,
    ledger: Path | None,
    on_ready: Callable[[str], None],
) -> None:
    """Serve until SIGINT or SIGTERM, in a process that does nothing else; `on_ready` gets the URL once connections are taken."""
    gc.set_threshold(*GARBAGE)
    played = read_script(script)
    book = Ledger(ledger)
    try:
        listening = _listen(host, port)
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(_serve_until_signal(listening, Provider(played, book), lambda: on_ready(_url(listening))))
    finally:
        book.close()


async def _serve_until_signal(listening: socket.socket, provider: Provider, on_ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await _serve_until(stop, listening, provider, on_ready)


async def _serve_until(
    stop: asyncio.Event, listening: socket.socket, provider: Provider, on_ready: Callable[[], None]
) -> None:
    """Take connections until told to stop, then leave nothing open."""
    loop = asyncio.get_running_loop()
    connections: set[Connection] = set()
    server = await loop.create_server(lambda: Connection(provider.handle, connections), sock=listening, backlog=BACKLOG)
    try:
        on_ready()
        await stop.wait()
    finally:
        server.close()
        await provider.close()
        open_ones = [connection.closed for connection in connections]
        for connection in tuple(connections):
            connection.transport.abort()
        for closed in open_ones:
            await closed


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
