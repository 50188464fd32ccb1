"""How many requests may be in the air at once: the number the job says, or one that is learned.

Learning is TCP's: double per round trip until the first sign of trouble, from then on one more per round trip, and a cut
when the provider refuses, times out or slows down. One overload makes many requests fail together, so it cuts once per
round trip and not once per request.
"""

from __future__ import annotations

START = 8  # moderate: enough to learn from the first answers, too few to trip a small account's limits
CEILING = 512  # each holds a socket and perhaps a picture; a job that wants more of its machine says so
REFUSED = 0.5  # what is left after a refusal: the classic halving
SLOWED = 0.9  # what is left when answers slow down: a weak sign, since long answers look the same
SLOW = 2.0  # answers take this many times their usual time
RECENT, USUAL = 1 / 16, 1 / 256  # weights of one latency in the two moving averages
UNKNOWN_ROUND_TRIP_S = 1.0


class Concurrency:
    """The number of requests that may be in flight, at least 1."""

    def __init__(self, fixed: int | None) -> None:
        self._learned = fixed is None
        self._limit = float(START if fixed is None else fixed)
        self._doubling = True
        self._cut_at = float("-inf")
        self._recent_s: float | None = None
        self._usual_s = 0.0

    @property
    def limit(self) -> int:
        """The number in force."""
        return int(self._limit)

    @property
    def round_trip_s(self) -> float:
        """How long answers take at present, in seconds."""
        return UNKNOWN_ROUND_TRIP_S if self._recent_s is None else self._recent_s

    def answered(self, latency_s: float, in_flight: int, now: float) -> None:
        """Learn from an answer that took ``latency_s``, with ``in_flight`` requests in the air, this one included."""
        if self._recent_s is None:
            self._recent_s = self._usual_s = latency_s
        self._recent_s += (latency_s - self._recent_s) * RECENT
        self._usual_s += (latency_s - self._usual_s) * USUAL
        if self._recent_s > SLOW * self._usual_s:
            self._cut(SLOWED, now)
        elif self._learned and in_flight * 2 >= self._limit:  # a number that is not used proves nothing
            self._limit = min(self._limit + (1.0 if self._doubling else 1.0 / self._limit), CEILING)

    def refused(self, now: float) -> None:
        """Learn from a refusal or a timeout."""
        self._cut(REFUSED, now)

    def _cut(self, factor: float, now: float) -> None:
        if self._learned and now - self._cut_at >= self.round_trip_s:
            self._limit = max(self._limit * factor, 1.0)
            self._doubling = False
            self._cut_at = now
