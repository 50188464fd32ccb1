"""What a run announces while it runs. Observers get frozen values; they never steer the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from pipeline.values import value

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.records import Purse, Result, Status, Usage


@value
class Expected:
    """What a run is expected to cost, in USD, and what that rests on; None where it is not known, and ``note`` says why."""

    low: float | None
    high: float | None
    note: str


@value
class Offer:
    """What a run is about to send, shown before the first paid request.

    ``rows`` is the number of rows of the job, None where it is not known without reading them. Each asks for ``samples`` answers, but in a
    retry only ``wanted`` ones are asked in all; ``known`` of the answers need no asking. ``secrets`` says by name what goes to whom.
    ``expected`` is the cost, None where nothing is paid.
    """

    name: str
    provider: str
    url: str
    model: str
    rows: int | None
    known: int
    output: Path
    limits: Mapping[str, float | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    samples: int = 1
    wanted: int | None = None
    secrets: tuple[str, ...] = ()
    simulated: bool = False
    expected: Expected | None = None


@value
class RunStarted:
    """Sending begins. ``rows`` is the number of rows of the job, None while it is not known; ``known`` of them are finished already.

    Where each row is asked for several ``samples``, ``known`` counts single answers. A retry asks for ``wanted`` of them.
    ``expected`` is None where nothing is paid. ``purse`` is the state of the job's budget, None where it has none.
    """

    name: str
    provider: str
    model: str
    rows: int | None
    known: int
    run_dir: Path
    simulated: bool
    samples: int = 1
    wanted: int | None = None
    expected: Expected | None = None
    purse: Purse | None = None

    @property
    def answers(self) -> int | None:
        """How many answers the run is to end with, None while that is not known; with one sample, how many rows."""
        return self.wanted if self.wanted is not None or self.rows is None else self.rows * self.samples


@value
class RowFinished:
    """A row, with ``result.rows - 1`` twins, has its result; one that is asked k times has k results."""

    result: Result


@value
class RowsKnown:
    """Rows whose answers were there when they came by, counted by their status: those of a batch of the input, all at once."""

    by_status: Mapping[Status, int]


@value
class AttemptFailed:
    """An attempt failed; ``wait_s`` is the pause in seconds before the next one, None when there is none."""

    row: int
    kind: str
    message: str
    wait_s: float | None


@value
class Spent:
    """An attempt that left has ended: ``picos`` is its price in picodollars, None where that is not known; ``purse`` is the budget."""

    picos: int | None
    purse: Purse | None = None


@value
class FunctionCalled:
    """A function of the job's was called and has ended; ``error`` is what the model is told in place of a result, None where it has one.

    ``function`` is None where the model called what the job does not have.
    """

    row: int
    function: str | None
    error: str | None


@value
class Paused:
    """The endpoint asked everyone to wait ``seconds``."""

    seconds: float
    reason: str


@value
class Stuck:
    """The watchdog found rows in flight for longer than their deadlines allow."""

    rows: tuple[int, ...]
    seconds: float


@value
class Stopping:
    """The run ends early and starts nothing new; ``in_flight`` answers are on their way and still waited for, ``wait_s`` seconds at most.

    An interrupt then waits for nothing, and ``cancels`` at the provider what is made there in the background.
    """

    in_flight: int
    reason: str
    wait_s: float
    cancels: bool = False


@value
class Notice:
    """Something a person should know once: a warning about the job, a changed input."""

    message: str


@value
class Writing:
    """All rows are settled; the table is being written. ``done`` of ``rows`` rows are."""

    done: int
    rows: int


@value
class Calls:
    """How often a function of the job's was called, how many of these calls failed, and the error of the first that did."""

    function: str | None
    made: int = 0
    failed: int = 0
    error: str | None = None

    def and_one(self, error: str | None) -> Calls:
        """Return these calls and one more, which ended with the ``error``, or well."""
        return replace(self, made=self.made + 1, failed=self.failed + (error is not None), error=self.error or error)


