"""What answers tell of a provider's limits, and how long it is believed."""

from __future__ import annotations

import math

HOLDS_S = 60.0  # for so long a higher limit does not count
LAPSES_S = (
    300.0  # after so long an answer that tells no limit ends it; longer, for some tell theirs only when they refuse
)


class ToldLimit:
    """The lowest limit that answers told within a minute: servers with several accounts behind them tell each answer's own.

    A pace begins empty, so one that followed every answer would let nothing through. No single answer slows a run down for good: a later
    one that tells more is followed, and where none tells anything any more the limit lapses.
    """

    def __init__(self) -> None:
        self._lowest: float | None = None
        self._told_at = -math.inf

    def hear(self, per_minute: float | None, now: float) -> float | None:
        """Take in what an answer told, and return what holds; None, 0 and less tell nothing."""
        age_s = now - self._told_at
        if per_minute is None or per_minute <= 0:
            if age_s >= LAPSES_S:
                self._lowest = None
        elif self._lowest is None or per_minute <= self._lowest or age_s >= HOLDS_S:
            self._lowest, self._told_at = per_minute, now
        return self._lowest
