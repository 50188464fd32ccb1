"""How many requests may be in the air at once: the number the job says, or one that is learned.

Learning is TCP's: double per round trip until the provider refuses or times out, which cuts the number, and from then
on one more per round trip. One overload makes many requests fail together, so it cuts once per round trip and not once
per request.

Slow answers alone prove nothing: how long a model writes varies by a factor of ten, and the fast answers come first. So
slowness is only suspected, and then put to the test. The number is held for a window of answers; if those are slow too
it is cut for a second window. A server that queues answers faster by as much as it has less to do: the cut stands. Any
other is slow for reasons of its own: the cut is taken back, and what it takes now is what it usually takes.
"""

from __future__ import annotations

import math
from typing import Literal

START = 8  # moderate: enough to learn from the first answers, too few to trip a small account's limits
CEILING = 512  # each holds a socket and perhaps a picture; a job that wants more of its machine says so
REFUSED = 0.7  # what is left after a refusal: as in TCP CUBIC; half would leave a quarter of what is allowed unused
SLOWED = 0.25  # what a test for queueing leaves at least, however slow the answers are
SLOW = 2.0  # answers take this many times their usual time
CAREFUL = 1 / 8  # growth per answer towards a number at which the server queued: slow enough to be seen in time
FIRST = 16  # answers for the first idea of the usual time: all of them are from when little was in the air
WINDOW = 64  # answers per verdict at least: their mean is then within 15 % where single ones differ threefold
RECENT = 1 / 16  # weight of one latency in the moving average
SHORTEST_S = 1e-6  # logarithms know no zero
UNKNOWN_ROUND_TRIP_S = 1.0


class Concurrency:
    """The number of requests that may be in flight, at least 1."""

    def __init__(self, fixed: int | None) -> None:
        self._learned = fixed is None
        self._limit = float(START if fixed is None else fixed)
        self._refused = False
        self._doubles_from = 0.0
        self._cut_at = float("-inf")
        self._recent_s: float | None = None
        self._usual_s = math.inf
        self._stage: Literal["growing", "held", "cut"] = "growing"
        self._before = (self._limit, 0.0)  # the number, and its latency, that a cut is compared with
        self._window = _Window(FIRST)

    @property
    def limit(self) -> int:
        """The number in force."""
        return int(self._limit)

    @property
    def round_trip_s(self) -> float:
        """How long answers take at present, in seconds."""
        return UNKNOWN_ROUND_TRIP_S if self._recent_s is None else self._recent_s

    def answered(self, latency_s: float, in_flight: int, now: float) -> None:  # noqa: ARG002 - told as to refused()
        """Learn from an answer that took ``latency_s``, with ``in_flight`` requests in the air, this one included."""
        if self._recent_s is None:
            self._recent_s = latency_s
        self._recent_s += (latency_s - self._recent_s) * RECENT
        if not self._learned or in_flight * 2 < self._limit:  # a number that is not used proves nothing
            return
        if self._stage == "growing":
            self._limit = min(self._limit + self._growth(), CEILING)
        self._window.add(latency_s)
        if self._window.full:
            self._judge(self._window.mean_s)
            stale = 0 if self._stage == "growing" else in_flight  # these were asked before the number stood still
            self._window = _Window(max(WINDOW, self.limit), stale)

    def refused(self, now: float) -> None:
        """Learn from a refusal or a timeout."""
        if self._learned and now - self._cut_at >= self.round_trip_s:
            self._limit = max(self._limit * REFUSED, 1.0)
            self._refused = True
            self._cut_at = now
            self._stage = "growing"  # whatever was being tested, the number is another now

    def _growth(self) -> float:
        """Return by how much one answer raises the number."""
        if self._refused:
            return 1.0 / self._limit
        return 1.0 if self._limit >= self._doubles_from else max(CAREFUL, 1.0 / self._limit)

    def _judge(self, mean_s: float) -> None:
        """Draw the conclusion from a window of answers that took ``mean_s``."""
        limit_before, before_s = self._before
        if self._stage == "cut":
            if mean_s > before_s * math.sqrt(self._limit / limit_before):  # less than half way to proportion
                self._limit, self._usual_s, self._stage = limit_before, mean_s, "growing"
                return
            self._doubles_from = 2 * limit_before  # beyond, what was found here no longer holds
        self._usual_s = min(self._usual_s, mean_s)
        if mean_s <= SLOW * self._usual_s or self._limit <= START:
            self._stage = "growing"
        elif self._stage == "growing":
            self._stage = "held"
        else:
            self._before, self._stage = (self._limit, mean_s), "cut"
            # What would be in the air at this throughput if answers took their usual time. That was found with START
            # in the air, so it says nothing about fewer.
            self._limit = max(self._limit * max(self._usual_s / mean_s, SLOWED), float(START))


class _Window:
    """The geometric mean of the next ``size`` latencies after ``stale`` ones: no single long answer can move it much."""

    def __init__(self, size: int, stale: int = 0) -> None:
        self._size = size
        self._count = -stale
        self._sum = 0.0

    @property
    def full(self) -> bool:
        return self._count >= self._size

    @property
    def mean_s(self) -> float:
        return math.exp(self._sum / self._size)

    def add(self, latency_s: float) -> None:
        self._count += 1
        if self._count > 0:
            self._sum += math.log(max(latency_s, SHORTEST_S))
