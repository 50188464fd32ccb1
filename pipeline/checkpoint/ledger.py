"""The journal as two tables of figures in memory, for sums that SQL is too slow or too poor for: medians, spans of time, input columns.

They hold no text of rows or replies: a million attempts take some hundred megabytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline.checkpoint.schema import FACTS
from pipeline.cost.prices import LAST_S

if TYPE_CHECKING:
    from pipeline.checkpoint.reader import Reader

_CHUNK = 50_000  # lines that are Python values at a time

ATTEMPTS: Mapping[str, Any] = {
    "attempt": pl.Int64,
    "request": pl.Int64,
    "session": pl.Int32,
    "state": pl.Categorical,
    "turn": pl.Categorical,
    "sent_at": pl.Float64,
    "waited_s": pl.Float64,
    "latency_s": pl.Float64,
    "asked_model": pl.Categorical,
    "asked_tier": pl.Categorical,
    "model": pl.Categorical,
    "service_tier": pl.Categorical,
    "error_kind": pl.Categorical,
    "http_status": pl.Int32,
    "input_tokens": pl.Int64,
    "cached_tokens": pl.Int64,
    "cache_write_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "reasoning_tokens": pl.Int64,
    "total_tokens": pl.Int64,
    "searches": pl.Int64,
    "cost": pl.Int64,
}
"""The columns of the attempts; ``cost`` is in picodollars, null where it is not known."""

_TIMES = ("sent_at", "waited_s", "latency_s")

ROWS: Mapping[str, Any] = {
    "row": pl.Int64,
    "sample": pl.Int32,
    "status": pl.Categorical,
    "kind": pl.Categorical,
    "request": pl.Int64,
    "asked": pl.Int64,
    "carries": pl.Boolean,
    "unreported": pl.Boolean,
}
"""The columns of the rows: ``request`` is the one whose answer stands, ``asked`` the row's own; ``carries`` says that it has the bill."""

_ATTEMPTS = f"SELECT id, {', '.join(list(ATTEMPTS)[1:-1])}, cost({', '.join(FACTS)}) FROM attempts ORDER BY id"  # noqa: S608 - our own names

_ROWS = """
SELECT r.row, r.sample, COALESCE(a.status, r.status, 'pending'), COALESCE(r.error_kind, a.error_kind), a.id, r.request,
  COALESCE(a.carrier = r.row, 0), COALESCE(a.unreported > 0, 0)
FROM rows AS r LEFT JOIN requests AS q ON q.id = r.request LEFT JOIN requests AS a ON a.id = COALESCE(q.answered_by, q.id)
WHERE r.plan = ? ORDER BY r.row, r.sample
"""


@dataclass(frozen=True, slots=True)
class Ledger:
    """All attempts of a run, and the rows of its newest plan."""

    attempts: pl.DataFrame
    rows: pl.DataFrame


def read_ledger(reader: Reader) -> Ledger:
    """Return the journal's figures. Blocking: a million attempts take some ten seconds.

    Times that can't be are null, as unknown ones are: the clock may have been set back, or the file damaged.
    """
    attempts = _frame(reader.lines(_ATTEMPTS), ATTEMPTS)
    possible = [pl.when(pl.col(name).is_between(0.0, LAST_S)).then(pl.col(name)) for name in _TIMES]
    return Ledger(attempts.with_columns(possible), _frame(reader.lines(_ROWS, (reader.plan,)), ROWS))


def _frame(lines: Iterable[Sequence[object]], schema: Mapping[str, Any]) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=schema), *_pieces(iter(lines), schema)])


def _pieces(lines: Iterator[Sequence[object]], schema: Mapping[str, Any]) -> Iterator[pl.DataFrame]:
    while chunk := list(islice(lines, _CHUNK)):
        columns = zip(*chunk, strict=True)
        yield pl.DataFrame(
            [
                pl.Series(name, values, dtype=kind, strict=False)
                for (name, kind), values in zip(schema.items(), columns, strict=True)
            ]
        )
