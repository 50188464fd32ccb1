"""Which rows stand in a report's gallery: some of every kind that a person would look for, then others by chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import polars as pl

from pipeline.records import STATUS_FACTS, Status, Turn

MOST_CARDS = 300
_SPECIAL = 2  # places of rows that are special for each of one that nothing is special about
_SEED = 4  # the same choice in every report of the same run
_FINE = [status.value for status in Status if STATUS_FACTS[status].ok]
_TAGS = ("failed", "retried", "repaired", "outlier", "wrong")

Place = tuple[int, int]
"""A row and one of its samples."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The places to show by what is special about each, the most telling first; ``complete`` says that these are all there are."""

    tags: Mapping[Place, Sequence[str]]
    complete: bool


def choose(
    rows: pl.DataFrame, attempts: pl.DataFrame, outliers: Sequence[int], wrong: Sequence[int], most: int = MOST_CARDS
) -> Choice:
    """Return at most ``most`` places: of each kind in turn, so that a frequent one does not crowd out a rare one.

    ``rows`` and ``attempts`` are the ledger's; ``outliers`` and ``wrong`` are row numbers.
    """
    tagged = _tagged(rows, attempts, outliers, wrong)
    kinds = [_some(tagged.filter(pl.col(tag)), most) for tag in _TAGS[1:]]
    failed = tagged.filter(pl.col("failed")).partition_by("status", "kind", maintain_order=True)
    special = _in_turn([*(_some(group, most) for group in failed), *kinds])
    places = _merged(special, _some(tagged, most), most)
    chosen = pl.DataFrame(places, schema={"row": pl.Int64, "sample": pl.Int32}, orient="row")
    lines = chosen.join(tagged, on=["row", "sample"], how="left", maintain_order="left").iter_rows(named=True)
    complete = len(places) == tagged.height
    plain = [] if complete else ["sampled"]
    tags = {(line["row"], line["sample"]): [tag for tag in _TAGS if line[tag]] or plain for line in lines}
    return Choice(tags, complete)


def _tagged(rows: pl.DataFrame, attempts: pl.DataFrame, outliers: Sequence[int], wrong: Sequence[int]) -> pl.DataFrame:
    """Return the rows that are finished, with a column for each tag."""
    telling = pl.col("error_kind").is_not_null() | (pl.col("turn") == Turn.REPAIR.value)
    few = attempts.join(attempts.filter(telling).select("request").unique(), on="request", how="semi")
    of_request = few.group_by("request").agg(
        ((pl.len() > 1) & pl.col("error_kind").is_not_null().any()).alias("retried"),
        (pl.col("turn") == Turn.REPAIR.value).fill_null(value=False).any().alias("repaired"),
    )
    finished = rows.filter(pl.col("status") != Status.PENDING.value).join(of_request, on="request", how="left")
    first = pl.col("sample") == 0
    return finished.with_columns(
        (~pl.col("status").is_in(_FINE)).alias("failed"),
        pl.col("retried").fill_null(value=False),
        pl.col("repaired").fill_null(value=False),
        (first & pl.col("row").is_in(list(outliers))).alias("outlier"),
        (first & pl.col("row").is_in(list(wrong))).alias("wrong"),
    )


def _some(rows: pl.DataFrame, most: int) -> list[Place]:
    taken = rows.select("row", "sample").sample(min(most, rows.height), seed=_SEED, shuffle=True)
    return list(taken.iter_rows())


def _in_turn(kinds: Sequence[Sequence[Place]]) -> Iterator[Place]:
    for one_of_each in zip_longest(*kinds):
        yield from (place for place in one_of_each if place is not None)


def _merged(special: Iterator[Place], plain: Sequence[Place], most: int) -> list[Place]:
    """Return some special places, then a plain one, and so on, each once."""
    others = iter(plain)
    found: dict[Place, None] = {}
    while len(found) < most:
        before = len(found)
        for source in (*(special,) * _SPECIAL, others):
            place = next((place for place in source if place not in found), None)
            if place is not None:
                found[place] = None
        if len(found) == before:
            break
    return list(found)[:most]
