"""What an estimate and a report take: rows a second, and time and memory against the number of rows.

Run by hand, for figures that are held against those of another commit on the same machine, one after the other:

    PYTHONPATH=. python tests/bench/money.py
    PYTHONPATH=. python tests/bench/money.py --texts 1000000 --pictures 10000 --reports 10000 100000 1000000

Seconds are those of the CPU. An estimate is held against rendering and fingerprinting alone, which a run does anyway. Each measurement has
a process of its own, because the most memory that a process ever took is never given back.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image

from pipeline import api
from pipeline.checkpoint.journal import Journal
from pipeline.checkpoint.packing import pack
from pipeline.checkpoint.rundir import held, journal_path
from pipeline.checkpoint.store import connect, end_session
from pipeline.cost.prices import Book
from pipeline.cost.tokens import count_tokens
from pipeline.engine.check import Prepared, prepare
from pipeline.engine.estimate import Wanted, estimate
from pipeline.engine.feed import Question, everything, questions
from pipeline.spec.load import load_job

LENGTH = 300
"""Characters of a text."""

_AT_ONCE = 10_000  # rows of a table that are written together
_DAY = date(2026, 11, 1)
_WORDS = (
    "the parcel",
    "came late again",
    "and nobody",
    "could say where",
    "my refund",
    "for this broken",
    "blue lamp",
    "has been sent",
)
_TEXT, _PICTURE = "To which kind does this belong?\n{{ text }}", [{"text": "Describe this."}, {"image": "image"}]
_LABELS = ("billing", "delivery", "praise")
_MODEL = "gpt-5.4-mini"

_REQUEST = """
INSERT INTO requests(fingerprint, status, again, carrier, carrier_plan, text, provider, model, latency_s, attempts, input_tokens,
  cached_tokens, output_tokens, reasoning_tokens, total_tokens, id)
VALUES (?, 'ok', 0, ?, 1, ?, 'openai', ?, ?, 1, ?, 0, ?, 0, ?, ?)
"""
_ROW = "INSERT INTO rows(row, sample, plan, request) VALUES (?, 0, 1, ?)"
_ATTEMPT = """
INSERT INTO attempts(request, row, session, state, sent_at, asked_model, latency_s, status, http_status, model, input_tokens,
  cached_tokens, output_tokens, reasoning_tokens, total_tokens, raw)
