"""A figure that is not known exactly: from what it may be at least to what it may be at most."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """Something that is not known exactly, in whatever unit: not below ``low``, about ``mid``, not above ``high``."""

    low: float = 0.0
    mid: float = 0.0
    high: float = 0.0

    @staticmethod
    def exactly(value: float) -> Interval:
        """Return what is known."""
        return Interval(value, value, value)

    @property
    def levels(self) -> tuple[float, float, float]:
        """The three figures in ascending order."""
        return self.low, self.mid, self.high

    def __add__(self, other: Interval) -> Interval:
        """Add bounds to bounds: what is uncertain about one side is taken to be uncertain in the same way about the other."""
        return Interval(self.low + other.low, self.mid + other.mid, self.high + other.high)

    def times(self, factor: float) -> Interval:
        """Return so many times as much."""
        return Interval(self.low * factor, self.mid * factor, self.high * factor)

    def within(self, low: float, high: float) -> Interval:
        """Return it with an error: ``low`` and ``high`` are factors around it."""
        return Interval(self.low * low, self.mid, self.high * high)

    def at_most(self, most: float) -> Interval:
        """Return it where no more than ``most`` is possible."""
        return Interval(min(self.low, most), min(self.mid, most), min(self.high, most))


ZERO = Interval()


def summed(intervals: Iterable[Interval]) -> Interval:
    """Return the sum of intervals, bound by bound."""
    return sum(intervals, ZERO)
