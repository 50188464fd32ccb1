"""Rows that ended alike and not as wished: how many, what to do about them, and some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pipeline.checkpoint.schema import RESULT
from pipeline.records import STATUS_FACTS, Status
from pipeline.report.advice import mend
from pipeline.report.story import Failure

if TYPE_CHECKING:
    from pipeline.checkpoint.reader import Reader

MOST_EXAMPLES = 5
_LONGEST = 500  # characters of a message
_MESSAGE, _SAMPLE = RESULT.index("error_message"), RESULT.index("sample")
_FINE = [status.value for status in Status if STATUS_FACTS[status].ok or status is Status.PENDING]


def failures(reader: Reader, rows: pl.DataFrame, command: str) -> list[Failure]:
    """Return the failures of a run, the most frequent first; ``rows`` are the ledger's, ``command`` is how the run is started."""
    wrong = rows.filter(~pl.col("status").is_in(_FINE))
    grouped = wrong.group_by("status", "kind").agg(
        pl.col("row").n_unique().alias("rows"), pl.struct("row", "sample").head(MOST_EXAMPLES).alias("first")
    )
    ordered = grouped.sort(["rows", "status", "kind"], descending=[True, False, False])
    return [
        Failure(
            status=line["status"],
            kind=line["kind"] or "",
            rows=line["rows"],
            advice=mend(line["status"], line["kind"], command),
            examples=[(each["row"], _message(reader, each["row"], each["sample"])) for each in line["first"]],
        )
        for line in ordered.iter_rows(named=True)
    ]


def _message(reader: Reader, row: int, sample: int) -> str:
    found = [line[_MESSAGE] for line in reader.results(row, row) if line[_SAMPLE] == sample]
    text = str(found[0]) if found and found[0] is not None else ""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
