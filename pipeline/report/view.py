"""From a story to what its page shows: the few values that a template must not work out itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, NamedTuple

from pipeline.cost.prices import LAST_S
from pipeline.records import Status
from pipeline.report.figures import plain, share
from pipeline.report.story import Bill, Card, Comparison, Story, Verdicts
from pipeline.report.text import UNKNOWN_COSTS, clipped, unknown_cost

LABELS_SHOWN = 12  # of a confusion table; what is beyond is summed
MOST_CHOICES = 50  # of one filter of the gallery
MOST_RATES = 50  # that are listed
_LONGEST_NAME = 80  # characters of a model or a tier that a rate is for
_REST = "other"
_COLORS = {"ok": "good", "failed": "bad", "unknown": "bad", "pending": "idle", "cancelled": "idle", "skipped": "idle"}


class Part(NamedTuple):
    """A piece of a bar: ``kind`` names its colour."""

    kind: str
    name: str
    value: float


class Piece(NamedTuple):
    """A part as it lies in its bar, in percent of the whole."""

    kind: str
    name: str
    value: float
    x: float
    width: float


def token_parts(tokens: Mapping[str, int | None]) -> list[Part]:
    """Return what tokens consist of, without overlap: what is a part of another is taken out of it. Unknown parts are left out."""
    cached, written, reasoning = (tokens[name] or 0 for name in ("cached", "cache_write", "reasoning"))
    fresh, said = tokens["input"], tokens["output"]
    parts = [
        Part("input", "input", max(fresh - cached - written, 0) if fresh is not None else 0),
        Part("cached", "cached input", cached),
        Part("written", "written to the cache", written),
        Part("output", "output", max(said - reasoning, 0) if said is not None else 0),
        Part("reasoning", "reasoning", reasoning),
    ]
    return [part for part in parts if part.value]


def pieces(parts: Iterable[tuple[str, str, float]], most: float | None = None) -> list[Piece]:
    """Lay parts, as templates hand them over, side by side. A bar as long as ``most`` is full; without it every bar is."""
    every = [(kind, name, value) for kind, name, value in parts if value]
    whole = most or sum(value for _, _, value in every)
    laid, start = [], 0.0
    for kind, name, value in every:
        width = 100 * value / whole if whole else 0.0
        laid.append(Piece(kind, name, value, round(start, 3), round(width, 3)))
        start += width
    return laid


def status_parts(by_status: Sequence[Sequence[Any]]) -> list[Part]:
    """Return the rows by status as parts of a bar, what is as wished first."""
    ordered = sorted(by_status, key=lambda each: not each[3])
    return [Part(color_of(name), name, rows) for name, rows, _, _ in ordered if rows]


def color_of(status: str) -> str:
    """Return the kind of colour that a status has: answers that are not as wished have the one between good and bad."""
    return _COLORS.get(status, "warn")


def off(bill: Bill) -> float | None:
    """Return how far the actual cost is from the estimate's mid-point, relative to that."""
    spent = spent_of(bill)
    return None if spent is None or not bill.expected else (spent - bill.expected) / bill.expected


def scale_of(bill: Bill) -> dict[str, float] | None:
    """Return where the estimate and the actual cost lie on one line, in percent of it, or None without an estimate."""
    spent = spent_of(bill)
    if bill.expected_low is None or bill.expected_high is None or bill.expected is None or spent is None:
        return None
    end = 1.15 * max(bill.expected_high, spent, 1e-12)
    marks = {"low": bill.expected_low, "mid": bill.expected, "high": bill.expected_high, "spent": spent}
    return {name: round(100 * usd / end, 3) for name, usd in marks.items()}


def spent_of(bill: Bill) -> float | None:
    """Return all that is known to be paid, or None where nothing is."""
    known = [usd for usd in (bill.table, bill.superseded) if usd is not None]
    return sum(known) if known else None


def confusion(verdicts: Verdicts) -> dict[str, Any]:
    """Return the known labels against the answered ones as a table: its labels, and rows of (known, cells, rows).

    A cell is (rows, right, shade), ``shade`` its share of the known label's rows in tenths. The most frequent labels stand for
    themselves, the rest are summed.
    """
    sizes: dict[str, int] = {}
    for known, answered, rows in verdicts.table:
        sizes[known] = sizes.get(known, 0) + rows
        sizes.setdefault(answered, 0)
    ranked = sorted(sizes, key=lambda label: (-sizes[label], label))
    named = ranked if len(ranked) <= LABELS_SHOWN else ranked[: LABELS_SHOWN - 1]
    labels = [*named, *([_REST] if len(named) < len(ranked) else [])]
    cells = dict.fromkeys(((known, answered) for known in labels for answered in labels), 0)
    right = dict.fromkeys(labels, 0)
    for known, answered, rows in verdicts.table:
        place = (known if known in named else _REST, answered if answered in named else _REST)
        cells[place] += rows
        right[place[0]] += rows if known == answered else 0
    lines = []
    for known in labels:
        whole = sum(cells[known, answered] for answered in labels)
        line = [(cells[known, a], known == a, _shade(cells[known, a], whole)) for a in labels]
        lines.append(
            {"known": known, "cells": line, "rows": whole, "recall": share(right[known], whole) if whole else ""}
        )
    return {"labels": labels, "lines": [line for line in lines if line["rows"]]}