VALUES (?, ?, 1, 'answered', ?, ?, ?, 'ok', 200, ?, ?, 0, ?, 0, ?, ?)
"""


def write_job(folder: Path, columns: Sequence[str], rows: int, user: object) -> Path:
    """Write a table with these columns and a job over it, and return the job's path."""
    chance = random.Random(4)
    makers: dict[str, Callable[[int], object]] = {
        "id": int,
        "kind": lambda _: chance.choice(_LABELS),
        "text": lambda _: " ".join(chance.choices(_WORDS, k=LENGTH // 8))[:LENGTH],
        "image": _pictures(),
        "path": _picture_files(folder),
    }
    writer = None
    for first in range(0, rows, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, rows))
        table = pa.table({name: [makers[name](number) for number in numbers] for name in columns})
        writer = writer or pq.ParquetWriter(folder / "in.parquet", table.schema, data_page_size=2**20)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    job = {
        "name": "bench",
        "provider": "openai",
        "model": _MODEL,
        "input": "in.parquet",
        "prompt": {"user": user},
        "request": {"max_output_tokens": 200},
        "output": {"path": "out.parquet", "fields": {"label": f"enum[{', '.join(_LABELS)}]"}},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(job), encoding="utf-8")
    return folder / "job.yaml"


def _pictures() -> Callable[[int], bytes]:
    """Return what makes photographs of some 100 kB that all differ, by their number."""
    noise = Image.effect_noise((1024, 768), 60)
    file = BytesIO()
    noise.convert("RGB").save(file, "JPEG", quality=40)
    photo = file.getvalue()
    return lambda number: photo + number.to_bytes(4, "big")


def _picture_files(folder: Path) -> Callable[[int], str]:
    make = _pictures()

    def write(number: int) -> str:
        (folder / f"{number}.jpg").write_bytes(make(number))
        return f"{number}.jpg"

    return write


def write_journal(job: Path, finished: int | None = None) -> Prepared:
    """Write the journal that a job's run would leave, all of whose rows were answered at once, and return the job.

    With ``finished`` it is that of a run which was stopped after so many rows.
    """
    prepared = prepare(load_job(job))
    path = journal_path(prepared.job.run_path)
    with held(prepared.job.run_path):
        journal = Journal(path, label="openai", dedupe=prepared.dedupe)
        start = prepared.start()
        journal.begin(start, journal.look(start), ambiguous=False)
        journal.finish()
        connection = connect(path)
        connection.execute("PRAGMA synchronous=OFF")
        for batch in questions(prepared.source, prepared.builder, everything()):
            _answer(connection, [one for one in batch if finished is None or one.row < finished])
        connection.close()
        end_session(path, 0)
    return prepared


def _answer(connection: sqlite3.Connection, batch: Sequence[Question]) -> None:
    if not batch:
        return
    chance = random.Random(batch[0].row)
    now = time.time()
    connection.execute("BEGIN")
    for question in batch:
        number, text = question.row + 1, f'{{"label": "{chance.choice(_LABELS)}"}}'
        taken, given, latency_s = 100 + chance.randrange(30), chance.randrange(5, 60), chance.lognormvariate(0, 0.4)
        used = (taken, given, taken + given)
        raw = pack({"model": _MODEL, "output": [{"type": "message", "content": [{"text": text}]}]})
        fingerprint = question.request().fingerprint
        connection.execute(_REQUEST, (fingerprint, question.row, text, _MODEL, latency_s, *used, number))
        connection.execute(_ROW, (question.row, number))
        sent_at = now + question.row / 100
        connection.execute(_ATTEMPT, (number, question.row, sent_at, _MODEL, latency_s, _MODEL, *used, raw))
    connection.execute("COMMIT")


def timed(work: Callable[[], object]) -> float:
    """Return the CPU seconds that a piece of work takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def peak_mb() -> float:
    """Return the most memory that this process ever had, in MB. What ``getrusage`` says includes that of the process it was started by."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def estimating(job: Path) -> str:
    """Return what an estimate of a job takes, held against rendering alone."""
    prepared = prepare(load_job(job))
    count_tokens(["the vocabulary and the prices are loaded before the clock starts"])
    Book.of(prepared.job).rates(_MODEL, None, _DAY)
    rows = prepared.source.count()
    rendered = timed(lambda: sum(map(len, questions(prepared.source, prepared.builder, everything()))))
    taken = timed(lambda: estimate(prepared, Wanted(), _DAY))
    speed = f"{rows / taken:>9,.0f} rows/s, {taken:7.2f} s, {taken / rendered:5.2f} times rendering"
    return f"{speed} ({rows / rendered:,.0f} rows/s), {peak_mb():,.0f} MB"


def reporting(job: Path) -> str:
    """Return what the report of a job's journal takes."""
    pages: list[Path] = []
    taken = timed(lambda: pages.append(api.write_report(job)[0]))
    return f"{taken:7.2f} s, {peak_mb():7,.0f} MB, a page of {pages[0].stat().st_size / 1e6:.2f} MB"


def alone(work: Callable[[Path], str], job: Path) -> str:
    """Do a piece of work in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, (job,))


def figures(texts: int, pictures: int, reports: Sequence[int]) -> Iterator[str]:
    """Yield a line for each measurement; a number of rows that is 0 leaves it out."""
    estimates: Sequence[tuple[str, int, str, Any]] = (
        ("texts", texts, "text", _TEXT),
        ("pictures in a column", pictures, "image", _PICTURE),
        ("pictures in files", pictures, "path", [_PICTURE[0], {"image": "path"}]),
    )
    for name, rows, column, user in estimates:
        if rows:
            with TemporaryDirectory() as folder:
                job = write_job(Path(folder), ("id", column), rows, user)
                yield f"estimate {rows:>9,} {name:21} {alone(estimating, job)}"
    for rows in filter(None, reports):
        with TemporaryDirectory() as folder:
            job = write_job(Path(folder), ("id", "kind", "text"), rows, _TEXT)
            write_journal(job)
            yield f"report   {rows:>9,} rows                  {alone(reporting, job)}"


def main() -> None:
    """Print the figures for the numbers of rows that the command line names."""
    parser = argparse.ArgumentParser(description="What an estimate and a report take.")
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--pictures", type=int, default=2_000)
    parser.add_argument("--reports", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    asked = parser.parse_args()
    for line in figures(asked.texts, asked.pictures, asked.reports):
        print(line, flush=True)


if __name__ == "__main__":
    main()
