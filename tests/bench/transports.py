"""The HTTP transports alone: the same request posted again and again, each answer read whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
import anyio
import orjson
import uvloop
from inputs import IMAGE_BYTES, image_body, text_body
from meter import Meter

from pipeline.client.direct import DirectHttp
from pipeline.client.exchange import Http
from pipeline.client.http import StockHttp, authorities
from pipeline.spec.rules import Deadlines

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_HEADERS = {"content-type": "application/json", "authorization": "Bearer bench"}
Post = Callable[[str, bytes], Awaitable[object]]


def _of(
    http: Callable[[Deadlines], AbstractAsyncContextManager[Http]],
) -> Callable[[], AbstractAsyncContextManager[Post]]:
    """Return a transport of ours as what posts."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Post]:
        async with http(Deadlines()) as opened:
            yield lambda url, body: opened.post(url, _HEADERS, body)

    return opened


@asynccontextmanager
async def _aiohttp() -> AsyncIterator[Post]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def post(url: str, body: bytes) -> bytes:
            async with session.post(url, data=body, headers=_HEADERS) as response:
                return await response.read()

        yield post


TRANSPORTS: dict[str, Callable[[], AbstractAsyncContextManager[Post]]] = {
    "aiohttp": _aiohttp,
    "ours": _of(partial(DirectHttp, trust=authorities)),
    "stock httpx": _of(StockHttp),
}


def run(transport: str, url: str, posts: int, in_flight: int, image: bool) -> dict[str, float]:
    """Post ``posts`` requests, small ones or such with a picture of 200 KB, and return the figures."""
    meter = Meter()
    body = orjson.dumps(image_body(bytes(IMAGE_BYTES)) if image else text_body("The parcel came late. " * 12))
    uvloop.run(_post(TRANSPORTS[transport], f"{url}/responses", body, range(posts), in_flight, meter))
    return meter.figures(posts)


async def _post(
    transport: Callable[[], AbstractAsyncContextManager[Post]],
    url: str,
    body: bytes,
    numbers: range,
    in_flight: int,
    meter: Meter,
) -> None:
    left = iter(numbers)
    async with transport() as post:

        async def work() -> None:
            for _ in left:
                meter.first_request()
                await post(url, body)

        async with anyio.create_task_group() as tasks:
            for _ in range(in_flight):
                tasks.start_soon(work)
