"""A run as plain lines, for logs: no colour, no carriage return, nothing that repeats itself every second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TextIO

from pipeline.events import (
    AttemptFailed,
    Event,
    FunctionCalled,
    Notice,
    Paused,
    RowFinished,
    RunFinished,
    RunStarted,
    Spent,
    Stopping,
    Stuck,
    Writing,
)
from pipeline.report.expected import expected_cost
from pipeline.report.purse import money
from pipeline.report.summary import closing
from pipeline.report.tally import Tally
from pipeline.report.text import awaiting, counted, duration, extent, figure, listed, percent, share, tally_of, visible

MESSAGE_WIDTH = 200


class Lines:
    """Speaks at once of what matters at once, and of the rest every ``every_s`` seconds at most."""

    def __init__(self, stream: TextIO, *, command: str, clock: Callable[[], float], every_s: float) -> None:
        self._stream = stream
        self._command = command
        self._every_s = every_s
        self._tally = Tally(clock)
        self._spoke_at = clock()
        self._pause_told = 0.0
        self._problems_told: dict[str, int] = {}

    def __call__(self, event: Event) -> None:
        """Hear an event, and say what is to be said."""
        tally = self._tally
        first_writing = isinstance(event, Writing) and tally.writing is None
        tally.hear(event)
        now = tally.now()
        if isinstance(event, RunFinished):
            self._write(closing(event, command=self._command))
            return
        if first_writing:
            self._say(now, "writing the table")
            self._spoke_at = now
        if not isinstance(event, Spent):  # one comes with each row, and is told with the others'
            for line in self._at_once(event, now):
                self._say(now, line)
        if now - self._spoke_at >= self._every_s and tally.run is not None:
            self._spoke_at = now
            for line in self._heartbeat(now):
                self._say(now, line)

    def _at_once(self, event: Event, now: float) -> Iterator[str]:
        match event:
            case RunStarted():
                self._spoke_at = now
                yield from _opening(event)
            case Notice():
                yield f"note: {visible(event.message)}"
            case AttemptFailed() | FunctionCalled() | RowFinished():
                yield from self._new_problem()
            case Paused():
                yield from self._new_pause(now)
            case Stuck():
                yield f"no end after {duration(event.seconds)}: {listed(event.rows)}"
            case Stopping():
                told = f"{awaiting(event.in_flight, event.wait_s)} ({visible(event.reason, MESSAGE_WIDTH)})"
                yield f"{told}; {_urging(event)}" if event.in_flight > 0 else told
            case _:
                pass

    def _new_problem(self) -> Iterator[str]:
        """The first problem of a kind is told with its message, the others are counted."""
        trouble = self._tally.trouble
        if trouble is None or trouble.kind in self._problems_told:
            return
        self._problems_told[trouble.kind] = 1
        again = f"; asked again in {duration(trouble.wait_s)}" if trouble.wait_s is not None else ""
        yield f"problem in row {trouble.row}: {visible(trouble.kind, 40)}: {visible(trouble.message, MESSAGE_WIDTH)}{again}"

    def _new_pause(self, now: float) -> Iterator[str]:
        """A pause is told once; answers that were on their way and ask for the same are not."""
        if now < self._pause_told and self._tally.pause_ends < self._pause_told + self._every_s:
            return
        self._pause_told = self._tally.pause_ends
        left = duration(self._tally.pause_left(now))
        yield f"the provider asks to wait {left}: {visible(self._tally.pause_reason, MESSAGE_WIDTH)}"

    def _heartbeat(self, now: float) -> Iterator[str]:
        tally = self._tally
        if tally.writing is not None:
            done, rows = tally.writing.done, tally.writing.rows
            yield f"writing the table: {done:,} of {counted(rows, 'row')} ({percent(done, rows)})"
            return
        counts = {"known": tally.known, **tally.by_status} if tally.known else tally.by_status
        parts = [", ".join(f"{name} {count:,}" for name, count in counts.items()), _speed(tally, now), _tokens(tally)]
        parts.append(", ".join(money(tally)))
        told = "; ".join(part for part in parts if part)
        yield f"{_position(tally)}: {told}" if told else _position(tally)
        if tally.problems != self._problems_told:
            self._problems_told = dict(tally.problems)
            yield f"problems so far: {tally_of(tally.problems)}"

    def _say(self, now: float, line: str) -> None:
        self._write(f"{timedelta(seconds=int(now - self._tally.began))}  {line}")

    def _write(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()


def _opening(run: RunStarted) -> Iterator[str]:
    samples = f" x {run.samples} samples" if run.samples > 1 else ""
    rows = f"rows not counted yet{samples}" if run.rows is None else extent(run.rows, run.samples, run.wanted)
    known = f", {run.known:,} of them known from earlier runs" if run.known else ""
    yield f"{visible(run.name, 100)}: {visible(run.model, 60)} at {visible(run.provider, 60)}, {rows}{known}"
    if run.simulated:
        yield "simulated answers: nothing is paid"
    if run.expected is not None:
        yield f"expected to cost: {expected_cost(run.expected)}"


def _urging(event: Stopping) -> str:
    return f"Ctrl-C again waits for nothing{' and cancels them at the provider' if event.cancels else ''}"


def _position(tally: Tally) -> str:
    if tally.rows is None:
        return f"{counted(tally.done, tally.unit)} so far"
    return f"{tally.done:,} of {counted(tally.rows, tally.unit)} ({share(tally.done, tally.rows)})"


def _speed(tally: Tally, now: float) -> str:
    speed, left = tally.speed(now), tally.time_left(now)
    if speed is None:
        return ""
    return f"{speed[0]:,.1f} {tally.unit}s/s" + ("" if left is None else f", about {duration(left)} left")


def _tokens(tally: Tally) -> str:
    if not tally.finished:
        return ""
    since = " since this start" if tally.known else ""
    return f"tokens{since} {figure(tally.usage.input_tokens)} in + {figure(tally.usage.output_tokens)} out"
