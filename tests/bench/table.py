"""What the end of a run takes: its final table and its sums from a journal of so many rows, held against polars joining the same columns.

Run alone: ``PYTHONPATH=. python tests/bench/table.py --rows 1000000``. Every figure is of a process of its own, and without what a run
has loaded long before.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from pipeline.api import silent
from pipeline.checkpoint.columns import Columns
from pipeline.checkpoint.gold import tallied
from pipeline.checkpoint.journal import Journal
from pipeline.checkpoint.packing import pack
from pipeline.checkpoint.reader import reading
from pipeline.checkpoint.rundir import held, journal_path
from pipeline.checkpoint.store import connect, end_session
from pipeline.checkpoint.table import write_table
from pipeline.cost.prices import Book
from pipeline.engine.check import prepare
from pipeline.engine.session import metadata
from pipeline.rows.columns import cells
from pipeline.rows.source import open_source
from pipeline.spec.load import load_job

_AT_ONCE = 10_000  # rows that are made together
_NEAR = 64  # requests in flight: rows are claimed, sent and answered out of order within so many
_LATE = 5_000  # and this many for one in twenty
_MODEL, _SERVED = "gpt-5.4-mini", "gpt-5.4-mini-2026-03-17"
_WORDS = ("the parcel", "came late again", "and nobody", "could say where", "my refund", "for this", "blue lamp", "is")
_BODY = {
    "object": "response",
    "status": "completed",
    "model": _SERVED,
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "usage": {"input_tokens": 120, "output_tokens": 33, "total_tokens": 153},
}
_REQUEST = """
INSERT INTO requests(id, fingerprint, status, again, carrier, carrier_plan, text, provider, model, service_tier, response_id, latency_s,
  finished_at, attempts, input_tokens, cached_tokens, output_tokens, reasoning_tokens, total_tokens, cache_write_tokens)
VALUES (?, ?, 'ok', 0, ?, 1, ?, 'openai', ?, 'default', ?, ?, ?, 1, ?, 0, ?, 0, ?, 0)
"""
_ROW = "INSERT INTO rows(row, sample, plan, request) VALUES (?, 0, 1, ?)"
_ATTEMPT = """
INSERT INTO attempts(request, row, session, state, sent_at, asked_model, latency_s, status, http_status, request_id, response_id, model,
  service_tier, input_tokens, cached_tokens, output_tokens, reasoning_tokens, total_tokens, cache_write_tokens, raw)
VALUES (?, ?, 1, 'answered', ?, ?, ?, 'ok', 200, ?, ?, ?, 'default', ?, 0, ?, 0, ?, 0, ?)
"""


def write_run(folder: Path, rows: int) -> Path:
    """Write a table of texts, a job over it and the journal of its run, all of whose rows were answered; return the job's path."""
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    with pq.ParquetWriter(folder / "in.parquet", schema, compression="zstd") as writer:
        for numbers in _spans(rows):
            texts = [f"Ticket {number}: the parcel {number * 7919 % 1000003} came late. " * 6 for number in numbers]
            writer.write_table(pa.table({"id": numbers, "text": texts}, schema=schema))
    job = {
        "name": "bench",
        "provider": "openai",
        "model": _MODEL,
        "input": "in.parquet",
        "prompt": {"user": "Label this: {{ text }}"},
        "output": {"path": "out.parquet"},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(job), encoding="utf-8")
    _write_journal(folder / "job.yaml", rows)
    return folder / "job.yaml"


def _spans(rows: int) -> Iterator[range]:
    return (range(first, min(first + _AT_ONCE, rows)) for first in range(0, rows, _AT_ONCE))


def _write_journal(job: Path, rows: int) -> None:
    prepared = prepare(load_job(job))
    path = journal_path(prepared.job.run_path)
    with held(prepared.job.run_path):
        journal = Journal(path, label="openai", dedupe=prepared.dedupe)
        start = prepared.start()
        journal.begin(start, journal.look(start), ambiguous=False)
        journal.finish()
        connection = connect(path)
        connection.execute("PRAGMA synchronous=OFF")
        for numbers in _spans(rows):
            _answer(connection, numbers)
        connection.close()
        end_session(path, 0)


