"""The floor: the least code that does the job with aiohttp, uvloop, orjson and pyarrow.

It reads rows from Parquet, sends the same requests, reads the answers and writes Parquet. It limits no rate, repeats nothing, keeps no
journal and no order, and reads no picture: those that it sends are ready.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import uvloop
from inputs import bodies
from meter import Meter

_HEADERS = {"content-type": "application/json", "authorization": "Bearer bench"}
Line = tuple[int, str, int, int]


def run(table: str, url: str, in_flight: int) -> dict[str, float]:
    """Ask about all rows of a table and return the figures."""
    meter = Meter()
    lines = uvloop.run(_ask(Path(table), url, in_flight, meter))
    names = ("id", "output", "input_tokens", "output_tokens")
    pq.write_table(pa.table(dict(zip(names, zip(*lines, strict=True), strict=True))), "out.parquet", compression="zstd")
    return meter.figures(len(lines))


async def _ask(table: Path, url: str, in_flight: int, meter: Meter) -> list[Line]:
    rows, lines = bodies(table), list[Line]()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def work() -> None:
            for number, body in rows:
                meter.first_request()
                async with session.post(f"{url}/responses", data=body, headers=_HEADERS) as response:
                    answer = orjson.loads(await response.read())
                used = answer["usage"]
                text = answer["output"][0]["content"][0]["text"]
                lines.append((number, text, used["input_tokens"], used["output_tokens"]))

        await asyncio.gather(*(work() for _ in range(in_flight)))  # noqa: TID251 - the floor has no use for better
    return lines
