"""What `check` says of prices: which ones the first rows will be charged by, where they are from, and what they leave out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.cost.prices import Book, Rates, Unpriced, could_name
from pipeline.cost.tiers import STANDARD, TIERS, tier_of
from pipeline.records import Request
from pipeline.spec.asked import may_search
from pipeline.wire.shape import is_template

if TYPE_CHECKING:
    from datetime import date
    from decimal import Decimal

    from pipeline.engine.check import Prepared
    from pipeline.errors import RowError
    from pipeline.spec.job import Job


def price_notes(prepared: Prepared, first: Sequence[tuple[int, Request | RowError]], today: date) -> tuple[str, ...]:
    """Return what each model and tier that the first rows ask for costs on a day, or why that is not known."""
    job = prepared.job
    book = Book.of(job)
    asked = dict.fromkeys(_asked(prepared, built) for _, built in first if isinstance(built, Request))
    if not asked and not is_template(job.model):
        asked = {(job.model, None): None}
    return tuple(note for model, tier in asked for note in _notes(job, model, tier, book.rates(model, tier, today)))


def idle_prices(job: Job, compared: Sequence[str] = ()) -> tuple[str, ...]:
    """Return which of the job's own prices are for no model that it asks, or that it is ``compared`` with: a name misspelt costs money.

    Nobody knows where each row names its model.
    """
    if is_template(job.model):
        return ()
    models = list(dict.fromkeys([job.model, *compared]))
    idle = [key for key in job.prices if not any(could_name(key, model) for model in models)]
    return tuple(f"prices.{key}: no model of this job is called so ({', '.join(models)})" for key in idle)


def _asked(prepared: Prepared, request: Request) -> tuple[str, str | None]:
    tier = tier_of(prepared.body(request))
    return request.model, None if tier in STANDARD else tier


def _notes(job: Job, model: str, tier: str | None, found: Rates | Unpriced) -> Iterator[str]:
    if isinstance(found, Unpriced):
        special = f", {TIERS[tier].price}: …" if tier is not None and tier in TIERS else ""
        yield f"no price: {found.reason}; the cost will be unknown. Write it under prices: {model}: {{input: …, output: …{special}}}"
        return
    yield f"price: {_described(model, tier, found)}"
    if found.doubt is not None:
        yield f"cost: {found.doubt}"
    if found.per_search is None and may_search(job):
        yield "cost: hosted searches are billed apart, and their price is not known: write per_search under prices"


def _described(model: str, tier: str | None, rates: Rates) -> str:
    """Return a model's rates in dollars for a million tokens, and where they are from."""
    amounts = [f"{_dollars(rates.input)} in"]
    amounts += [f"{_dollars(rates.cached)} cached"] if rates.cached != rates.input else []
    amounts += [f"{_dollars(rates.cache_write)} written to the cache"] if rates.cache_write != rates.input else []
    amounts.append(f"{_dollars(rates.output)} out")
    longer = [
        f"{_dollars(step.input)} in and {_dollars(step.output)} out above {step.above:,} tokens of input"
        for step in rates.steps[1:]
    ]
    per_million = f"{', '.join(amounts)} per million tokens{''.join(f', {each}' for each in longer)}"
    return f"{model}{'' if tier is None else f' ({tier})'}: {per_million} ({rates.described})"


def _dollars(rate: Decimal) -> str:
    return f"${rate.normalize():f}"
