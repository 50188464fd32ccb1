"""An amount of tokens that is not known exactly: the least, the likely and the most of it."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """Tokens: not below ``low``, about ``mid``, not above ``high``. Spans add up."""

    low: float = 0.0
    mid: float = 0.0
    high: float = 0.0

    @staticmethod
    def exactly(tokens: float) -> Span:
        """Return an amount that is known."""
        return Span(tokens, tokens, tokens)

    def __add__(self, other: Span) -> Span:  # type: ignore[override]  # two amounts, not two tuples
        """Add two amounts, as if they were wrong in the same direction."""
        return Span(self.low + other.low, self.mid + other.mid, self.high + other.high)

    def times(self, factor: float) -> Span:
        """Return so many times the amount."""
        return Span(self.low * factor, self.mid * factor, self.high * factor)

    def within(self, low: float, high: float) -> Span:
        """Return the amount with an error: ``low`` and ``high`` are factors around it."""
        return Span(self.low * low, self.mid, self.high * high)

    def at_most(self, most: float) -> Span:
        """Return the amount where no more than ``most`` is possible."""
        return Span(min(self.low, most), min(self.mid, most), min(self.high, most))


NOTHING = Span()
"""No tokens at all."""
