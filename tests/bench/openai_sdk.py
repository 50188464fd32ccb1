"""The OpenAI SDK with its aiohttp client, as many a script uses it: gather over all rows, and a semaphore."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import uvloop
from inputs import text_body
from meter import Meter
from openai import AsyncOpenAI, DefaultAioHttpClient


def run(table: str, url: str, in_flight: int) -> dict[str, float]:
    """Ask about all rows of a table of texts and return the figures."""
    meter = Meter()
    columns = pq.read_table(Path(table))
    answers = uvloop.run(_ask(columns["text"].to_pylist(), url, in_flight, meter))
    made = {
        "id": columns["id"],
        "output": [text for text, _ in answers],
        "output_tokens": [used for _, used in answers],
    }
    pq.write_table(pa.table(made), "out.parquet", compression="zstd")
    return meter.figures(len(answers))


async def _ask(texts: list[str], url: str, in_flight: int, meter: Meter) -> list[tuple[str, int]]:
    free = asyncio.Semaphore(in_flight)
    async with AsyncOpenAI(base_url=url, api_key="bench", http_client=DefaultAioHttpClient(), max_retries=0) as client:

        async def one(text: str) -> tuple[str, int]:
            async with free:
                meter.first_request()
                answer = await client.responses.create(**text_body(text))
            return answer.output_text, answer.usage.output_tokens

        return await asyncio.gather(*(one(text) for text in texts))  # noqa: TID251 - what is measured is this