def _answer(connection: sqlite3.Connection, numbers: range) -> None:
    """Write these rows as answered: each close to its place, but for a few that took long."""
    chance = random.Random(numbers.start)
    order = sorted(numbers, key=lambda number: number + chance.random() * _NEAR)
    sent = sorted(numbers, key=lambda number: number + chance.random() * (_LATE if number % 20 == 0 else _NEAR))
    now = time.time()
    requests, attempts = [], []
    for number in numbers:
        text = " ".join(chance.choices(_WORDS, k=14))
        taken, given, latency_s = 100 + chance.randrange(30), chance.randrange(5, 60), chance.lognormvariate(0, 0.4)
        id_, asked, used = f"resp_{chance.randbytes(16).hex()}", order[number - numbers.start] + 1, (taken, given)
        used = (taken, given, taken + given)
        told = (_SERVED, id_, latency_s, now + number / 500, *used)
        requests.append((asked, chance.randbytes(16), number, text, *told))
        raw = pack({**_BODY, "id": id_, "output": [{"type": "message", "content": [{"text": text}]}]})
        attempts.append(
            (asked, number, now + number / 500, _MODEL, latency_s, f"req_{number}", id_, _SERVED, *used, raw)
        )
    requests.sort()
    connection.execute("BEGIN")
    connection.executemany(_REQUEST, requests)
    connection.executemany(_ROW, sorted((request[2], request[0]) for request in requests))
    connection.executemany(_ATTEMPT, [attempts[number - numbers.start] for number in sent])
    connection.execute("COMMIT")


def write_ours(job: Path) -> int:
    """Write the final table from the journal."""
    loaded = load_job(job)
    with reading(loaded.run_path, abandoned=True, book=Book.of(loaded)) as reader:
        source = open_source(loaded.input, loaded.place("."))
        columns = Columns.of(loaded, source.schema)
        return write_table(source, reader, columns, loaded.output_path, silent, {})


def close_ours(job: Path) -> int:
    """Do what a run does beside its table after its last answer: totals with money, rows that may be paid, known answers."""
    loaded = load_job(job)
    with reading(loaded.run_path, abandoned=True, book=Book.of(loaded)) as reader:
        totals = reader.totals()
        reader.maybe_paid_rows()
        tallied(open_source(loaded.input, loaded.place(".")), reader, loaded)
        return len(metadata(loaded, totals))


def write_polars(job: Path) -> int:
    """Join the input with the results, which lie beside the job, and write the table: the columns that ours has."""
    folder = job.parent
    joined = pl.scan_parquet(folder / "in.parquet").join(
        pl.scan_parquet(folder / "results.parquet"), on="id", how="left", maintain_order="left"
    )
    joined.sink_parquet(folder / "polars.parquet", compression="zstd")
    return 0


def read_cells(job: Path) -> int:
    """Read the input as a run does, cell by cell."""
    loaded = load_job(job)
    source = open_source(loaded.input, loaded.place("."))
    return sum(1 for batch in source.batches(["id", "text"]) for _ in cells(batch.table))


class Peak:
    """The most anonymous memory that this process has inside the block, in MB: what no file backs, looked at every few milliseconds."""

    def __init__(self) -> None:
        self.mb = 0.0
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Peak:
        self._watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        self._watch.join()

    def _look(self) -> None:
        while True:
            told = Path("/proc/self/status").read_text().partition("RssAnon:")[2].split(maxsplit=1)[0]
            self.mb = max(self.mb, int(told) / 1024)
            if self._ended.wait(0.01):
                return


def _measured(work: Callable[[Path], int], job: Path) -> dict[str, float]:
    """Return the CPU seconds, over all threads, and the peak of anonymous memory of a piece of work."""
    Book.of(load_job(job)).rates(_MODEL, None, date(2026, 11, 1))  # loaded since before a run's first request
    begun = time.process_time()
    with Peak() as peak:
        work(job)
    return {"cpu_s": time.process_time() - begun, "peak_mb": peak.mb}


def alone(work: Callable[[Path], int], job: Path) -> dict[str, float]:
    """Measure a piece of work in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (work, job))


def measure(rows: int) -> dict[str, dict[str, float]]:
    """Return what each piece of work takes over so many rows: ``ours`` and ``polars`` write the table, ``closing`` adds everything up."""
    with TemporaryDirectory() as folder:
        job = write_run(Path(folder), rows)
        figures = {"ours": alone(write_ours, job)}
        write_results(Path(folder))
        figures["polars"] = alone(write_polars, job)
        figures["closing"] = alone(close_ours, job)
        figures["cells"] = alone(read_cells, job)
        return figures


def write_results(folder: Path) -> None:
    """Write the results, from our table, as a script keeps them: in the order in which they came in, with the row's id."""
    ours = pq.ParquetFile(folder / "out.parquet").schema_arrow.names
    table = pl.read_parquet(folder / "out.parquet", columns=[name for name in ours if name != "text"])
    late = [number + random.Random(number).random() * (_LATE if number % 20 == 0 else _NEAR) for number in table["id"]]
    table.with_columns(at=pl.Series(late)).sort("at").drop("at").write_parquet(folder / "results.parquet")


def main() -> None:
    """Print the figures as JSON for the number of rows that the command line names."""
    parser = argparse.ArgumentParser(description="What the final table of a run takes.")
    parser.add_argument("--rows", type=int, default=200_000)
    print(json.dumps({"cores": os.cpu_count(), **measure(parser.parse_args().rows)}, indent=2))


if __name__ == "__main__":
    main()
