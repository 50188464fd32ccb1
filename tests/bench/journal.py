"""What the journal takes: CPU per row at some rows in flight, bytes per row of its file, and time and memory to go on with a long run.

Run by hand, for figures that are held against those of another commit on the same machine, in turns:

    PYTHONPATH=. python tests/bench/journal.py
    PYTHONPATH=. python tests/bench/journal.py --rows 0 --finished 1000000

Seconds are those of the CPU, of all threads. The journal is alone: nothing is sent, and an answer is there at once.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from pipeline.checkpoint.journal import Journal
from pipeline.checkpoint.store import Start
from pipeline.engine.garbage import seldom_collected
from pipeline.records import Outcome, Reply, Request, Status, Usage

IN_FLIGHT = (16, 64, 512)
_TEXT = (
    "The parcel came late again, and nobody could say where it had been. My refund is for this broken blue lamp. " * 3
)
_MODEL = "gpt-5.4-mini-2026-03-17"


def request_of(row: int) -> Request:
    """Return a row's request, which no other row shares."""
    return Request(row, _MODEL, {"input": _TEXT}, blake2b(row.to_bytes(8, "big"), digest_size=16).digest(), 100)


def reply_of(row: int) -> Reply:
    """Return an answer as a provider gives it, whose body is about 1.2 KB."""
    text = f"{row}: {_TEXT}"
    message = {
        "id": f"msg_{row:040}",
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": text}],
    }
    usage = {"input_tokens": 100, "output_tokens": 80, "total_tokens": 180}
    raw = {
        "id": f"resp_{row:040}",
        "object": "response",
        "model": _MODEL,
        "output": [message],
        "usage": usage,
        "metadata": {},
    }
    known = Usage(100, 0, 80, 0, 180)
    return Reply(
        Status.OK, text, usage=known, model=_MODEL, service_tier="default", response_id=f"resp_{row:040}", raw=raw
    )


def opened(folder: Path) -> Journal:
    """Open the journal in a folder and begin a session."""
    journal = Journal(folder / "journal.sqlite", label="openai")
    start = Start("{}", "/", "job", "table", None, names_files=False, simulated=False, version="1")
    journal.begin(start, journal.look(start), ambiguous=True)
    return journal


async def _answered(journal: Journal, work: Iterator[tuple[Request, Reply]]) -> None:
    for request, reply in work:
        with journal.claim(request) as claim:
            attempt = await journal.intend(claim.request)
            await journal.settle(claim.request, attempt, Outcome(0.5, reply=reply))


async def _together(journal: Journal, work: Iterator[tuple[Request, Reply]], in_flight: int) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(in_flight):
            group.start_soon(_answered, journal, work)


def measure(rows: int, in_flight: int) -> dict[str, float]:
    """Answer so many rows, and return what each took: ``us`` of CPU, ``rows_per_s`` by the wall clock, ``bytes`` of the file."""
    work = [(request_of(row), reply_of(row)) for row in range(rows)]
    with TemporaryDirectory() as name, seldom_collected():  # as a run is; and it has no such list of work
        journal = opened(Path(name))
        wall, cpu = time.perf_counter(), time.process_time()
        asyncio.run(_together(journal, iter(work), in_flight))
        journal.finish()
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        size = sum(path.stat().st_size for path in Path(name).iterdir())
    return {"in_flight": in_flight, "us": cpu / rows * 1e6, "rows_per_s": rows / wall, "bytes": size / rows}


def fill(folder: Path, first: int, last: int) -> None:
    """Let the rows of a range be answered in the journal of a folder, many at once."""
    journal = opened(folder)
    asyncio.run(_together(journal, ((request_of(row), reply_of(row)) for row in range(first, last)), 512))
    journal.finish()


def resuming(folder: Path) -> dict[str, float]:
    """Open a journal as a second run does until it knows which rows are left; return the seconds and the megabytes of that."""
    before, cpu, wall = _peak_mb(), time.process_time(), time.perf_counter()
    journal = opened(folder)
    finished = journal.finished_rows()
    measured = {"finished": finished.count(1), "cpu_s": time.process_time() - cpu, "s": time.perf_counter() - wall}
    measured["mb"] = _peak_mb() - before
    journal.finish()
    return measured


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _alone(work: Any, *values: object) -> Mapping[str, float]:
    """Do work in a process of its own: the most memory that one ever took is never given back."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found: Mapping[str, float] = pool.apply(work, values)
        return found


def figures(rows: int, rounds: int, finished: Sequence[int]) -> Iterator[Mapping[str, float]]:
    """Yield each measurement, those of different rows in flight in turns."""
    for _ in range(rounds if rows else 0):
        yield from (_alone(measure, rows, in_flight) for in_flight in IN_FLIGHT)
    for count in finished:
        with TemporaryDirectory() as name:
            _alone(fill, Path(name), 0, count)
            yield _alone(resuming, Path(name))


def main() -> None:
    """Print the figures for the numbers of rows that the command line names."""
    parser = argparse.ArgumentParser(description="What the journal takes.")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--finished", type=int, nargs="*", default=[100_000])
    asked = parser.parse_args()
    for line in figures(asked.rows, asked.rounds, asked.finished):
        print(", ".join(f"{name} {value:,.1f}" for name, value in line.items()), flush=True)


if __name__ == "__main__":
    main()
