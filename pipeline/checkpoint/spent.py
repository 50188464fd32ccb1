"""What the attempts of a journal have done to a job's budget: what they have spent, and what stays held for them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline.cost.budget import used
from pipeline.cost.worst import Worst, picos_of
from pipeline.records import Amount, Purse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.checkpoint.past import Past
    from pipeline.cost.prices import Book
    from pipeline.spec.job import Job


@dataclass(slots=True)
class Before:
    """What the attempts of earlier runs have ``spent``, and what is ``kept`` for those without a known end or usage.

    ``awaited`` is what of it is kept for each attempt that the provider still works on, by fingerprint; None where nothing could be held.
    ``uncounted`` attempts have neither usage nor a bound: they ran without a budget, and nobody can say what they cost.
    """

    spent: Amount = field(default_factory=Amount)
    kept: Amount = field(default_factory=Amount)
    awaited: dict[bytes, Amount | None] = field(default_factory=dict)
    uncounted: int = 0


def purse_of(job: Job, attempts: Iterable[Past], book: Book) -> Purse | None:
    """Return where a job's budget stands after these attempts, at the prices in a book; None where it has none. Blocking."""
    caps = job.budget
    if not caps.is_set:
        return None
    before = added_up(attempts, Worst(job, job.provider.facts, book))
    return Purse(picos_of(caps.usd), caps.tokens, before.spent, before.kept)


def added_up(attempts: Iterable[Past], worst: Worst) -> Before:
    """Add up attempts, at the prices and caps of the job as it is now."""
    before = Before()
    for each in attempts:
        picos, tokens = _cost(each, worst)
        before.spent += Amount(picos or 0, tokens or 0)
        if picos is not None and tokens is not None:
            continue
        kept = worst.kept(each.charge.asked_model, each.charge.asked_tier, each.bound)
        if kept is None:
            before.uncounted += 1
        else:
            kept = Amount(kept.picos if picos is None else 0, kept.tokens if tokens is None else 0)
            before.kept += kept
        if each.awaited is not None:
            before.awaited[each.awaited] = kept
    return before


def _cost(each: Past, worst: Worst) -> tuple[int | None, int | None]:
    """Return what an attempt has cost of each cap there is, None where that is not known."""
    if each.free:
        return 0, 0
    caps, charge = worst.job.budget, each.charge
    picos = worst.book.cost(charge) if caps.usd is not None else 0
    return picos, used(charge.usage) if caps.tokens is not None else 0
