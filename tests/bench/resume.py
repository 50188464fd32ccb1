"""How soon a run goes on whose rows are nearly all finished, and what memory that takes."""

from __future__ import annotations

import time
from pathlib import Path

from inputs import text_table, write_job
from meter import peak_mb
from money import write_journal
from trial import Trial
from trial import run as run_alone

import pipeline
from pipeline.events import Event, RowFinished

_LEFT = 64  # rows that are still to be asked


def run(url: str, finished: int) -> dict[str, float]:
    """Write the journal of ``finished`` rows, go on in a process of its own, and return that one's figures."""
    table = text_table(Path("texts.parquet").resolve(), finished + _LEFT)
    job = write_job(table, url)
    write_journal(job, finished)
    return run_alone(Trial("resumed", "resume", "go_on", {"job": str(job)}))


def go_on(job: str) -> dict[str, float]:
    """Run a job and return when its first answer was there, in seconds after the call, and what that took. The server answers at once."""
    begun, asked, figures = time.perf_counter(), 0, dict[str, float]()

    def observe(event: Event) -> None:
        nonlocal asked, figures
        if isinstance(event, RowFinished):
            asked += 1
            taken = time.perf_counter() - begun
            figures = figures or {"first_s": taken, "first_cpu_s": time.process_time(), "first_rss_mb": peak_mb()}

    ended = pipeline.run(job, yes=True, observe=observe)
    if ended.exit_code or asked != _LEFT:
        raise RuntimeError(f"{asked} rows were asked, and the run ended with {ended}")
    return {**figures, "whole_s": time.perf_counter() - begun, "rss_mb": peak_mb()}
