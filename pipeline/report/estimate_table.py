"""An estimate as a Parquet file: one row for each job, model, image detail, service tier and value of a column.

``basis`` says what a row is: ``estimate`` is a quote, before anything is measured. A pilot or an exact count adds rows: ``measured`` is
what is left to send, by what they found; ``pilot`` and ``exact`` are what each of them says of all different requests of the table, what
is answered included, with input, output and cost alone. Where nothing is compared or split, the ``measured`` row stands for the estimate.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.checkpoint.table import published
from pipeline.cost.estimate import KINDS

if TYPE_CHECKING:
    from pipeline.cost.estimate import Estimate, Quote, Sampled
    from pipeline.cost.interval import Interval

_LEVELS = ("low", "mid", "high")
_INTERVALS = ("calls", *(f"{kind}_tokens" for kind in KINDS), "input_tokens", "output_tokens", "cost_usd")

SCHEMA = pa.schema(
    [
        pa.field("job", pa.string(), nullable=False),
        pa.field("model", pa.string(), nullable=False),
        pa.field("detail", pa.string()),  # null: as the job has it
        pa.field("tier", pa.string()),  # null: as the job has it
        pa.field("by", pa.string()),  # the column whose value `group` is; null where the line is of all rows
        pa.field("group", pa.string()),  # null beside a `by`: the values that are not listed
        pa.field("basis", pa.string(), nullable=False),  # estimate, measured, pilot or exact
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("requests", pa.int64(), nullable=False),
        *(pa.field(f"{name}_{level}", pa.float64()) for name in _INTERVALS for level in _LEVELS),
        pa.field("cost_missing", pa.string()),  # why there is no cost
    ]
)
"""The columns. Tokens and USD have a low, a mid and a high figure; a cost that nobody knows is null."""


def write_estimates(estimates: Sequence[Estimate], target: Path) -> None:
    """Write a Parquet file of everything that was priced, in one step. Raises ``DiskFailed``."""
    rows = [row for estimate in estimates for row in _rows(estimate)]
    with published(target) as unfinished:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), unfinished)


def _rows(estimate: Estimate) -> Iterator[dict[str, object]]:
    total = estimate.total
    yield from (_row(estimate, quote) for quote in estimate.quotes if quote is not total or not estimate.measured)
    yield from (_row(estimate, quote, by=estimate.by) for quote in estimate.groups)
    if estimate.measured:
        yield _row(estimate, total, basis="measured")
    yield from (_sampled_row(estimate, sampled) for sampled in estimate.sampled)


def _sampled_row(estimate: Estimate, sampled: Sampled) -> dict[str, object]:
    figures = {"input_tokens": sampled.input, "output_tokens": sampled.output, "cost_usd": sampled.cost}
    return {
        "job": estimate.job,
        "model": estimate.total.model,
        "basis": sampled.how,
        "rows": estimate.rows,
        "requests": sampled.of,
        **_levels(figures),
    }


def _row(estimate: Estimate, quote: Quote, *, by: str | None = None, basis: str = "estimate") -> dict[str, object]:
    intervals = {
        "calls": quote.calls,
        **{f"{kind}_tokens": quote.input[kind] for kind in KINDS},
        "input_tokens": quote.input_total,
        "output_tokens": quote.output,
        "cost_usd": quote.cost,
    }
    return {
        "job": estimate.job,
        "model": quote.model,
        "detail": quote.detail,
        "tier": quote.tier,
        "by": by,
        "group": quote.group,
        "basis": basis,
        "rows": quote.rows,
        "requests": quote.requests,
        "cost_missing": quote.missing,
        **_levels(intervals),
    }


def _levels(intervals: Mapping[str, Interval | None]) -> dict[str, float | None]:
    return {
        f"{name}_{level}": None if interval is None else getattr(interval, level)
        for name, interval in intervals.items()
        for level in _LEVELS
    }