def _shade(rows: int, whole: int) -> int:
    return max(1, round(10 * rows / whole)) if rows else 0


def headline(story: Story) -> dict[str, Any]:
    """Return a run's figures at one glance: span, speed, rows as wished of those asked, cost of a row, and the state it is in.

    Pauses between its sessions count neither for span nor speed, and answers that no row uses not for the cost of a row.
    """
    span = _span(story)
    asked = [each for each in story.by_status if each[0] != Status.SKIPPED]
    ended = sum(rows for name, rows, _, _ in asked if name != Status.PENDING)
    answered = sum(moment.answered for moment in story.moments)
    return {
        "span": span,
        "wished": sum(rows for _, rows, _, wished in asked if wished),
        "total": sum(rows for _, rows, _, _ in asked),
        "per_row": story.bill.table * story.samples / ended if story.bill.table is not None and ended else None,
        "speed": 60 * answered / span if span and answered else None,
        "spent": spent_of(story.bill),
        "off": off(story.bill),
        "scale": scale_of(story.bill),
        "state": _state(story),
    }


def _span(story: Story) -> float | None:
    """Return how long processes worked on a run; None where the clock was set back meanwhile."""
    if story.started_at is None or story.ended_at is None:
        return None
    span = story.ended_at - story.started_at - story.paused_s
    return span if 0 <= span < LAST_S else None


def _state(story: Story) -> tuple[str, str]:
    """Return a run's state as the kind of its chip and its words."""
    if story.running:
        return "live", "running"
    if story.exit_code is None:
        return "warn", "not finished"
    ends = {
        0: ("good", "finished, every row that was asked is ok" if _skips(story) else "finished, every row is ok"),
        1: ("warn", "finished, some rows are not ok"),
        5: ("warn", "stopped by its budget"),
    }
    return ends.get(story.exit_code, ("bad", f"stopped, exit code {story.exit_code}"))


def _skips(story: Story) -> bool:
    return any(name == Status.SKIPPED for name, *_ in story.by_status)


def _tallied(names: Iterable[str]) -> list[tuple[str, int]]:
    counted = [(name, len(list(same))) for name, same in groupby(sorted(names))]
    return sorted(counted, key=lambda each: -each[1])[:MOST_CHOICES]


def tallies(cards: Sequence[Card]) -> dict[str, list[tuple[str, int]]]:
    """Return what cards can be chosen by: their statuses, tags and models, each with its number of cards."""
    return {
        "statuses": _tallied(card.status for card in cards),
        "tags": _tallied(tag for card in cards for tag in card.tags),
        "models": _tallied(card.model for card in cards if card.model is not None),
    }


def pairs(comparison: Comparison) -> list[dict[str, Any]]:
    """Return the figures of two runs side by side: name, before, after, how to show them, and whether less is better (None: neither)."""
    before, after = headline(comparison.before), headline(comparison.after)
    what = "Answers" if max(comparison.before.samples, comparison.after.samples) > 1 else "Rows"
    return [
        _pair("Cost", "money", before["spent"], after["spent"], less=True),
        _pair(f"{what} as wished", "count", before["wished"], after["wished"], less=False),
        _pair("Attempts", "count", comparison.before.attempts, comparison.after.attempts, less=True),
        *(
            _pair(
                f"{name.capitalize()} tokens",
                "short",
                getattr(comparison.before.tokens, name),
                getattr(comparison.after.tokens, name),
            )
            for name in ("input", "output", "reasoning")
        ),
        _pair("Duration", "seconds", before["span"], after["span"], less=True),
        _pair(
            "Median latency",
            "seconds",
            _latency(comparison.before, "median_s"),
            _latency(comparison.after, "median_s"),
            less=True,
        ),
        _pair(
            "Latency, 95 %",
            "seconds",
            _latency(comparison.before, "p95_s"),
            _latency(comparison.after, "p95_s"),
            less=True,
        ),
        _pair("Accuracy", "percent", _accuracy(comparison.before), _accuracy(comparison.after), less=False),
    ]


