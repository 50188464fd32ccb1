"""What a run has spent, what it may still spend, and what it will have spent at its end, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.cost.rates import dollars
from pipeline.events import Spent, exact_usd
from pipeline.report.text import counted, of_unknown_cost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.events import Event
    from pipeline.records import Purse
    from pipeline.report.tally import Tally

TELLING = 10  # rows whose mean cost says something about the others


def projected(spent: int, done: int, rows: int | None, asked: int | None = None) -> int | None:
    """Return what all rows will have cost by what the ``done`` ones did; None where that says nothing.

    ``asked`` is how many of these were asked, where the others, which cost nothing, are done first.
    """
    telling = done if asked is None else min(asked, done)
    if rows is None or telling < min(TELLING, rows) or not telling:
        return None
    return spent + spent * max(rows - done, 0) // telling


def purse_parts(purse: Purse) -> Iterator[str]:
    """Yield where a budget stands, cap by cap."""
    taken = purse.spent + purse.held
    if purse.picos is not None:
        yield f"{dollars(purse.spent.picos)} spent"
        if purse.held.picos:
            yield f"{dollars(purse.held.picos)} held"
        yield f"{dollars(max(purse.picos - taken.picos, 0))} of {dollars(purse.picos)} left"
    if purse.tokens is not None:
        yield f"{counted(purse.spent.tokens, 'token')} used"
        if purse.held.tokens:
            yield f"{purse.held.tokens:,} held"
        yield f"{max(purse.tokens - taken.tokens, 0):,} of {counted(purse.tokens, 'token')} left"


def purse_figures(purse: Purse) -> dict[str, object]:
    """Return where a budget stands for machines: dollars as exact decimals in texts, tokens as numbers."""
    return {
        "usd": exact_usd(purse.picos),
        "tokens": purse.tokens,
        "spent_usd": exact_usd(purse.spent.picos if purse.picos is not None else None),
        "spent_tokens": purse.spent.tokens if purse.tokens is not None else None,
        "held_usd": exact_usd(purse.held.picos if purse.picos is not None else None),
        "held_tokens": purse.held.tokens if purse.tokens is not None else None,
    }


class Bill:
    """What has been heard of a run's money: of its attempts so far, and of the job's budget."""

    def __init__(self) -> None:
        self.ended = 0  # attempts
        self.picos = 0  # what those with a known price have cost
        self.unpriced = 0  # attempts without one
        self.purse: Purse | None = None

    def hear(self, event: Event) -> None:
        """Count an attempt that has ended."""
        if isinstance(event, Spent):
            self.ended += 1
            self.picos += event.picos or 0
            self.unpriced += event.picos is None
            self.purse = event.purse or self.purse

    @property
    def before(self) -> int | None:
        """The picodollars that earlier starts have spent; None where nobody counts them."""
        purse = self.purse
        return None if purse is None or purse.picos is None else purse.spent.picos - self.picos

    def in_all(self, rows: int | None, known: int, finished: int) -> int | None:
        """Return the picodollars that all ``rows`` will have cost by what those did that this start has ``finished``.

        None where that cannot be said, as where nobody has counted what the ``known`` ones cost that earlier starts have finished.
        """
        if rows is None or self.unpriced or (known and self.before is None):
            return None
        these = projected(self.picos, finished, rows - known)
        return None if these is None else these + (self.before or 0)


def money(tally: Tally) -> Iterator[str]:
    """Yield what is known of a run's money, nothing before an attempt has ended."""
    bill = tally.bill
    if bill.purse is not None:
        yield from purse_parts(bill.purse)
    if bill.ended and bill.before is None:
        since = " since this start" if tally.known else ""
        if bill.ended != bill.unpriced:
            yield f"{dollars(bill.picos)}{since}"
    if bill.unpriced:
        yield of_unknown_cost(bill.unpriced)
    if (in_all := projection(tally)) is not None:
        yield f"about {dollars(in_all)} in all"


def projection(tally: Tally) -> int | None:
    """Return the picodollars that a run will have cost at its end; None where that cannot be said."""
    return tally.bill.in_all(tally.rows, tally.known, tally.finished) if tally.stopping is None else None
