"""What is expected, for people: amounts of USD with as many digits as an estimate has, fewer than a bill (``cost.rates.dollars``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.report.text import visible

if TYPE_CHECKING:
    from pipeline.events import Expected


def between(low: float, high: float) -> str:
    """Return ``$12-15``, with a digit more where both ends would read the same, and one figure where they still do."""
    first, last = usd_text(low), usd_text(high)
    if first == last:
        first, last = usd_text(low, finer=low != high), usd_text(high, finer=low != high)
    return first if first == last else f"{first}-{last[1:]}"


def expected_cost(expected: Expected) -> str:
    """Return what a run is expected to cost, and what that rests on."""
    if expected.low is None or expected.high is None:
        return f"unknown: {visible(expected.note)}"
    return f"{between(expected.low, expected.high)} {visible(expected.note)}"


def usd_text(usd: float, *, finer: bool = False) -> str:
    """Return an amount of USD with two digits that count below 1, in cents below 100, and to the dollar above: ``$0.0042``, ``$3.70``,
    ``$140``. With ``finer`` it has one digit more, above 100 dollars cents.
    """
    if usd >= 100:
        return f"${usd:,.{2 * finer}f}"
    if usd >= 1 or not usd:
        return f"${usd:,.{2 + finer}f}"
    digits = next(place for place in range(1, 20) if usd >= 10.0**-place) + 1 + finer
    return f"${usd:.{digits}f}"
