"""How many requests a provider of ``stand_ins`` answers on one core, asked by the barest client that there is."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import httptools
import orjson
import uvloop
from inputs import text_body
from servers import stand_in
from trial import CLIENT_CORE, SERVER_CORE

_WARM_UP = 500  # requests; not counted
_HEAD = "POST /v1/responses HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n"


def run(kind: str, requests: int, in_flight: int) -> dict[str, float]:
    """Return how many requests a second were answered, by the clock and by the CPU time of the provider."""
    os.sched_setaffinity(0, {SERVER_CORE})  # here the provider is what is measured
    with stand_in(kind, core=CLIENT_CORE) as (url, process):
        uvloop.run(_ask(url, min(_WARM_UP, requests), in_flight))
        cpu_s, begun = _cpu_s(process), time.perf_counter()
        uvloop.run(_ask(url, requests, in_flight))
        taken, used = time.perf_counter() - begun, _cpu_s(process) - cpu_s
    return {"per_second": requests / taken, "per_cpu_second": requests / used}


def _cpu_s(process: int) -> float:
    """Return the CPU seconds of all threads of another process."""
    threads = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


async def _ask(url: str, requests: int, in_flight: int) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    address, left = urlsplit(url), [requests, requests]
    clients = [
        (await loop.create_connection(lambda: _Client(left, over), address.hostname, address.port))[0]
        for _ in range(min(in_flight, requests))
    ]
    await over.wait()
    for client in clients:
        client.close()


class _Client(asyncio.Protocol):
    """Sends the next request when an answer is whole. ``left`` is shared: how many are to be sent, and to be answered."""

    def __init__(self, left: list[int], over: asyncio.Event) -> None:
        body = orjson.dumps(text_body("The parcel came late and the box was open. " * 6))
        self._request = _HEAD.format(len(body)).encode() + body
        self._left, self._over = left, over

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport, self._parser = transport, httptools.HttpResponseParser(self)
        self._next()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Count the answer, which must be a good one, and send the next request."""
        if self._parser.get_status_code() != 200:
            raise RuntimeError(f"the provider answered {self._parser.get_status_code()}")
        self._left[1] -= 1
        if self._left[1]:
            self._next()
        else:
            self._over.set()

    def _next(self) -> None:
        if self._left[0]:
            self._left[0] -= 1
            self._transport.write(self._request)
