"""What a row takes on its way from its cells to the bytes that are sent: texts, and pictures of 200 KB in files.

Run by hand, for figures that are held against those of another commit on the same machine, one after the other:

    PYTHONPATH=. python tests/bench/requests.py
    PYTHONPATH=. python tests/bench/requests.py --texts 100000 --pictures 1000

Times are those of the CPU, the best of some rounds. Nothing is sent, but as many bodies are alive at once as in a run.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline.client.http import Answer
from pipeline.client.loader import Loader
from pipeline.client.send import sending
from pipeline.engine.feed import Question, everything, questions
from pipeline.prompt.build import RequestBuilder
from pipeline.records import Request
from pipeline.rows.source import Source, open_source
from pipeline.spec.job import Job

IN_FLIGHT = 64
_SIDE = 465  # pixels; noise makes a JPEG of 200 KB of them
_PROMPTS: Mapping[str, object] = {
    "text": {"system": "You label support tickets. Answer with one short sentence.", "user": "Label this: {{ text }}"},
    "picture": {"system": "You label pictures.", "user": [{"text": "What is it?"}, {"image": "picture"}]},
}


@dataclass(frozen=True, slots=True)
class Measured:
    """Microseconds of CPU for one row: to read and render it (``built``), and from there to the bytes at the transport (``sent``)."""

    rows: int
    built_us: float
    sent_us: float

    def __str__(self) -> str:
        """Both, and how many rows a second the first makes."""
        rate = 1e6 / self.built_us
        return f"{self.built_us:7.1f} us to a request ({rate:,.0f} a second), {self.sent_us:7.1f} us more to its bytes"


class Dropped(Exception):
    """What the transport answers: nothing more is measured."""


class Drop:
    """A transport that keeps as many bodies as there are in flight, and answers none."""

    def __init__(self) -> None:
        self._bodies: deque[bytes] = deque(maxlen=IN_FLIGHT)

    async def post(self, _url: str, _headers: Mapping[str, str], body: bytes, _hear: object = None) -> Answer:
        """Take a body."""
        self._bodies.append(body)
        raise Dropped

    async def call(self, *_request: object) -> Answer:
        """Nothing is looked at again."""
        raise Dropped


def measure(texts: int, pictures: int) -> dict[str, float]:
    """Return what a row of each kind takes, in microseconds of CPU."""
    found = {}
    with TemporaryDirectory() as folder:
        for kind, rows in (("text", texts), ("picture", pictures)):
            one = measured(kind, rows, Path(folder))
            found |= {f"{kind}.built_us": one.built_us, f"{kind}.sent_us": one.sent_us}
    return found


def measured(kind: str, rows: int, folder: Path, rounds: int = 5) -> Measured:
    """Return what a row of a kind, ``text`` or ``picture``, takes."""
    column = _texts(rows) if kind == "text" else _pictures(rows, folder)
    pq.write_table(pa.table({kind: column}), folder / f"{kind}.parquet")
    spec = {
        "provider": {"base_url": "http://127.0.0.1:1/v1"},
        "model": "gpt-5.4-mini",
        "input": f"{kind}.parquet",
        "prompt": _PROMPTS[kind],
        "request": {"max_output_tokens": 200},
        "output": "out.parquet",
    }
    job = Job.model_validate(spec).located(folder)
    source = open_source(job.input, folder)
    built_us = _best(rounds, rows, lambda: sum(1 for _ in _questions(job, source)))
    requests = [question.request() for question in _questions(job, source)]
    sent_us = _best(rounds, rows, lambda: anyio.run(_send_all, job, requests))
    return Measured(rows, built_us, sent_us)


def _best(rounds: int, rows: int, work: Callable[[], object]) -> float:
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken) / rows * 1e6


def _questions(job: Job, source: Source) -> Iterator[Question]:
    builder = RequestBuilder(job, job.provider.endpoint(), source.root)
    for batch in questions(source, builder, everything()):
        yield from batch


async def _send_all(job: Job, requests: list[Request]) -> None:
    endpoint = job.provider.endpoint()
    async with Loader(job.media, endpoint.dialect) as loader:
        send = sending(Drop(), endpoint, lambda: "a-key-of-some-length", {}, loader, lambda *_: None)
        waiting = iter(requests)

        async def work() -> None:
            for request in waiting:
                with suppress(Dropped):
                    await send(request)

        async with anyio.create_task_group() as group:
            for _ in range(IN_FLIGHT):
                group.start_soon(work)


def _texts(rows: int) -> list[str]:
    return [f"Ticket {row}: the parcel came late again, and nobody could say where it is. " * 3 for row in range(rows)]


def _pictures(rows: int, folder: Path) -> list[str]:
    names = [f"{row}.jpg" for row in range(rows)]
    for name in names:
        Image.frombytes("RGB", (_SIDE, _SIDE), os.urandom(3 * _SIDE * _SIDE)).save(folder / name, "JPEG", quality=90)
    return names


def main() -> None:
    """Measure as asked, and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--pictures", type=int, default=500)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        for kind, rows in (("text", asked.texts), ("picture", asked.pictures)):
            print(f"{kind:8}", measured(kind, rows, Path(folder)))


if __name__ == "__main__":
    main()
