"""What a run cost, as a report tells it: the bill, and the rates that it was reckoned with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import orjson
import polars as pl

from pipeline.checkpoint.past import past_by
from pipeline.checkpoint.spent import purse_of
from pipeline.cost.estimate import Rate
from pipeline.cost.rates import in_dollars
from pipeline.events import exact_usd
from pipeline.report.story import Bill

if TYPE_CHECKING:
    from pipeline.cost.prices import Book
    from pipeline.events import Money
    from pipeline.report.subject import Subject

_HAS_ESTIMATES = "SELECT COUNT(*) FROM pragma_table_info('sessions') WHERE name = 'estimate'"
_FIRST_ESTIMATE = """
SELECT id, estimate FROM sessions
WHERE estimate IS NOT NULL AND id > COALESCE((SELECT MAX(id) FROM sessions WHERE plan != ?), 0) ORDER BY id LIMIT 1
"""
_PRICED_BY = ("asked_model", "asked_tier", "model", "service_tier")


def rates_of(book: Book, attempts: pl.DataFrame) -> list[Rate]:
    """Return the rates of all that was used, each once, in the order in which it was first used; what has none says why."""
    timed = pl.col("input_tokens").is_not_null() & pl.col("sent_at").is_not_null()
    used = attempts.filter(timed).select(*_PRICED_BY, "sent_at")
    day = (pl.col("sent_at") // 86_400).alias("day")
    first = used.group_by(*_PRICED_BY, day, maintain_order=True).first()
    rates: dict[Rate, None] = {}
    for attempt in first.iter_rows(named=True):
        found = book.served(*(attempt[name] for name in (*_PRICED_BY, "sent_at")))
        model, tier = attempt["model"] or attempt["asked_model"], attempt["service_tier"] or attempt["asked_tier"]
        rates[Rate.of(model, tier, found)] = None
    return list(rates)


def bill_of(subject: Subject, money: Money, attempts: pl.DataFrame) -> Bill:
    """Return the bill of a run, by what its journal has cost, beside what was expected of it and what it may cost.

    ``attempts`` are those of the journal, as ``checkpoint.ledger`` has them.
    """
    known = [part for part in (money.table, money.superseded) if part is not None]
    expected = _expected(subject, attempts)
    purse = purse_of(subject.job, past_by(subject.reader.lines), subject.book)
    cap = None if purse is None else purse.picos
    return Bill(
        table=in_dollars(money.table),
        superseded=in_dollars(money.superseded),
        exact=exact_usd(sum(known) if known else None),
        maybe_paid=money.maybe_paid,
        unreported=money.unreported,
        unpriced=money.unpriced,
        rates=rates_of(subject.book, attempts),
        expected_low=in_dollars(expected.get("low")),
        expected=in_dollars(expected.get("mid")),
        expected_high=in_dollars(expected.get("high")),
        budget=in_dollars(cap),
        left=None if cap is None or purse is None else in_dollars(max(cap - (purse.spent + purse.held).picos, 0)),
    )


def _expected(subject: Subject, attempts: pl.DataFrame) -> Mapping[str, int]:
    """Return what was expected of the whole run since the job last changed; nothing where nobody has reckoned since then.

    An estimate is of what is left to ask: what pilots and runs before it had cost comes on top, as it stands in the bill, too.
    """
    if not next(subject.reader.lines(_HAS_ESTIMATES))[0]:
        return {}
    for session, estimate in subject.reader.lines(_FIRST_ESTIMATE, (subject.reader.plan,)):
        found = orjson.loads(estimate)
        if found.get("cost") is not None and found.get("requests") is not None:
            paid = int(attempts.filter(pl.col("session") < session)["cost"].sum())
            return {level: picos + paid for level, picos in found["cost"].items()}
    return {}
