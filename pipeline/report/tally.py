"""What has been heard of a run so far, in counters.

An event costs a few dictionary operations, whatever is shown of it and how often; rates and shares are worked out when a screen is drawn.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from pipeline.events import (
    AttemptFailed,
    Event,
    FunctionCalled,
    Paused,
    RowFinished,
    RunStarted,
    Stopping,
    Stuck,
    Writing,
)
from pipeline.records import STATUS_FACTS, Result, Usage
from pipeline.report.purse import Bill
from pipeline.report.text import unit

WINDOW_S = 30.0  # the span over which speed is measured: long enough to be calm, short enough to notice a stall
SAMPLE_S = 0.5  # how often the speed's window takes a sample
SETTLED_S = 3.0  # a speed that was measured for less says nothing yet


@dataclass(frozen=True, slots=True)
class Trouble:
    """The latest problem: its kind, its message as the server or we worded it, its row, and the seconds until the row is asked again."""

    kind: str
    message: str
    row: int
    wait_s: float | None


class Pace:
    """Rows and tokens per second over the last half minute."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int]] = deque()

    def note(self, now: float, rows: int, tokens: int) -> None:
        """Remember where things stand at ``now``; calls in between two samples cost nothing."""
        samples = self._samples
        if samples and now - samples[-1][0] < SAMPLE_S:
            return
        samples.append((now, rows, tokens))
        while len(samples) > 2 and samples[1][0] <= now - WINDOW_S:
            samples.popleft()

    def per_second(self, now: float, rows: int, tokens: int) -> tuple[float, float] | None:
        """Return rows and tokens per second, None while it is too early to say."""
        self.note(now, rows, tokens)
        since, rows_then, tokens_then = self._samples[0]
        span = now - since
        return None if span < SETTLED_S else ((rows - rows_then) / span, (tokens - tokens_then) / span)


class Tally:
    """A run in counters. ``hear`` takes every event in order; the rest only reads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.pace = Pace()
        self.began = clock()
        self.run: RunStarted | None = None
        self.unit = "row"  # or what else the figures count
        self.finished = 0
        self.by_status: dict[str, int] = {}
        self.usage = Usage()
        self.bill = Bill()
        self.problems: dict[str, int] = {}
        self.trouble: Trouble | None = None
        self.pause_ends = 0.0
        self.pause_reason = ""
        self.stuck: set[int] = set()
        self.stuck_s = 0.0
        self.stopping: Stopping | None = None
        self.awaited = 0  # counts from a stop on
        self.writing: Writing | None = None
        self._given_up: set[int] = set()

    def hear(self, event: Event) -> None:
        """Count an event."""
        match event:
            case RowFinished():
                self._count(event.result)
            case AttemptFailed():
                self._trouble(Trouble(event.kind, event.message, event.row, event.wait_s))
                self.awaited -= 1
                if event.wait_s is None:
                    self._given_up.add(event.row)
            case FunctionCalled(row, function, error) if error is not None:
                self._trouble(Trouble(f"function {function}" if function is not None else "function", error, row, None))
            case Paused():
                self.pause_ends, self.pause_reason = max(self.pause_ends, self._clock() + event.seconds), event.reason
            case Stuck():
                self.stuck, self.stuck_s = set(event.rows), event.seconds
            case Stopping():
                self.stopping, self.awaited = event, event.in_flight
            case Writing():
                self.writing = event
            case RunStarted():
                self.run, self.began, self.unit = event, self._clock(), unit(event.samples)
                self.bill.purse = event.purse
                self.pace.note(self.began, 0, 0)
            case _:
                self.bill.hear(event)

    def _count(self, result: Result) -> None:
        if result.rows == 0:
            return  # its twin's result counts it
        status = result.status.value
        self.finished += result.rows
        self.by_status[status] = self.by_status.get(status, 0) + result.rows
        self.usage += result.usage
        self.stuck.discard(result.row)
        if result.row in self._given_up:  # its last attempt was counted as the problem it is
            self._given_up.discard(result.row)
        else:
            self.awaited -= 1
            if result.error_kind is not None and not STATUS_FACTS[result.status].answered:
                self._trouble(Trouble(result.error_kind, result.error_message or status, result.row, None))
        self.pace.note(self._clock(), self.finished, self.tokens)

    def _trouble(self, trouble: Trouble) -> None:
        self.trouble = trouble
        self.problems[trouble.kind] = self.problems.get(trouble.kind, 0) + 1

    @property
    def tokens(self) -> int:
        """The tokens known to have been used since this start, in and out."""
        return (self.usage.input_tokens or 0) + (self.usage.output_tokens or 0)

    @property
    def known(self) -> int:
        """The rows that were finished before this start."""
        return self.run.known if self.run is not None else 0

    @property
    def rows(self) -> int | None:
        """The rows of the job, or the answers they are to get; None while it is not known."""
        return self.run.answers if self.run is not None else None

    @property
    def done(self) -> int:
        """The rows that have their result, whenever they got it."""
        return self.known + self.finished

    def now(self) -> float:
        """The moment the figures are asked for, by the tally's clock."""
        return self._clock()

    def pause_left(self, now: float) -> float:
        """Return the seconds the endpoint still asks everyone to wait."""
        return max(self.pause_ends - now, 0.0)

    def speed(self, now: float) -> tuple[float, float] | None:
        """Return rows per second and tokens per second, None while it is too early to say."""
        return self.pace.per_second(now, self.finished, self.tokens)

    def time_left(self, now: float) -> float | None:
        """Return the seconds the rest will take at the present speed, None where that cannot be said."""
        speed = self.speed(now)
        if speed is None or speed[0] <= 0 or self.rows is None or self.stopping is not None:
            return None
        return max(self.rows - self.done, 0) / speed[0]
