"""An estimate corrected by what a pilot or an exact count found: what is still to be sent then rests on the provider's figures. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pipeline.cost.interval import Interval

if TYPE_CHECKING:
    from pipeline.cost.estimate import Estimate, How, Quote, Sampled

_APART = "side by side: figures that are compared or split are estimated, not measured"


class _Found(NamedTuple):
    """What is measured of the requests that are left: tokens and USD; None is what is not."""

    input: Interval | None = None
    output: Interval | None = None
    cost: Interval | None = None


def measured(estimate: Estimate) -> Estimate:
    """Return the estimate with a ``total`` that uses its ``sampled`` figures where they tell any, and says which in ``measured``.

    Where the journal knows just the pilot's answers, what is left is what the pilot says of the table, less what it used itself. Else
    its input is scaled to the requests that are left by our count of them, its output and cost by their number.
    """
    ours = estimate.total
    total, by = ours, dict(estimate.measured)
    for sampled in estimate.sampled if ours.requests else ():
        found = _MEANS[sampled.how](ours, sampled)
        by |= {name: sampled.how for name, value in found._asdict().items() if value is not None}
        total = replace(
            total,
            input=total.input if found.input is None else _by_kind(ours, found.input),
            output=found.output or total.output,
            cost=found.cost or total.cost,
            input_cost=None,  # what it is part of is another figure now
        )
    if not by:
        return estimate
    alone = not estimate.groups and [quote.cost for quote in estimate.quotes] == [ours.cost]
    return replace(
        estimate,
        total=total,
        measured=by,
        quotes=[total] if alone else estimate.quotes,
        assumptions=[*estimate.assumptions, *([] if alone else [_APART])],
    )


def _by_pilot(ours: Quote, pilot: Sampled) -> _Found:
    """Return what a pilot says of the requests that are left."""
    only = ours.requests == pilot.of - pilot.requests  # nothing else is answered
    share = ours.requests / pilot.of

    def left(whole: Interval | None, used: float | None) -> Interval | None:
        if whole is None:
            return None
        if not only or used is None:
            return whole.times(share)
        return Interval(*(max(level - used, 0.0) for level in whole.levels))

    taken = left(pilot.input, pilot.used_input)
    if pilot.input_ratio is not None and not (only and pilot.used_input is not None):
        taken = pilot.input_ratio.times(_counted(ours) * ours.requests)
    return _Found(taken, left(pilot.output, pilot.used_output), left(pilot.cost, pilot.spent))


def _by_count(ours: Quote, exact: Sampled) -> _Found:
    """Return what a count of some requests' input says of all calls that are left, and what they cost with that input."""
    ratio, before, calls = exact.input_ratio, ours.input_total, ours.calls
    if ratio is None or not before.low:
        return _Found()
    each = ratio.times(_counted(ours))
    after = Interval(*(tokens * times for tokens, times in zip(each.levels, calls.levels, strict=True)))
    if ours.cost is None or (part := ours.input_cost) is None:
        return _Found(after)
    levels = zip(ours.cost.levels, part.levels, after.levels, before.levels, strict=True)
    return _Found(after, cost=Interval(*(whole + read * (new / old - 1) for whole, read, new, old in levels)))


def _counted(ours: Quote) -> float:
    """The input tokens of a call, by our own count."""
    return ours.input_total.mid / ours.calls.mid


def _by_kind(ours: Quote, tokens: Interval) -> dict[str, Interval]:
    """Return tokens by kind, in the proportions of our own count."""
    whole = ours.input_total.mid
    return {kind: tokens.times(each.mid / whole if whole else 0.0) for kind, each in ours.input.items()}


_MEANS: Mapping[How, Callable[[Quote, Sampled], _Found]] = {"pilot": _by_pilot, "exact": _by_count}
