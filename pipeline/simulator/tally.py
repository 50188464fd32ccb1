"""Counts of what the provider has seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Stats", "Tally"]


@dataclass(frozen=True, slots=True)
class Stats:
    """A snapshot of the counts."""

    requests: int
    """POSTs of a response."""
    executed: int
    charged: int
    answered: int
    """Replies handed to the socket whole, errors included."""
    in_flight: int
    peak: int
    """The most requests in flight at once."""
    errors: Mapping[str, int]
    """Refusals by code and faults by kind."""


class Tally:
    """The counts as they grow."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self._in_flight = self._peak = 0

    def enter(self, endpoint: str) -> int:
        """One more request is in flight; its number among those to this endpoint."""
        self.counts[endpoint] += 1
        self._in_flight += 1
        self._peak = max(self._peak, self._in_flight)
        return self.counts[endpoint]

    def leave(self) -> None:
        """One request less is in flight."""
        self._in_flight -= 1

    def stats(self) -> Stats:
        """The counts as they stand."""
        counts = self.counts
        return Stats(
            requests=counts["create"],
            executed=counts["executed"],
            charged=counts["charged"],
            answered=counts["answered"],
            in_flight=self._in_flight,
            peak=self._peak,
            errors=dict(self.errors),
        )
