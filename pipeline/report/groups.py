"""Cost, tokens and latency of attempts that have something in common: a model, or the value of an input column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline.cost.rates import in_dollars
from pipeline.records import STATUS_FACTS, Status
from pipeline.report.story import Breakdown, Group, Tokens
from pipeline.report.text import clipped

if TYPE_CHECKING:
    from pipeline.checkpoint.ledger import Ledger

MOST_GROUPS = 50
"""Values of a column, or models, that are listed; what the others add up to is one group more."""

LONGEST_NAME = 80
"""Characters of a group's name."""

OTHERS = "(all others)"

_FIGURES = {
    "input": "input_tokens",
    "cached": "cached_tokens",
    "cache_write": "cache_write_tokens",
    "output": "output_tokens",
    "reasoning": "reasoning_tokens",
    "total": "total_tokens",
}
_NEEDED = ("request", "state", "http_status", "latency_s", "cost", *_FIGURES.values())
_ANSWERED = pl.col("state").is_in(["answered", "round"])
LEFT = ~((pl.col("state") == "never") & pl.col("http_status").is_null())
"""Whether an attempt left this machine."""

_PLAIN_TIERS = ("auto", "default", "standard")
_OK = [status.value for status, fact in STATUS_FACTS.items() if fact.ok]


def known_sum(name: str) -> pl.Expr:
    """Return the sum of what is known in a column; null where nothing is."""
    return pl.when(pl.col(name).count() > 0).then(pl.col(name).sum())


def tokens_of(values: dict[str, Any]) -> Tokens:
    """Return tokens from a mapping that has the journal's names."""
    return Tokens(**{name: values.get(column) for name, column in _FIGURES.items()})


def models(ledger: Ledger) -> list[Group]:
    """Return what each model cost in each tier, over all attempts, also those of answers that no row uses any more.

    What is beyond the most expensive ones is summed in one group.
    """
    tier = pl.coalesce("service_tier", "asked_tier")
    plain = tier.is_null() | tier.is_in(_PLAIN_TIERS)
    name = pl.when(plain).then("asked_model").otherwise(pl.format("{} · {}", "asked_model", tier)).alias("group")
    attempts = ledger.attempts.select(*_NEEDED, name)
    found = _by_model(attempts, ledger)
    if len(found) > MOST_GROUPS:
        kept = pl.col("group").is_in([group.name for group in found[:MOST_GROUPS]])
        named = pl.when(kept).then("group").otherwise(pl.lit(OTHERS)).alias("group")
        found = sorted(_by_model(attempts.with_columns(named), ledger), key=lambda group: group.name == OTHERS)
    return [replace(group, name=clipped(group.name, LONGEST_NAME)) for group in found]


def _by_model(attempts: pl.DataFrame, ledger: Ledger) -> list[Group]:
    last = attempts.group_by("request").agg(pl.col("group").last())
    return _groups(attempts, ledger.rows.join(last, on="request", how="inner"))


def breakdown(ledger: Ledger, column: str, values: pl.DataFrame) -> Breakdown:
    """Return what the rows of the table that were asked cost by an input column.

    ``values`` has each row's number and the cell as text (``group``).
    """
    groups = _grouped(ledger, values)
    if len(groups) <= MOST_GROUPS:
        return Breakdown(column, groups)
    kept = [group.name for group in groups[:MOST_GROUPS]]
    others = len(groups) - len(kept)
    is_kept = pl.col("group").is_in(kept)
    rest = _grouped(ledger, values.filter(~is_kept).with_columns(pl.lit(OTHERS).alias("group")))
    return Breakdown(column, [*groups[:MOST_GROUPS], *rest], others)


def _grouped(ledger: Ledger, values: pl.DataFrame) -> list[Group]:
    asked = ledger.rows.filter(pl.col("status") != Status.SKIPPED.value)
    rows = asked.join(values, on="row", how="inner")
    carried = rows.filter(pl.col("carries")).select("request", "group")
    return _groups(ledger.attempts.select(_NEEDED).join(carried, on="request", how="inner"), rows)


def _groups(attempts: pl.DataFrame, rows: pl.DataFrame) -> list[Group]:
    """Return the groups, the most expensive first; both tables have the name of a line's in ``group``."""
    latency = pl.col("latency_s").filter(_ANSWERED)
    spent = attempts.group_by("group").agg(
        LEFT.sum().alias("attempts"),
        *map(known_sum, ("cost", *_FIGURES.values())),
        latency.median().alias("median_s"),
        latency.quantile(0.95).alias("p95_s"),
    )
    wrong = pl.col("row").filter(~pl.col("status").is_in(_OK))
    counted = rows.group_by("group").agg(pl.col("row").n_unique().alias("rows"), wrong.n_unique().alias("wrong"))
    both = counted.join(spent, on="group", how="full", coalesce=True)
    ordered = both.sort(["cost", "rows", "group"], descending=[True, True, False], nulls_last=True)
    return [_group(line) for line in ordered.iter_rows(named=True)]


def _group(line: dict[str, Any]) -> Group:
    rows = line["rows"] or 0
    return Group(
        name=line["group"],
        rows=rows,
        ok=rows - (line["wrong"] or 0),
        attempts=line["attempts"] or 0,
        cost=in_dollars(line["cost"]),
        tokens=tokens_of(line),
        median_s=line["median_s"],
        p95_s=line["p95_s"],
    )


def retried(ledger: Ledger) -> Sequence[tuple[int, int]]:
    """Return how many requests took how many attempts."""
    runs = ledger.attempts.filter(LEFT).select(pl.col("request").sort().rle().struct.field("len").alias("attempts"))
    counts = runs.group_by("attempts").len("requests").sort("attempts")
    return [(int(attempts), int(requests)) for attempts, requests in counts.iter_rows()]
