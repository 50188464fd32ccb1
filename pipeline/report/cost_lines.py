"""What a run has cost, as lines of a screen: the sum, what is not in it, and where the prices are from."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.cost.rates import dollars
from pipeline.events import Money
from pipeline.report.text import labelled, unknown_cost, visible

MOST = 5  # lines on prices, and on gaps
UNPAID = " if it were real"  # after what simulated answers cost


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
