"""A run as JSON lines, for machines: one object per event, with names that stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TextIO

from pipeline.events import (
    AttemptFailed,
    Event,
    FunctionCalled,
    Notice,
    Paused,
    RowFinished,
    RowsKnown,
    RunFinished,
    RunStarted,
    Spent,
    Stopping,
    Stuck,
    Writing,
    exact_usd,
)
from pipeline.report.purse import projection, purse_figures
from pipeline.report.tally import Tally
from pipeline.report.text import compact

PROGRESS_S = 1.0  # finished rows are told together, at most this often

NAMES: Mapping[type[Event], str] = {
    RunStarted: "run_started",
    AttemptFailed: "attempt_failed",
    FunctionCalled: "function_failed",
    Paused: "paused",
    Stuck: "stuck",
    Stopping: "stopping",
    Notice: "notice",
    Writing: "writing",
    RunFinished: "run_finished",
}


class JsonLines:
    """Writes every event as it comes, but finished rows as a ``progress`` object once a second, and only calls of functions that fail.

    All output is printable ASCII. Where each of the ``rows`` is asked several times, all other figures count single answers.
    """

    def __init__(self, stream: TextIO, *, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._tally = Tally(clock)
        self._began = self._told_at = clock()
        self._told = 0

    def __call__(self, event: Event) -> None:
        """Hear an event, and write what is due."""
        self._tally.hear(event)
        now = self._tally.now()
        if isinstance(event, RowFinished | RowsKnown):
            if now - self._told_at >= PROGRESS_S:
                self._progress(now)
            return
        if isinstance(event, Spent) or (isinstance(event, FunctionCalled) and event.error is None):
            return
        if isinstance(event, Writing | RunFinished) and self._told != self._tally.finished:
            self._progress(now)
        self._write(NAMES[type(event)], now, _values(event))

    def _progress(self, now: float) -> None:
        tally, bill = self._tally, self._tally.bill
        self._told_at, self._told = now, tally.finished
        speed, left = tally.speed(now), tally.time_left(now)
        figures = {
            "rows": tally.run.rows if tally.run is not None else None,
            "answers": tally.rows,
            "known": tally.known,
            "finished": tally.finished,
            "by_status": tally.by_status,
            "usage": asdict(tally.usage),
            "cost_usd": exact_usd(bill.picos) if bill.ended > bill.unpriced else None,
            "attempts_of_unknown_cost": bill.unpriced,
            "projected_usd": exact_usd(projection(tally)),
            "budget": None if bill.purse is None else purse_figures(bill.purse),
            "problems": tally.problems,
            "rows_per_s": None if speed is None else round(speed[0], 3),
            "seconds_left": None if left is None else round(left, 1),
        }
        self._write("progress", now, figures)

    def _write(self, name: str, now: float, values: Mapping[str, object]) -> None:
        elapsed = round(now - self._began, 3)
        self._stream.write(compact({"event": name, "elapsed_s": elapsed, **values}) + "\n")
        self._stream.flush()


def _values(event: Event) -> dict[str, object]:
    """Return an event's values; its money in dollars."""
    values = asdict(event)
    if isinstance(event, RunFinished):
        values["money"] = None if event.money is None else event.money.figures()
        values["caching"] = None if event.caching is None else event.caching.figures()
    if isinstance(event, RunStarted):
        values["purse"] = None if event.purse is None else purse_figures(event.purse)
    return values
