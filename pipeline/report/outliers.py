"""Rows whose billed tokens are far from what was to be expected of their requests.

Expected is what the counting rules of the job's model say, without asking anyone. Where a rule is off by the same factor for all rows, that
is no news about any of them: so each is held against the median of all, and has to be three robust deviations and a quarter away from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING

import polars as pl

from pipeline.cost.weigh import Scales, with_extents
from pipeline.report.story import Outlier
from pipeline.report.text import counted

if TYPE_CHECKING:
    from pipeline.checkpoint.ledger import Ledger
    from pipeline.records import Request
    from pipeline.report.subject import Input, Subject

MOST_ROWS = 20_000
"""Rows that are weighed again, spread evenly over the table."""

MOST_OUTLIERS = 50
_FEWEST = 8  # rows below which nothing is usual yet
_DEVIATIONS = 3.0
_FACTOR = 1.25
_TO_SIGMA = 1.4826  # from the median deviation to the standard deviation of a normal distribution
_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Unusual:
    """The outliers, the farthest first, and what to know about how they were found."""

    outliers: Sequence[Outlier]
    notes: Sequence[str]


def unusual(subject: Subject, ledger: Ledger) -> Unusual:
    """Return the rows whose first answered attempt was billed unusually many or few input tokens. Blocking. Raises ``DataError``."""
    billed = _billed(ledger)
    weighed = dict(_spread(billed))
    if subject.input is None or len(weighed) < _FEWEST:
        return Unusual((), ())
    expected = _expected(subject, subject.input, weighed)
    ratios = {
        row: math.log(weighed[row] / tokens) for row, tokens in expected.items() if tokens > 0 and weighed[row] > 0
    }
    if len(ratios) < _FEWEST:
        return Unusual((), ())
    usual = median(ratios.values())
    spread = _TO_SIGMA * median(abs(ratio - usual) for ratio in ratios.values())
    limit = max(_DEVIATIONS * spread, math.log(_FACTOR))
    far = sorted((row for row in ratios if abs(ratios[row] - usual) > limit), key=lambda row: -abs(ratios[row] - usual))
    found = [Outlier(row, weighed[row], expected[row], _note(ratios[row] - usual)) for row in far[:MOST_OUTLIERS]]
    return Unusual(found, _notes(len(ratios), billed.height, len(far), math.exp(usual)))


def _note(ratio: float) -> str:
    factor = math.exp(abs(ratio))
    return f"{factor:.1f} times {'more' if ratio > 0 else 'fewer'} than is usual in this run"


def _notes(weighed: int, rows: int, far: int, usual: float) -> list[str]:
    of = counted(rows, "row") if weighed == rows else f"{weighed:,} of {counted(rows, 'row')}, spread over the table"
    shown = f"; the {MOST_OUTLIERS} farthest of {far:,} are shown" if far > MOST_OUTLIERS else ""
    return [f"billed input was held against the expected for {of}: {usual:.2f} times as much in the median{shown}"]


def _billed(ledger: Ledger) -> pl.DataFrame:
    """Return the rows that carry a bill, each with the input tokens of its first answered attempt that was no further round."""
    answered = pl.col("state").is_in(["answered", "round"])
    first = answered & pl.col("turn").is_null() & pl.col("input_tokens").is_not_null()
    attempts = ledger.attempts.lazy().filter(first).group_by("request").agg(pl.col("input_tokens").first())
    asked = (pl.col("sample") == 0) & pl.col("carries") & (pl.col("request") == pl.col("asked"))
    rows = ledger.rows.lazy().filter(asked).select("row", "request")
    return rows.join(attempts, on="request", how="inner").select("row", "input_tokens").sort("row").collect()


def _spread(billed: pl.DataFrame) -> Iterator[tuple[int, int]]:
    step = max(1, math.ceil(billed.height / MOST_ROWS))
    yield from billed.gather_every(step).iter_rows()


def _expected(subject: Subject, found: Input, rows: dict[int, int]) -> dict[int, float]:
    """Return the expected input tokens of these rows' requests, as far as they can be made again."""
    scales = Scales(subject.job.media, subject.endpoint.dialect)
    expected: dict[int, float] = {}
    requests = _requests(found, rows)
    while some := list(islice(requests, _BATCH)):
        weights = scales.weigh(some)
        expected.update((request.row, weight.total.mid) for request, weight in zip(some, weights, strict=True))
    return expected


def _requests(found: Input, rows: dict[int, int]) -> Iterator[Request]:
    for row, cells in found.cells(rows, found.builder.columns):
        if (request := found.request(row, cells)) is not None:
            yield with_extents(request)
