"""Requests added up: their tokens by kind, and what those cost at rates that may depend on how long a request is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from pipeline.cost.estimate import KINDS
from pipeline.cost.interval import Interval

if TYPE_CHECKING:
    from pipeline.cost.rates import Rates
    from pipeline.cost.weigh import Weight

_LEVELS = 3  # low, mid, high
_MILLION = 1_000_000


class Sum:
    """What some requests add up to. ``edges`` are the lengths of input, ascending, from which on a rate changes."""

    __slots__ = ("_bands", "_calls", "_edges", "_kinds", "_output", "requests", "rows")

    def __init__(self, edges: Sequence[int] = ()) -> None:
        self.rows = 0
        self.requests = 0
        self._edges = edges
        self._calls = [0.0] * _LEVELS
        self._kinds = [[0.0] * _LEVELS for _ in KINDS]
        self._output = [0.0] * _LEVELS
        # For each level, for each band between two edges: tokens of input, those of them that are cached, and tokens of output.
        self._bands = [[[0.0, 0.0, 0.0] for _ in (*edges, None)] for _ in range(_LEVELS)]

    def add(self, weight: Weight, output: Interval, calls: Interval, requests: int = 1, prefix: float = 0.0) -> None:
        """Count requests that weigh the same; each takes so many calls, and each of these gives so much output.

        ``prefix`` is how many tokens at the beginning every call has in common: they may come from the provider's cache, which only the
        low figure counts on.
        """
        self.requests += requests
        weights = (weight.text, weight.image, weight.video, weight.file, weight.tools, weight.schema)
        kinds, made = [each.levels for each in weights], calls.times(requests).levels
        for level, written in enumerate(output.levels):
            times, whole = made[level], 0.0
            for sums, levels in zip(self._kinds, kinds, strict=True):
                if tokens := levels[level]:
                    whole += tokens
                    sums[level] += tokens * times
            self._calls[level] += times
            self._output[level] += written * times
            band = self._bands[level][bisect_left(self._edges, whole)]
            band[0] += whole * times
            band[1] += 0.0 if level else min(prefix, whole) * times
            band[2] += written * times

    def join(self, other: Sum) -> None:
        """Add what another sum with the same edges has."""
        self.rows += other.rows
        self.requests += other.requests
        ours = [self._calls, self._output, *self._kinds, *(band for level in self._bands for band in level)]
        theirs = [other._calls, other._output, *other._kinds, *(band for level in other._bands for band in level)]
        for mine, more in zip(ours, theirs, strict=True):
            mine[:] = [left + right for left, right in zip(mine, more, strict=True)]

    @property
    def calls(self) -> Interval:
        """How many calls leave."""
        return Interval(*self._calls)

    @property
    def input(self) -> dict[str, Interval]:
        """Tokens of input by kind."""
        return {kind: Interval(*levels) for kind, levels in zip(KINDS, self._kinds, strict=True)}

    @property
    def output(self) -> Interval:
        """Tokens of output."""
        return Interval(*self._output)

    @property
    def tokens(self) -> float:
        """Tokens of both kinds, as far as anybody can guess."""
        return sum(levels[1] for levels in self._kinds) + self._output[1]

    def cost(self, rates: Rates) -> Interval:
        """Return what all of it costs, in USD."""
        return Interval(*(float(self._dollars(bands, rates)) for bands in self._bands))

    def input_cost(self, rates: Rates) -> Interval:
        """Return the part of that which the input costs."""
        read = [[(tokens, cached, 0.0) for tokens, cached, _ in bands] for bands in self._bands]
        return Interval(*(float(self._dollars(bands, rates)) for bands in read))

    def _dollars(self, bands: Sequence[Sequence[float]], rates: Rates) -> Decimal:
        dollars = Decimal(0)
        for above, (tokens, cached, written) in zip((0, *self._edges), bands, strict=True):
            step = next((each for each in reversed(rates.steps) if above >= each.above), rates.steps[0])
            dollars += step.input * Decimal(tokens - cached) + step.cached * Decimal(cached)
            dollars += step.output * Decimal(written)
        return dollars / _MILLION
