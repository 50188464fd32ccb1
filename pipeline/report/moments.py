"""What happened when: the run's time cut into spans of equal width, without the pauses in which no process worked on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from pipeline.cost.rates import in_dollars
from pipeline.report.groups import known_sum
from pipeline.report.story import Moment

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 120
"""Spans at most."""

_STEPS = (1.0, 2.0, 5.0, 10.0)
_SHORTEST_S = 0.1
_THROTTLED = (pl.col("http_status") == 429).fill_null(value=False) | (pl.col("error_kind") == "rate_limit").fill_null(
    value=False
)
_NEEDED = (
    *(
        "session",
        "state",
        "sent_at",
        "waited_s",
        "latency_s",
        "error_kind",
        "http_status",
        "input_tokens",
        "output_tokens",
    ),
    "cost",
)
_COUNTS = ("answered", "failed", "throttled", "input_tokens", "output_tokens")
_ANSWERED = pl.col("state").is_in(["answered", "round"])


@dataclass(frozen=True, slots=True)
class Course:
    """The moments of a run in their order, and how many pauses between its sessions were cut out, of how many seconds in all."""

    moments: Sequence[Moment]
    pauses: int = 0
    paused_s: float = 0.0


def course_of(attempts: pl.DataFrame) -> Course:
    """Return the course of a run from its attempts, as ``checkpoint.ledger`` has them.

    Those still on their way are left out, and those that were sent at no known time.
    An attempt counts where it ended; ``in_flight`` counts it over all of its time.
    """
    ended = attempts.select(_NEEDED).filter((pl.col("state") != "sent") & pl.col("sent_at").is_not_null())
    if ended.is_empty():
        return Course(())
    timed = ended.with_columns(
        pl.col("sent_at").alias("start"), (pl.col("sent_at") + pl.col("latency_s").fill_null(0.0)).alias("end")
    )
    moved, pauses, paused_s = _without_pauses(timed)
    total = float(moved["end"].max())  # type: ignore[arg-type]
    width = _width(total)
    count = min(MOST, math.floor(total / width) + 1)
    return Course(_moments(moved, width, count), pauses, paused_s)


def _without_pauses(timed: pl.DataFrame) -> tuple[pl.DataFrame, int, float]:
    """Return the attempts with seconds since the run's start, and how many pauses were cut out."""
    spans = (
        timed.group_by("session")
        .agg(pl.col("start").min().alias("from"), pl.col("end").max().alias("to"))
        .sort("session")
    )
    shifts: list[tuple[int, float]] = []
    at, pauses, paused_s, before = 0.0, 0, 0.0, None
    for session, start, end in spans.iter_rows():
        gap = 0.0 if before is None else start - before
        if gap > 0:
            pauses, paused_s = pauses + 1, paused_s + gap
        shifts.append((session, start - at))
        at += end - start
        before = end
    table = pl.DataFrame(shifts, schema={"session": timed.schema["session"], "shift": pl.Float64}, orient="row")
    joined = timed.join(table, on="session", how="left")
    return joined.with_columns(pl.col("start") - pl.col("shift"), pl.col("end") - pl.col("shift")), pauses, paused_s


def _width(total: float) -> float:
    """Return a round number of seconds of which at most ``MOST`` cover the time."""
    least = max(total / (MOST - 1), _SHORTEST_S)
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * step for step in _STEPS if power * step >= least * (1 - 1e-9))


def _moments(moved: pl.DataFrame, width: float, count: int) -> list[Moment]:
    place = (pl.col("end") / width).floor().cast(pl.Int64).clip(0, count - 1).alias("place")
    latency = pl.col("latency_s").filter(_ANSWERED)
    figures = moved.group_by(place).agg(
        _ANSWERED.sum().alias("answered"),
        (~_ANSWERED & ~_THROTTLED).sum().alias("failed"),
        (~_ANSWERED & _THROTTLED).sum().alias("throttled"),
        pl.col("input_tokens").sum(),
        pl.col("output_tokens").sum(),
        known_sum("cost"),
        latency.median().alias("median_s"),
        latency.quantile(0.95).alias("p95_s"),
        pl.col("waited_s").mean(),
    )
    by_place = {line["place"]: line for line in figures.iter_rows(named=True)}
    flying = _in_flight(moved, [index * width for index in range(count + 1)])
    return [_moment(index * width, width, by_place.get(index, {}), flying[index]) for index in range(count)]


def _moment(at_s: float, width: float, line: dict[str, Any], in_flight: float) -> Moment:
    counts: dict[str, Any] = {name: line.get(name, 0) for name in _COUNTS}
    known: dict[str, Any] = {name: line.get(name) for name in ("median_s", "p95_s", "waited_s")}
    return Moment(at_s=at_s, width_s=width, **counts, cost=in_dollars(line.get("cost")), **known, in_flight=in_flight)


def _in_flight(moved: pl.DataFrame, edges: list[float]) -> list[float]:
    """Return the mean number of attempts on their way between neighbouring edges: the growth of all their flying time, by its width."""
    flown = [
        begun - over for begun, over in zip(_elapsed(moved["start"], edges), _elapsed(moved["end"], edges), strict=True)
    ]
    spans = zip(flown, flown[1:], edges, edges[1:], strict=False)
    return [max(after - before, 0.0) / (end - start) for before, after, start, end in spans]


def _elapsed(instants: pl.Series, edges: list[float]) -> list[float]:
    """Return at each edge the seconds since all the instants before it, summed."""
    ordered = instants.sort()
    sums = ordered.cum_sum()
    passed = ordered.search_sorted(pl.Series(edges, dtype=pl.Float64)).to_list()
    return [edge * number - (sums[number - 1] if number else 0.0) for edge, number in zip(edges, passed, strict=True)]
