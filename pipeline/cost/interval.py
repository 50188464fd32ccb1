"""A figure that is not known exactly: from what it may be at least to what it may be at most."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """Something that is not known exactly, in whatever unit."""

    low: float
    mid: float
    high: float

    def __add__(self, other: Interval) -> Interval:
        """Add bounds to bounds: what is uncertain about one side is taken to be uncertain in the same way about the other."""
        return Interval(self.low + other.low, self.mid + other.mid, self.high + other.high)

    def times(self, factor: float) -> Interval:
        """Return so many times as much."""
        return Interval(self.low * factor, self.mid * factor, self.high * factor)

    def less(self, known: float) -> Interval:
        """Return what is left of it once so much is known of it."""
        return Interval(*(max(bound - known, 0.0) for bound in (self.low, self.mid, self.high)))


ZERO = Interval(0.0, 0.0, 0.0)


def summed(intervals: Iterable[Interval]) -> Interval:
    """Return the sum of intervals, bound by bound."""
    return sum(intervals, ZERO)
