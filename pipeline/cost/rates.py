"""What tokens cost: exact rates, and the arithmetic of a bill. Money is a whole number of picodollars, so that sums are exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Context, Decimal
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING

from pipeline.cost.untold import UNTOLD

if TYPE_CHECKING:
    from pipeline.records import Bound, Usage

PICOS = 10**12
"""Picodollars in a dollar."""

_EXACT = Context(prec=100)  # far more digits than a rate, a discount and a rate of exchange have together
_BELIEVED = (
    10_000 * PICOS
)  # what one request can cost at most; more is nonsense in its usage or its price, and no sum could hold it
_PER_TOKEN = PICOS // 10**6  # a rate is for a million tokens


def product(amount: Decimal, factor: Decimal) -> Decimal:
    """Multiply without rounding."""
    return _EXACT.multiply(amount, factor)


def in_dollars(picos: int | None) -> float | None:
    """Return picodollars as the nearest number of dollars."""
    return None if picos is None else picos / PICOS


def dollars(picos: int | None) -> str:
    """Return picodollars as an amount that reads well: cents from a dollar on, else the first three digits."""
    if picos is None:
        return "unknown"
    amount = Decimal(picos) / PICOS
    places = 2 if not picos or picos >= PICOS else 2 - amount.adjusted()
    return f"${amount:,.{places}f}"


@dataclass(frozen=True, slots=True)
class Step:
    """What a million tokens cost, in dollars, in requests with more than ``above`` tokens of input."""

    input: Decimal
    cached: Decimal
    cache_write: Decimal
    output: Decimal
    above: int = 0
    grains: tuple[int, int, int, int] = field(init=False, repr=False, compare=False)
    """The same four for one token, as counts of the largest parts of a picodollar that all of them are made of."""
    per_pico: int = field(init=False, repr=False, compare=False)
    """How many of these parts make a picodollar; mostly 1."""

    def __post_init__(self) -> None:
        """Turn the rates into whole numbers: a million attempts are priced in seconds then."""
        rates = [Fraction(rate) * _PER_TOKEN for rate in (self.input, self.cached, self.cache_write, self.output)]
        per_pico = lcm(*(rate.denominator for rate in rates))
        first, second, third, last = (int(rate * per_pico) for rate in rates)
        object.__setattr__(self, "grains", (first, second, third, last))
        object.__setattr__(self, "per_pico", per_pico)

    def times(self, factor: Decimal) -> Step:
        """Return these rates with a discount, or in another currency."""
        return Step(
            product(self.input, factor),
            product(self.cached, factor),
            product(self.cache_write, factor),
            product(self.output, factor),
            self.above,
        )

    def picos(self, fresh: int, cached: int, written: int, output: int) -> int:
        """Return what these tokens cost, to the nearest picodollar."""
        new, read, write, out = self.grains
        return _nearest(new * fresh + read * cached + write * written + out * output, self.per_pico)

    def most(self, bound: Bound) -> int:
        """Return the most that this many tokens can cost, in picodollars."""
        *inputs, out = self.grains
        return -((-max(inputs) * bound.input_tokens - out * bound.output_tokens) // self.per_pico)


@dataclass(frozen=True, slots=True)
class Rates:
    """What one model costs in one tier on one day.

    ``steps`` are in ascending order, the first holds for every request. ``per_search`` is the dollars of a hosted search, None where it is
    not known. ``source`` and ``as_of`` say where the rates are from and of which day. ``note`` is what to know of them all the same;
    ``doubt`` is what may make every cost by these rates wrong; ``listed`` is false for the user's own prices.
    """

    steps: tuple[Step, ...]
    source: str
    per_search: Decimal | None = None
    as_of: date | None = None
    note: str | None = None
    doubt: str | None = None
    listed: bool = True

    @property
    def input(self) -> Decimal:
        """Dollars for a million tokens of input, in prompts of usual length; so are the three others."""
        return self.steps[0].input

    @property
    def cached(self) -> Decimal:
        """Dollars for a million tokens of input from the provider's cache."""
        return self.steps[0].cached

    @property
    def cache_write(self) -> Decimal:
        """Dollars for a million tokens of input that are written into the cache."""
        return self.steps[0].cache_write

    @property
    def output(self) -> Decimal:
        """Dollars for a million tokens of output, reasoning included."""
        return self.steps[0].output

    @property
    def origin(self) -> str:
        """Where the rates are from and of which day, in words."""
        return self.source if self.as_of is None else f"{self.source} of {self.as_of.isoformat()}"

    @property
    def described(self) -> str:
        """Where the rates are from and of which day, with what to know of them."""
        return self.origin if self.note is None else f"{self.origin}; {self.note}"

    def cost(self, usage: Usage, searches: int | None = None) -> int | None:
        """Return what one request cost, in picodollars; None where the provider did not report what it takes, or nonsense.

        The whole request is at the rates of its length. Searches are left out where ``per_search`` is not known: ``lacks`` says so.
        """
        return self.picos(
            usage.input_tokens, usage.cached_tokens, usage.output_tokens, usage.cache_write_tokens, searches
        )

    def picos(
        self, taken: int | None, cached: int | None, given: int | None, written: int | None, searches: int | None
    ) -> int | None:
        """Do what ``cost`` does, from bare numbers: tokens of input, of it cached, of output, and of input written into the cache."""
        if taken is None or given is None:
            return None
        read, write = cached or 0, written or 0
        fresh = taken - read - write
        if fresh < 0 or read < 0 or write < 0 or given < 0:
            return None
        picos = self._step(taken).picos(fresh, read, write, given)
        if searches:
            picos += _searched(self.per_search, searches)
        return picos if picos <= _BELIEVED else None

    def lacks(self, usage: Usage, searches: int | None = None) -> str | None:
        """Return why a request's cost is not known, or what the known cost leaves out or takes for granted; None where it is complete."""
        if usage.input_tokens is None or usage.output_tokens is None:
            return UNTOLD
        if self.cost(usage, searches) is None:
            return f"the provider's figures contradict each other, or cost more than ${_BELIEVED // PICOS:,}"
        return "; ".join(self._gaps(usage, searches)) or None

    def most(self, bound: Bound, searches: int = 0) -> int:
        """Return the most that one request within ``bound`` can cost, in picodollars. Searches count only where their price is known."""
        reached = [step for step in self.steps if step.above < bound.input_tokens] or [self.steps[0]]
        return max(step.most(bound) for step in reached) + _searched(self.per_search, searches)

    def _step(self, input_tokens: int) -> Step:
        found = self.steps[0]
        for step in self.steps[1:]:
            if input_tokens > step.above:
                found = step
        return found

    def _gaps(self, usage: Usage, searches: int | None) -> Iterator[str]:
        if self.doubt is not None:
            yield self.doubt
        step = self._step(usage.input_tokens or 0)
        if usage.cached_tokens is None and step.cached != step.input:
            yield "the provider did not report cached tokens: all input is taken as new"
        if usage.cache_write_tokens is None and step.cache_write != step.input:
            yield "the provider did not report tokens written into its cache: all input is taken as read"
        if stray := max((usage.total_tokens or 0) - (usage.input_tokens or 0) - (usage.output_tokens or 0), 0):
            yield f"without {stray:,} tokens of the total, which are neither input nor output"
        if searches and self.per_search is None:
            yield "without its hosted searches, whose price is not known: write per_search under prices"


@dataclass(frozen=True, slots=True)
class Unpriced:
    """There is no price, and why."""

    reason: str


def _searched(per_search: Decimal | None, searches: int | None) -> int:
    if not searches or per_search is None:
        return 0
    price = Fraction(per_search) * searches * PICOS
    return _nearest(price.numerator, price.denominator)


def _nearest(parts: int, per_pico: int) -> int:
    """Round to whole picodollars, a half to the even one."""
    if per_pico == 1:
        return parts
    picos, rest = divmod(parts, per_pico)
    return picos + (2 * rest > per_pico or (2 * rest == per_pico and picos % 2))