@value
class Money:
    """What a run's journal has cost, in picodollars (10**12 to the dollar), exact sums over attempts.

    ``table`` is what the table's rows carry, ``superseded`` what went into answers that no row uses any more; None where attempts were
    made and the cost of none of them is known. Beside both stand the attempts whose cost is not known: ``maybe_paid`` left and have no
    known end, of ``unreported`` ones the provider did not tell the tokens, of ``unpriced`` ones nobody knows the price. Together they are
    the provider's bill. ``prices`` says of each model whose price was used where it is from, ``gaps`` what prices were lacking, or the
    costs by them lack. What a ``simulated`` run cost is what a real one would have: nothing was paid.
    """

    table: int | None = 0
    superseded: int | None = 0
    maybe_paid: int = 0
    unreported: int = 0
    unpriced: int = 0
    prices: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    simulated: bool = False

    @property
    def unknown(self) -> int:
        """How many attempts have a cost that is not known."""
        return self.maybe_paid + self.unreported + self.unpriced

    def figures(self) -> dict[str, object]:
        """Return these values for machines: dollars as exact decimals in texts."""
        return {
            "cost_usd": exact_usd(self.table),
            "superseded_cost_usd": exact_usd(self.superseded),
            "attempts_of_unknown_cost": {
                "maybe_paid": self.maybe_paid,
                "unreported": self.unreported,
                "unpriced": self.unpriced,
            },
            "prices": list(self.prices),
            "cost_gaps": list(self.gaps),
        }


@value
class Caching:
    """What a run's ``requests`` took from the provider's prompt cache: of their ``input_tokens`` so many ``cached_tokens``, in ``hits``.

    Requests whose input or cached tokens the provider did not tell are left out. ``saved`` is how many picodollars more they would have
    cost, had all input been new, by the prices that are known; None where none is.
    """

    requests: int = 0
    hits: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    saved: int | None = 0

    @property
    def rate(self) -> float | None:
        """The share of input that was cached, from 0 to 1."""
        return self.cached_tokens / self.input_tokens if self.input_tokens else None

    def figures(self) -> dict[str, object]:
        """Return these values for machines: dollars as exact decimals in texts."""
        return {
            "requests": self.requests,
            "hits": self.hits,
            "input_tokens": self.input_tokens,
            "cached_tokens": self.cached_tokens,
            "hit_rate": None if self.rate is None else round(self.rate, 4),
            "saved_usd": exact_usd(self.saved),
        }


def exact_usd(picos: int | None) -> str | None:
    """Return picodollars as dollars, to the last digit."""
    return None if picos is None else f"{Decimal(picos).scaleb(-12).normalize():f}"


@value
class RunFinished:
    """The run is over; the figures are of the whole table, not only of this session, except ``functions``: calls that this process made.

    ``by_error`` says for each status how many of its rows ended so for which kind of error. ``unknown_usage`` counts the answers whose
    tokens the provider did not report, so that ``usage`` lacks them. Where each of the ``rows`` is asked for several ``samples``, every
    other count is one of single answers. ``accuracy`` says for each field with known answers how many rows are right, of how many.
    """

    output: Path | None
    rows: int
    by_status: Mapping[str, int]
    by_error: Mapping[str, Mapping[str, int]]
    usage: Usage
    attempts: int
    maybe_paid: int
    seconds: float
    exit_code: int
    simulated: bool = False
    notes: tuple[str, ...] = ()
    unknown_usage: int = 0
    samples: int = 1
    functions: tuple[Calls, ...] = ()
    accuracy: tuple[tuple[str, int, int], ...] = ()
    money: Money | None = None
    caching: Caching | None = None


Event = (
    RunStarted
    | RowFinished
    | RowsKnown
    | AttemptFailed
    | Spent
    | FunctionCalled
    | Paused
    | Stuck
    | Stopping
    | Notice
    | Writing
    | RunFinished
)
Observer = Callable[[Event], None]
