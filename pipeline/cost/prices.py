"""What an attempt costs: the job's own ``prices``, before list prices; by what served it, before what was asked.

Nothing that is unknown costs 0. What has no price says why, and a cost that leaves something out says what.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from pipeline.cost.listed import listed
from pipeline.cost.rates import PICOS, Rates, Step, Unpriced, product
from pipeline.cost.tiers import STANDARD, TIERS, tier_of
from pipeline.spec.asked import may_draw, may_run_code
from pipeline.values import value

if TYPE_CHECKING:
    from pipeline.records import Usage
    from pipeline.spec.job import Job
    from pipeline.spec.prices import Price, Steps, Tokens

__all__ = ["PICOS", "Book", "Charge", "Rates", "Unpriced"]

_DAY_S = 86_400
LAST_S = 253_402_300_800.0
"""The end of the calendar, in seconds since 1970: a time from there on, or before its start, is damaged."""

_ONE = Decimal(1)
_VENDORS: Mapping[str, str] = {"openai": "openai"}  # providers that sell models of their own → whose list that is
_DATED = re.compile(r"-\d{4}(-?\d{2}-?\d{2})?$")  # the end of a snapshot's id: gpt-5.4-mini-2026-03-17, gpt-4-0613


@value
class Charge:
    """The facts of one attempt that its price depends on: what was asked, what served it, and what it used.

    The served ``model`` and ``service_tier`` are None where the provider did not say. ``sent_at`` is in seconds since 1970.
    """

    asked_model: str
    asked_tier: str | None
    model: str | None
    service_tier: str | None
    usage: Usage
    searches: int | None
    sent_at: float


class Book:
    """The prices of one job. It remembers what it has found, so that asking it a million times costs microseconds each."""

    def __init__(self, prices: Mapping[str, Price], seller: Seller, *, closed: str | None = None) -> None:
        """Sell at these prices; a ``closed`` book has none, and says why."""
        self._prices = prices
        self._seller = seller
        self.tier = seller.tier  # what the job asks of every request, whatever that asks for itself
        self._closed = closed
        self._found: dict[tuple[str, str | None, date], Rates | Unpriced] = {}
        self._charged: dict[tuple[str, str | None, str | None, str | None, int], Rates | Unpriced] = {}

    @staticmethod
    def of(job: Job) -> Book:
        """Return the prices of a job. Nothing is loaded before a list price is needed."""
        return Book(job.prices, Seller.of(job))

    @staticmethod
    def without_prices(reason: str) -> Book:
        """Return a book in which nothing has a price, and why."""
        return Book({}, Seller(frozenset(), None, "", simulated=False, tier=None, beside=None), closed=reason)

    def rates(self, model: str, tier: str | None, on: date) -> Rates | Unpriced:
        """Return what a model costs in a service tier on a day (UTC)."""
        if (found := self._found.get((model, tier, on))) is None:
            found = self._found[model, tier, on] = self._seller.told(self._look(model, tier, on))
        return found

    def priced(self, charge: Charge) -> Rates | Unpriced:
        """Return the rates that hold for an attempt: those of the model and tier that served it, as far as the provider said."""
        return self.served(charge.asked_model, charge.asked_tier, charge.model, charge.service_tier, charge.sent_at)

    def served(
        self, asked_model: str, asked_tier: str | None, model: str | None, tier: str | None, sent_at: float
    ) -> Rates | Unpriced:
        """Do what ``priced`` does, from the bare facts."""
        at = min(max(0.0, sent_at), LAST_S - _DAY_S)  # a damaged time still has a price
        key = (asked_model, asked_tier, model, tier, int(at // _DAY_S))
        if (found := self._charged.get(key)) is None:
            on = datetime.fromtimestamp(at, UTC).date()
            found = self._charged[key] = self._billed(asked_model, model or asked_model, tier or asked_tier, on)
        return found

    def cost(self, charge: Charge) -> int | None:
        """Return what an attempt cost, in picodollars; None where that is not known, and ``why`` says why."""
        rates = self.priced(charge)
        return None if isinstance(rates, Unpriced) else rates.cost(charge.usage, charge.searches)

    def why(self, charge: Charge) -> str | None:
        """Return why an attempt's cost is not known, or what the known cost leaves out; None where it is complete."""
        rates = self.priced(charge)
        return rates.reason if isinstance(rates, Unpriced) else rates.lacks(charge.usage, charge.searches)

    def origins(self) -> tuple[str, ...]:
        """Return where the prices that attempts were charged by are from, and what to know of them: one text for each model."""
        used = {model: rates for (model, _, _), rates in self._found.items() if isinstance(rates, Rates)}
        return tuple(f"{model}: {rates.described}" for model, rates in sorted(used.items()))

    def _billed(self, asked: str, served: str, tier: str | None, on: date) -> Rates | Unpriced:
        theirs, ours = self._own(served), self._own(asked)
        if ours is not None and (theirs is None or ours[:2] > theirs[:2]):
            served = asked  # users know what they pay for the name that they ask for
        found = self.rates(served, tier, on)
        if isinstance(found, Unpriced) and _same(served, asked):
            return self.rates(asked, tier, on)
        return found

    def _look(self, model: str, tier: str | None, on: date) -> Rates | Unpriced:
        if self._closed is not None:
            return Unpriced(self._closed)
        special = None if tier is None or tier in STANDARD else tier
        if special is not None and special not in TIERS:
            return Unpriced(f"the service tier {special!r} has no price that is known")
        if (match := self._own(model)) is None:
            return listed(model, special, on, vendor=self._seller.vendor)
        return _own_rates(match.key, self._prices[match.key], special)

    def _own(self, model: str) -> Match | None:
        """Return the closest of the job's own prices for a model, also by the name of the model whose snapshot it is."""
        names = (model, _DATED.sub("", model))
        matches = [_match(key, name, self._seller.names) for key in self._prices for name in names]
        return max((match for match in matches if match is not None), default=None)


