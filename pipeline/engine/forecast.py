"""What a run is about to cost, from some of its rows: quick enough to be shown before the first request leaves."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING

import orjson

from pipeline.checkpoint.known import observed_calls
from pipeline.cost.estimate import together
from pipeline.cost.interval import Interval
from pipeline.cost.output import Outputs
from pipeline.cost.prices import PICOS, Book
from pipeline.engine.estimate import priced_by_model, rows_of
from pipeline.engine.survey import Survey
from pipeline.events import Expected

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date

    from pipeline.cost.output import Observed
    from pipeline.engine.check import Prepared
    from pipeline.engine.feed import Selection
    from pipeline.engine.survey import Sort
    from pipeline.records import Request

LOOKED_AT = 1_000
"""Rows that are looked at."""

PATIENCE_S = 2.0
"""After so many seconds the rows seen so far have to do."""

_BLOCK = 50  # rows that are looked at together: a format that is read in blocks then skips the blocks between
_BATCH_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the requests that are left are expected to take, from the ``looked_at`` rows of them.

    ``requests`` is None where nobody knows how many there are: then the figures are those of the rows that were looked at. ``cost`` is in
    USD, None where it is not known, and ``missing`` says why. ``partial`` says that the rows looked at are the first ones, not spread.
    """

    looked_at: int
    requests: float | None
    input: Mapping[str, Interval]
    output: Interval
    cost: Interval | None
    missing: str | None
    partial: bool

    def record(self) -> str:
        """Return it for the journal: JSON, with money in whole picodollars."""
        cost = None if self.cost is None else {level: round(usd * PICOS) for level, usd in asdict(self.cost).items()}
        return orjson.dumps({**asdict(self), "cost": cost}).decode()

    def expected(self) -> Expected:
        """Return what is told before the run."""
        rows = f"{'the first ' if self.partial else ''}{self.looked_at:,} rows"
        if self.cost is None:
            return Expected(None, None, self.missing or "no price")
        if self.requests is None:
            note = f"for {rows}; how many there are is not known"
        else:
            note = f"for {self.requests:,.0f} requests, from {rows}; retries are not counted"
        return Expected(self.cost.low, self.cost.high, note)


def look_ahead(
    prepared: Prepared, selection: Selection, answers: int | None, knows: Callable[[Request], bool]
) -> Forecast:
    """Say what a run is about to cost; ``knows`` is its journal's. Blocking. See ``forecast``."""
    sort = sorted_by(knows, dedupe=prepared.dedupe)
    observed = observed_calls(prepared.job.run_path, prepared.digest())
    return forecast(prepared, selection, answers, sort, observed, datetime.now(UTC).date())


def forecast(
    prepared: Prepared,
    selection: Selection,
    answers: int | None,
    sort: Sort,
    observed: Mapping[str, Observed],
    on: date,
) -> Forecast:
    """Say what the selected rows will cost; ``answers`` is how many they lack, None where that is not known. Blocking.

    Rows are taken from the whole table in blocks at equal distances, but only from its beginning where it has not been counted, or where
    it takes long to read. Raises ``DataError``.
    """
    job = prepared.job
    fields = job.output.fields
    survey = Survey(prepared, sort, Outputs(fields.columns if fields else None, observed), Book.of(job), on)
    wanted = None if answers is None else max(ceil(answers / job.samples), 1)
    if wanted is None:
        is_whole = _look(prepared, survey, selection, LOOKED_AT)
    else:
        is_whole = _look(prepared, survey, spread(selection, ceil(wanted / LOOKED_AT)), 2 * LOOKED_AT)
    seen = survey.counts.answers
    factor = 1.0 if answers is None or not seen or seen >= answers else answers / seen
    total = together(priced_by_model(survey), model=job.model)
    return Forecast(
        looked_at=survey.counts.rows,
        requests=None if answers is None else total.requests * factor,
        input={kind: tokens.times(factor) for kind, tokens in total.input.items()},
        output=total.output.times(factor),
        cost=None if total.cost is None else total.cost.times(factor),
        missing=total.missing,
        partial=not is_whole and (answers is None or factor > 1),  # the patience may end with the last of all rows
    )


def _look(prepared: Prepared, survey: Survey, selection: Selection, most: int) -> bool:
    """Take in the selected rows. Returns False where only the first of them were: ``most``, or as many as there was time for."""
    until = time.monotonic() + PATIENCE_S
    for batch in rows_of(prepared, selection, target_bytes=_BATCH_BYTES):
        survey.see(batch[: most - survey.counts.rows])
        if survey.counts.rows >= most or time.monotonic() > until:
            return False
    return True


def spread(selection: Selection, step: int) -> Selection:
    """Return the same selection, thinned to every ``step``-th block of rows by their numbers."""
    span, samples = selection

    def holds(first: int, count: int) -> bool:
        blocks = range(first // _BLOCK, (first + count - 1) // _BLOCK + 1)
        return any(block % step == 0 for block in blocks[:step]) and span(first, count)

    return holds, lambda row: samples(row) if (row // _BLOCK) % step == 0 else ()


def sorted_by(knows: Callable[[Request], bool], *, dedupe: bool) -> Sort:
    """Return what sorts requests by a journal that is open, for a pass that sees only some of them."""
    seen: set[bytes] = set()

    def sort(request: Request) -> tuple[bool, bool]:
        is_first = not dedupe or request.fingerprint not in seen
        seen.add(request.fingerprint)
        return knows(request), is_first

    return sort
