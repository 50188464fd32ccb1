"""The pipeline as a user runs it: ``pipeline.run`` from a job to its table, with everything on."""

from __future__ import annotations

from pathlib import Path

from meter import Meter

from pipeline import api
from pipeline.events import Event, RowFinished, RunStarted


def run(job: str, in_flight: int) -> dict[str, float]:
    """Run a job and return the figures. What counts as the first request is the moment before: ``RunStarted``."""
    meter, rows = Meter(), 0

    def observe(event: Event) -> None:
        nonlocal rows
        if isinstance(event, RunStarted):
            meter.first_request()
        elif isinstance(event, RowFinished):
            rows += 1

    sets = [f"limits.concurrency={in_flight}", f"output.path={Path.cwd()}/out.parquet"]
    finished = api.run(job, sets=sets, yes=True, observe=observe)
    if finished.exit_code:
        raise RuntimeError(f"the run ended with {finished}")
    return meter.figures(rows)