class Match(NamedTuple):
    """How closely a key of ``prices`` names a model: the closer one is the greater."""

    with_provider: bool
    exact: bool
    length: int
    key: str


@dataclass(frozen=True, slots=True)
class Seller:
    """Whom the answers are bought from: the names it has in ``prices``, its own list of prices, and what to know of all its prices.

    ``vendor`` is None where it sells other vendors' models. ``tier`` is what ``extra_body`` asks of every request. ``beside`` says what
    its bill may hold that usage does not tell.
    """

    names: frozenset[str]
    vendor: str | None
    label: str
    simulated: bool
    tier: str | None
    beside: str | None

    @staticmethod
    def of(job: Job) -> Seller:
        """Return who sells to a job."""
        provider, facts = job.provider, job.provider.facts
        names = {provider.name, provider.label} | ({facts.name} if provider.simulated else set())
        beside = [
            tool for uses, tool in ((may_draw, "generated pictures"), (may_run_code, "code that it runs")) if uses(job)
        ]
        return Seller(
            names=frozenset(name.lower() for name in names),
            vendor=_VENDORS.get(provider.name) if provider.base_url is None else None,
            label=provider.label,
            simulated=provider.simulated,
            tier=tier_of(job.extra_body),
            beside=f"without what the provider may charge for {' and '.join(beside)}" if beside else None,
        )

    def told(self, found: Rates | Unpriced) -> Rates | Unpriced:
        """Return rates with what has to be known of them because of who sells."""
        if isinstance(found, Unpriced):
            return found
        note = found.note
        if self.simulated:
            note = _joined(note, "simulated: nothing is billed")
        elif self.vendor is None and found.listed:
            note = _joined(note, f"{self.label} may charge otherwise")
        return replace(found, note=note, doubt=_joined(found.doubt, self.beside))


def _joined(*texts: str | None) -> str | None:
    return "; ".join(text for text in texts if text is not None) or None


def _match(key: str, model: str, sellers: frozenset[str]) -> Match | None:
    """Return how closely a key of ``prices`` names a model; None where it does not."""
    whole, name = key.lower(), model.lower()
    owner, _, pattern = whole.partition("/")
    if owner in sellers and fnmatchcase(name, pattern):
        return Match(True, pattern == name, len(pattern), key)
    return Match(False, whole == name, len(whole), key) if fnmatchcase(name, whole) else None


def could_name(key: str, model: str) -> bool:
    """Tell whether a key of ``prices`` names a model, whoever sells it and whatever its date."""
    pattern, name = (_DATED.sub("", text.lower().rpartition("/")[2]) for text in (key, model))
    return fnmatchcase(name, pattern)


def _same(served: str, asked: str) -> bool:
    """Tell whether what served is a snapshot of the model that was asked for, or that model under its vendor's name."""
    return _DATED.sub("", served.lower().rpartition("/")[2]) == asked.lower().rpartition("/")[2]


def _own_rates(key: str, price: Price, tier: str | None) -> Rates | Unpriced:
    """Return what the job says that a model costs in a tier, in dollars."""
    name = TIERS[tier].price if tier is not None else None
    special: Decimal | Steps | None = getattr(price, name) if name is not None else _ONE
    doubt = None
    if special is None:
        if tier is not None and not TIERS[tier].saves:
            return Unpriced(f"prices.{key} says nothing of {name}")
        special, doubt = _ONE, f"at the standard price: prices.{key} says nothing of {name}"
    rates, factor = (price, special) if isinstance(special, Decimal) else (special, _ONE)
    exchange = price.usd_per_unit or _ONE
    steps = [_step(rates), *(_step(each, each.tokens) for each in sorted(rates.above, key=lambda each: each.tokens))]
    return Rates(
        steps=tuple(step.times(factor).times(exchange) for step in steps),
        source=price.source or "the spec's prices",
        per_search=None if price.per_search is None else product(price.per_search, exchange),
        as_of=price.as_of,
        doubt=doubt,
        listed=False,
    )


def _step(rates: Tokens, above: int = 0) -> Step:
    usual = rates.input
    return Step(
        input=usual,
        cached=usual if rates.cached_input is None else rates.cached_input,
        cache_write=usual if rates.cache_write is None else rates.cache_write,
        output=rates.output,
        above=above,
    )
