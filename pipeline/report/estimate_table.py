"""An estimate as a Parquet file: one row for each job, model, image detail, service tier and value of a column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.checkpoint.table import published
from pipeline.cost.estimate import KINDS

if TYPE_CHECKING:
    from pipeline.cost.estimate import Estimate, Quote
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
        pa.field("rows", pa.int64(), nullable=False),
        pa.field("requests", pa.int64(), nullable=False),
        *(pa.field(f"{name}_{level}", pa.float64()) for name in _INTERVALS for level in _LEVELS),
        pa.field("cost_missing", pa.string()),  # why there is no cost
    ]
)
"""The columns. Tokens and USD have a low, a mid and a high figure; a cost that nobody knows is null."""


def write_estimates(estimates: Sequence[Estimate], target: Path) -> None:
    """Write a Parquet file of everything that was priced, in one step. Raises ``DiskFailed``."""
    rows = [_row(estimate, quote, by) for estimate in estimates for quote, by in _quotes(estimate)]
    with published(target) as unfinished:
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), unfinished)


def _quotes(estimate: Estimate) -> Iterator[tuple[Quote, str | None]]:
    yield from ((quote, None) for quote in estimate.quotes)
    yield from ((quote, estimate.by) for quote in estimate.groups)


def _row(estimate: Estimate, quote: Quote, by: str | None) -> dict[str, object]:
    intervals: Mapping[str, Interval | None] = {
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
        "rows": quote.rows,
        "requests": quote.requests,
        "cost_missing": quote.missing,
        **{
            f"{name}_{level}": None if interval is None else getattr(interval, level)
            for name, interval in intervals.items()
            for level in _LEVELS
        },
    }
