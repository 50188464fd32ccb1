"""What a job is expected to cost, as plain values: made by ``pipeline.engine.estimate``, shown by screens, files and pages.

Tokens and money are intervals: ``low`` and ``high`` bound what is likely, ``mid`` is the best single guess. Money is in USD, as the nearest
float of an exact sum. None is what nobody knows, never 0. Texts may come from strangers: whoever draws them escapes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from pipeline.cost.interval import Interval, summed
from pipeline.cost.rates import PICOS, Rates, Unpriced

if TYPE_CHECKING:
    from pipeline.cost.fit import Fit

How = Literal["pilot", "exact"]
"""A way in which a provider's own figures were come by."""

KINDS = ("text", "image", "video", "file", "tools", "schema")
"""What input tokens are spent on, in the order in which it is shown."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What tokens of one model in one tier cost, in USD per million, as decimal text; where that is from and of which day.

    ``missing`` says why there is no price; then the others are None. ``note`` is what should be known of the price.
    """

    model: str
    tier: str | None
    input: str | None = None
    cached: str | None = None
    output: str | None = None
    source: str | None = None
    as_of: str | None = None
    note: str | None = None
    missing: str | None = None

    @staticmethod
    def of(model: str, tier: str | None, found: Rates | Unpriced) -> Rate:
        """Return what was found of a model in a tier."""
        if isinstance(found, Unpriced):
            return Rate(model, tier, missing=found.reason)
        return Rate(
            model=model,
            tier=tier,
            input=f"{found.input.normalize():f}",
            cached=f"{found.cached.normalize():f}",
            output=f"{found.output.normalize():f}",
            source=found.source,
            as_of=None if found.as_of is None else found.as_of.isoformat(),
            note="; ".join(filter(None, (found.note, found.doubt))) or None,
        )


@dataclass(frozen=True, slots=True)
class Quote:
    """What is to be sent costs this with one model, image detail and service tier.

    ``model`` is a model's id, or in a job's ``total`` what the spec says, a template where it is one. ``detail`` and ``tier`` are None
    where they are left as the job has them; so is a detail that changes nothing, for no row has a picture. ``group`` is a value of the
    column ``Estimate.by`` as text, ``""`` an empty cell; None for all rows, or all values that are not listed: ``others`` counts those.

    ``rows`` counts input rows, ``requests`` the answers to be asked for. ``calls`` are what leaves for them: more than one where functions
    are called or answers are repaired. ``input`` has the tokens of all calls by kind (``KINDS``), ``output`` those that come back. ``cost``
    is None where it is not known, and ``missing`` says why; ``input_cost`` is the part of it that the input costs.
    """

    model: str
    detail: str | None
    tier: str | None
    rows: int
    requests: int
    calls: Interval
    input: Mapping[str, Interval]
    output: Interval
    cost: Interval | None
    missing: str | None = None
    group: str | None = None
    others: int = 0
    input_cost: Interval | None = None

    @property
    def input_total(self) -> Interval:
        """The input tokens of all kinds."""
        return summed(self.input.values())


def together(quotes: Sequence[Quote], *, model: str, detail: str | None = None, tier: str | None = None) -> Quote:
    """Return what several quotes add up to, under another name. Where one of them has no cost, nobody knows the sum."""
    costs = [quote.cost for quote in quotes if quote.cost is not None]
    parts = [quote.input_cost for quote in quotes if quote.input_cost is not None]
    return Quote(
        model=model,
        detail=detail,
        tier=tier,
        rows=sum(quote.rows for quote in quotes),
        requests=sum(quote.requests for quote in quotes),
        calls=summed(quote.calls for quote in quotes),
        input={kind: summed(quote.input[kind] for quote in quotes) for kind in KINDS},
        output=summed(quote.output for quote in quotes),
        cost=summed(costs) if len(costs) == len(quotes) else None,
        missing="; ".join(dict.fromkeys(quote.missing for quote in quotes if quote.missing)) or None,
        input_cost=summed(parts) if len(parts) == len(quotes) else None,
    )


@dataclass(frozen=True, slots=True)
class Sampled:
    """What the provider's own figures for some requests, drawn at random, say of the whole table, what is answered already included.

    A ``pilot`` asks the requests and keeps their answers, an ``exact`` count only has their input counted. ``requests`` of the ``of``
    different ones were drawn. ``input``, ``output`` (tokens) and ``cost`` (USD) are those of all of them; the intervals hold nine times in
    ten. ``spent`` is the part of the cost that the drawn ones have cost, ``used_input`` and ``used_output`` are the tokens that they used.
    ``sent`` is how often something left for it this time, 0 where all was answered before. ``input_ratio`` is what is billed for each input
    token that is counted here. ``output_quantiles`` are the output tokens of a request by share of the requests. None is what the figures
    do not tell, and ``notes`` say why.
    """

    how: How
    requests: int
    of: int
    input_ratio: Interval | None
    input: Interval | None
    output: Interval | None
    output_quantiles: Mapping[float, float]
    cost: Interval | None
    spent: float | None
    notes: Sequence[str]
    used_input: int | None = None
    used_output: int | None = None
    sent: int | None = None

    @staticmethod
    def of_fit(how: How, fit: Fit) -> Sampled:
        """Return what a fit says, in dollars."""
        return Sampled(
            how=how,
            requests=fit.requests,
            of=fit.whole.requests,
            input_ratio=fit.input_ratio,
            input=fit.input_tokens,
            output=fit.output_tokens,
            output_quantiles=fit.output_quantiles,
            cost=None if fit.cost is None else fit.cost.times(1 / PICOS),
            spent=None if fit.spent is None else fit.spent / PICOS,
            notes=fit.notes,
            used_input=fit.used_input,
            used_output=fit.used_output,
            sent=fit.sent,
        )


@dataclass(frozen=True, slots=True)
class Estimate:
    """One job, priced before it is sent.

    Of ``rows`` x ``samples`` answers, ``silent`` rows ask nothing, ``known`` answers are in the journal, ``shared`` ones are those of
    identical rows, and ``requests`` are left to send. ``total`` is the job as it stands. ``quotes`` has one quote for each model, detail
    and tier; ``groups`` the same for each value of the column ``by``, those with the most tokens first.

    ``duration_s`` is in seconds at the job's limits, None where it has none; ``duration_note`` says what it rests on. ``assumptions`` say
    what the figures rest on, ``not_counted`` what they leave out. A ``simulated`` job costs nothing: it is priced as its model would be.
    ``sampled`` is what a pilot or an exact count say of the same, and ``measured`` which of the total's ``input``, ``output`` and ``cost``
    rest on that. The input has ``input_rows``, None where that is not known, of which the settings ``chosen_by`` leave the job's.
    """

    job: str
    provider: str
    simulated: bool
    rows: int
    samples: int
    silent: int
    known: int
    shared: int
    requests: int
    total: Quote
    quotes: Sequence[Quote]
    groups: Sequence[Quote]
    by: str | None
    rates: Sequence[Rate]
    duration_s: Interval | None
    duration_note: str
    assumptions: Sequence[str]
    not_counted: Sequence[str]
    sampled: Sequence[Sampled] = ()
    measured: Mapping[str, How] = field(default_factory=dict)
    input_rows: int | None = None
    chosen_by: Sequence[str] = ()
