"""List prices, by genai-prices: the one module that knows this library. Its own download of newer prices stays off.

It takes whatever it does not know for the standard price, without a word: a tier that a model does not have, a misspelled context. So what
it knows is looked at here, and nothing else is asked of it. Importing it takes a fifth of a second and more; so does its data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from pipeline.cost.rates import Rates, Step, Unpriced
from pipeline.cost.tiers import TIERS

if TYPE_CHECKING:
    from genai_prices import types

_RELEASED: Mapping[str, date] = {"0.2.3": date(2026, 11, 10)}  # the library's data does not say of which day it is
_MIDDAY = time(12, tzinfo=UTC)
_FALLBACK = "openai"  # where ids are looked for that say nothing of their vendor
_PRICES = {
    "input": "input_mtok",
    "cached": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "output": "output_mtok",
}
# What usage does not count, and answers of this API do not hold, or hold apart from their tokens.
_APART = frozenset({"web_searches_kcount", "storage_searches_kcount", "code_executions_kcount", "cache_write_1h_mtok"})
_SOUND = frozenset({"input_audio_mtok", "cache_audio_read_mtok", "output_audio_mtok"})


@dataclass(frozen=True, slots=True)
class _Found:
    """A model in the list, and the name of whose list it is."""

    vendor: str
    model: types.ModelInfo


def listed(model: str, tier: str | None, on: date, *, vendor: str | None = None) -> Rates | Unpriced:
    """Return the list price of a model in a tier (a key of ``TIERS``, None for the usual one) on a day, in UTC.

    ``vendor`` is whose list counts, by the library's id; by default the list of whoever makes models with such a name.
    """
    found = _find(model, vendor)
    if found is None:
        return Unpriced(f"genai-prices {_version()} lists no price for {model}")
    moment = datetime.combine(on, _MIDDAY)
    selects = TIERS[tier].selects if tier is not None else {}
    if _hourly(found.model, selects, moment):
        return Unpriced(f"the list price of {model} depends on the time of day")
    prices = found.model.get_prices(moment, selects)
    doubt = None
    if tier is not None and not _has(found.model, selects, moment):
        if not TIERS[tier].saves:
            return Unpriced(f"genai-prices {_version()} lists no {tier} price for {model}")
        doubt = f"at the standard price: no {tier} price of {model} is known"
    return _rates(model, found.vendor, prices.__dict__, doubt)


def _rates(model: str, vendor: str, prices: Mapping[str, object], doubt: str | None) -> Rates | Unpriced:
    known = {name: price for name, price in prices.items() if price is not None and name not in _APART}
    if not known.keys() >= {_PRICES["input"], _PRICES["output"]}:
        return Unpriced(f"{vendor} does not sell {model} by tokens of input and output")
    if others := known.keys() - set(_PRICES.values()) - _SOUND:
        kinds = ", ".join(sorted(name.rpartition("_")[0].replace("_", " ") for name in others))
        return Unpriced(f"{vendor} prices {kinds} of {model} apart, which usage does not tell apart")
    note = "sound in videos is priced apart, and not counted as such" if known.keys() & _SOUND else None
    source = f"list price of {vendor}, genai-prices {_version()}"
    return Rates(_steps(known), source, as_of=_RELEASED.get(_version()), note=note, doubt=doubt)


def _steps(prices: Mapping[str, object]) -> tuple[Step, ...]:
    starts = {tier.start for price in prices.values() for tier in getattr(price, "tiers", ())}
    return tuple(_step(prices, start) for start in sorted({0, *starts}))


def _step(prices: Mapping[str, object], above: int) -> Step:
    """The rates of requests with more than ``above`` tokens of input. What comes from the cache or goes there is input like any other,
    unless it has a price of its own."""
    usual = _rate(prices[_PRICES["input"]], above)
    rates = {field: _rate(prices[name], above) if name in prices else usual for field, name in _PRICES.items()}
    return Step(**rates, above=above)


def _rate(price: object, above: int) -> Decimal:
    if isinstance(price, Decimal):
        return price
    base: Decimal = price.base  # type: ignore[attr-defined]  # a price is either a number or has steps
    reached = [tier.price for tier in price.tiers if tier.start <= above]  # type: ignore[attr-defined]
    return reached[-1] if above and reached else base


def _find(model: str, vendor: str | None) -> _Found | None:
    """Find a model under its name, or under what follows the slash of a name like ``google/gemini-2.5-pro``."""
    for name in dict.fromkeys((model, model.rpartition("/")[2])):
        for owner in (vendor,) if vendor is not None else (None, _FALLBACK):
            if (found := _lookup(name, owner)) is not None:
                return found
    return None


def _lookup(name: str, owner: str | None) -> _Found | None:
    from genai_prices.data_snapshot import get_snapshot  # so late because it takes a while

    try:
        provider, model = get_snapshot().find_provider_model(name, None, owner, None)
    except LookupError:
        return None
    return _Found(provider.name, model)


def _has(model: types.ModelInfo, selects: Mapping[str, str], moment: datetime) -> bool:
    """Tell whether a model has prices for a tier on that day, be they others or not."""
    return any(
        all(selects.get(key) == value for key, value in variant.when.items()) and variant.prices.__dict__
        for variant in model.price_variants or ()
        if variant.constraint is None or variant.constraint.active(moment)
    )


def _hourly(model: types.ModelInfo, selects: Mapping[str, str], moment: datetime) -> bool:
    """Tell whether what holds on a day holds only for some of its hours."""
    midnight = datetime.combine(moment.date(), time(tzinfo=UTC))
    hours = [midnight.replace(hour=hour) for hour in range(24)]
    return any(model.get_prices(hour, selects) != model.get_prices(moment, selects) for hour in hours)


@cache
def _version() -> str:
    return version("genai-prices")
