"""What a run has cost, as lines of a screen: the sum, what is not in it, and where the prices are from."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.cost.rates import dollars
from pipeline.events import Caching, Money
from pipeline.report.text import counted, labelled, share, unknown_cost, visible

MOST = 5  # lines on prices, and on gaps
UNPAID = " if it were real"  # after what simulated answers cost


def cache_lines(caching: Caching, *, simulated: bool = False) -> Iterator[str]:
    """Yield a line on what the provider's prompt cache gave; nothing where it gave nothing."""
    if caching.hits:
        part = share(caching.cached_tokens, caching.input_tokens)
        taken = f"{part} of {caching.input_tokens:,} input tokens, in {caching.hits:,} of {counted(caching.requests, 'request')}"
        yield labelled(
            "cached", taken + _saving(caching.saved) + (UNPAID if simulated and caching.saved is not None else "")
        )


def _saving(saved: int | None) -> str:
    if saved is None:
        return ""
    return f"; saved {dollars(saved)}" if saved >= 0 else f"; cost {dollars(-saved)} more than without a cache"


def cost_lines(money: Money) -> Iterator[str]:
    """Yield what a run has cost; nothing where it made no attempt that could cost anything."""
    if money == Money(simulated=money.simulated):
        return
    yield labelled("cost", "; ".join(_parts(money)))
    yield from _listed("price", money.prices)
    yield from _listed("cost gap", money.gaps)


def _parts(money: Money) -> Iterator[str]:
    unknown = unknown_cost(money.maybe_paid, money.unreported, money.unpriced)
    if money.table is not None or money.superseded or unknown is None:
        yield dollars(money.table) + (UNPAID if money.simulated and money.table is not None else "")
    if money.superseded:
        yield f"superseded {dollars(money.superseded)}"
    if unknown is not None:
        yield unknown


def _listed(label: str, texts: tuple[str, ...]) -> Iterator[str]:
    for text in texts[:MOST]:
        yield labelled(label, visible(text))
        label = ""
    if len(texts) > MOST:
        yield labelled("", f"and {len(texts) - MOST:,} more")