def _pair(
    name: str, form: str, before: float | None, after: float | None, *, less: bool | None = None
) -> dict[str, Any]:
    change = after - before if before is not None and after is not None else None
    better = None if less is None or not change else (change < 0) == less
    told = {"name": name, "form": form, "before": before, "after": after, "change": change, "better": better}
    if form != "percent":  # shares differ by points
        told["change"] = change / before if change is not None and before else None
    return told


def _latency(story: Story, name: str) -> float | None:
    """Return a latency of the whole run where it had one model; those of several models do not add up to one."""
    return getattr(story.models[0], name) if len(story.models) == 1 else None


def _accuracy(story: Story) -> float | None:
    return story.verdicts.accuracy if story.verdicts is not None else None


def total_of(tokens: Mapping[str, int | None]) -> int | None:
    """Return all tokens, as reported or as input and output together."""
    if tokens["total"] is not None or tokens["input"] is None or tokens["output"] is None:
        return tokens["total"]
    return tokens["input"] + tokens["output"]


def told(story: Story, shown: dict[str, Any]) -> dict[str, Any]:
    """Return what the template of a story gets. ``shown`` is the story as plain values, to which each group's tokens are added as a bar."""
    columns = [column["groups"] for column in shown["columns"]]
    for group in (each for groups in (shown["models"], *columns) for each in groups):
        group["total"] = total_of(group["tokens"])
        group["parts"] = token_parts(group["tokens"])
    bill = story.bill
    gaps = (bill.maybe_paid, bill.unreported, bill.unpriced)
    quality = [verdicts for verdicts in (story.verdicts, *story.more_verdicts) if verdicts is not None]
    return {
        "s": shown,
        "head": headline(story),
        "statuses": status_parts(story.by_status),
        "tokens": token_parts(shown["tokens"]),
        "total": total_of(shown["tokens"]),
        "most": {"models": _most_cost(shown["models"]), "columns": [_most_cost(groups) for groups in columns]},
        "heavy": {"models": _most_tokens(shown["models"]), "columns": [_most_tokens(groups) for groups in columns]},
        "gaps": [*zip(UNKNOWN_COSTS, gaps, strict=True)],
        "unclear": unknown_cost(*gaps),
        "verdicts": plain([(verdicts, confusion(verdicts)) for verdicts in quality], 80),
        "quality": bool(quality or story.retried or story.repaired or story.outliers),
        "more_rates": max(len(story.bill.rates) - MOST_RATES, 0),
        "longest": max((requests for _, requests in story.retried), default=0),
        "tallies": plain(tallies(story.cards)),
    }


def listed_rates(bill: Bill) -> Bill:
    """Return the bill with as many rates as are listed, with names of a length to be read."""
    rates = [
        replace(rate, model=clipped(rate.model, _LONGEST_NAME), tier=rate.tier and clipped(rate.tier, _LONGEST_NAME))
        for rate in bill.rates[:MOST_RATES]
    ]
    return replace(bill, rates=rates)


def _most_cost(groups: Sequence[Mapping[str, Any]]) -> float:
    return max((group["cost"] or 0.0 for group in groups), default=0.0)


def _most_tokens(groups: Sequence[Mapping[str, Any]]) -> float:
    return max((sum(part.value for part in group["parts"]) for group in groups), default=0.0)


def estimate(shown: dict[str, Any]) -> dict[str, Any]:
    """Return an estimate as plain values, each quote with its name, its input tokens as a bar, and its place among the others."""
    for quotes in ([shown["total"]], shown["quotes"], shown["groups"]):
        most = max((quote["cost"]["high"] for quote in quotes if quote["cost"] is not None), default=0.0)
        for quote in quotes:
            quote["name"] = _quote_name(quote)
            quote["parts"] = [
                Part(kind, kind, tokens["mid"]) for kind, tokens in quote["input"].items() if tokens["mid"]
            ]
            quote["total"] = sum(tokens["mid"] for tokens in quote["input"].values())
            quote["place"] = _place(quote["cost"], most or 1.0) if quote["cost"] is not None else None
    return {**shown, "heavy": _heaviest(shown["quotes"]), "heaviest": _heaviest(shown["groups"])}


def _quote_name(quote: Mapping[str, Any]) -> str:
    if quote["group"] is None:
        return str(quote["model"])
    if quote["others"]:
        return f"{quote['others']:,} others"
    return quote["group"] or "(empty)"


def _heaviest(quotes: Sequence[Mapping[str, Any]]) -> float:
    return max((quote["total"] for quote in quotes), default=0.0)


def _place(cost: Mapping[str, float], most: float) -> dict[str, float]:
    low, mid, high = (100 * cost[name] / most for name in ("low", "mid", "high"))
    return {"low": round(low, 3), "mid": round(min(mid, 99.5), 3), "width": round(max(high - low, 0.5), 3)}
