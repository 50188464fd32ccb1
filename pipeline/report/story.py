"""What a report tells, as plain values: made from a run by ``pipeline.report.tell``, drawn by ``pipeline.report.page``.

Money is in USD, as the nearest float of an exact sum; times are seconds since 1970 UTC, or seconds where the name ends in ``_s``. None is
what nobody knows, never 0. Everything that strings hold may come from strangers: it is text, and whoever draws it escapes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.cost.estimate import Rate


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens as billed. ``cached`` and ``cache_write`` are parts of ``input``, ``reasoning`` is a part of ``output``."""

    input: int | None
    cached: int | None
    cache_write: int | None
    output: int | None
    reasoning: int | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Bill:
    """The money: ``table`` is what the rows carry, ``superseded`` what was paid for answers that no row uses any more.

    Beside both stand attempts of unknown cost: ``maybe_paid`` left and have no known end, ``unreported`` were answered without a word on
    their tokens, ``unpriced`` used tokens that have no price. ``exact`` is the decimal text of table and superseded together.
    ``expected_low``, ``expected`` and ``expected_high`` are the estimate from before the run. ``budget`` is the cap, ``left`` what is left.
    """

    table: float | None
    superseded: float | None
    exact: str | None
    maybe_paid: int
    unreported: int
    unpriced: int
    rates: Sequence[Rate]
    expected_low: float | None = None
    expected: float | None = None
    expected_high: float | None = None
    budget: float | None = None
    left: float | None = None


@dataclass(frozen=True, slots=True)
class Cache:
    """What ``requests`` took from the provider's prompt cache: ``cached`` of their ``input`` tokens, in ``hits`` of them.

    ``saved`` is how much more all of it would have cost as new input; None where that has no price.
    """

    requests: int
    hits: int
    input: int
    cached: int
    saved: float | None


@dataclass(frozen=True, slots=True)
class Group:
    """Requests that have something in common: a model and tier, or a value of an input column.

    ``rows`` counts rows, ``attempts`` what left for them; ``median_s`` and ``p95_s`` are of the answering attempts' latencies.
    """

    name: str
    rows: int
    ok: int
    attempts: int
    cost: float | None
    tokens: Tokens
    median_s: float | None = None
    p95_s: float | None = None


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Cost and tokens by one input column: its most expensive values, and ``others`` values that are not listed, summed in one group."""

    column: str
    groups: Sequence[Group]
    others: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """What happened in one span of the run, ``width_s`` long from ``at_s`` seconds after its start.

    ``waited_s`` is the mean time that attempts of this span waited for their turn, ``in_flight`` the mean number on their way.
    """

    at_s: float
    width_s: float
    answered: int
    failed: int
    throttled: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    median_s: float | None
    p95_s: float | None
    waited_s: float | None
    in_flight: float


@dataclass(frozen=True, slots=True)
class Failure:
    """Rows that ended alike: how many, what to do, and some of them as (row, message)."""

    status: str
    kind: str
    rows: int
    advice: str | None
    examples: Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Trial:
    """One attempt of a row as the gallery shows it. ``reply`` is its body as indented JSON text, cut where it is long."""

    state: str
    status: str | None
    error: str | None
    latency_s: float | None
    waited_s: float | None
    model: str | None
    tier: str | None
    input_tokens: int | None
    output_tokens: int | None
    cost: float | None
    reply: str | None


@dataclass(frozen=True, slots=True)
class Card:
    """One row of the gallery.

    ``pictures`` are data URIs of small WebP pictures, ``inputs`` and ``answer`` cells as text by their columns' names. ``request`` is the
    body as indented JSON text with media by their names, None where it could not be made again. ``tags`` say why the row stands here,
    where there is a reason: ``sampled`` (of those that could not all be shown), ``failed``, ``retried``, ``repaired``, ``outlier``,
    ``wrong`` (differs from the known answer). ``made`` are generated pictures, as ``pictures`` are those that were asked about.
    """

    row: int
    sample: int
    status: str
    ok: bool
    tags: Sequence[str]
    pictures: Sequence[str]
    inputs: Mapping[str, str]
    answer: Mapping[str, str]
    error: str | None
    model: str | None
    cost: float | None
    tokens: Tokens
    attempts: int
    latency_s: float | None
    request: str | None
    trials: Sequence[Trial]
    made: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Outlier:
    """A row whose billed input tokens are far from what was expected of its request."""

    row: int
    billed: int
    expected: float
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Verdicts:
    """How the answers in ``field`` compare with the known ones in the input column ``gold``, over the ``rows`` that have both.

    ``table`` counts (known, answered, rows), the most frequent first; ``accuracy`` is None where there are no such rows. ``labels`` are
    (label, rows, precision, recall). ``unanswered`` counts rows with a known answer and none of ours.
    """

    gold: str
    field: str
    rows: int
    right: int
    accuracy: float | None
    table: Sequence[tuple[str, str, int]]
    labels: Sequence[tuple[str, int, float | None, float | None]]
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class Story:
    """Everything a report shows of one run. ``notes`` say what was sampled or could not be found out."""

    name: str
    provider: str
    simulated: bool
    version: str
    made_at: float
    started_at: float | None
    ended_at: float | None
    running: bool
    exit_code: int | None
    rows: int
    samples: int
    by_status: Sequence[tuple[str, int, str, bool]]
    """Status, rows, its meaning, whether it is as wished."""
    attempts: int
    tokens: Tokens
    bill: Bill
    models: Sequence[Group]
    columns: Sequence[Breakdown]
    moments: Sequence[Moment]
    failures: Sequence[Failure]
    retried: Sequence[tuple[int, int]]
    """(attempts, requests that took so many)."""
    repaired: int
    outliers: Sequence[Outlier]
    verdicts: Verdicts | None
    cards: Sequence[Card]
    notes: Sequence[str] = ()
    more_verdicts: Sequence[Verdicts] = ()
    """Of further fields that have known answers, where the job names several."""
    paused_s: float = 0.0
    """Seconds between its first start and its end in which no process worked on it."""
    cache: Cache | None = None
    """None where no request took anything from the cache."""


@dataclass(frozen=True, slots=True)
class Change:
    """A row whose answer differs between two runs: what it asks, and both answers as text by the names of their fields."""

    row: int
    inputs: Mapping[str, str]
    pictures: Sequence[str]
    before: Mapping[str, str]
    after: Mapping[str, str]
    before_status: str
    after_status: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs side by side, over the ``rows`` that both have; ``only_before`` and ``only_after`` count the others.

    ``same`` and ``changed`` count rows that either run answered, ``neither`` those that neither did. ``fields`` are (field, rows that
    agree, rows compared, agreement beyond chance). ``changes`` are some of the ``changed`` rows.
    """

    before: Story
    after: Story
    rows: int
    only_before: int
    only_after: int
    same: int
    changed: int
    fields: Sequence[tuple[str, int, int, float | None]]
    changes: Sequence[Change]
    notes: Sequence[str] = ()
    neither: int = 0
