"""Answers beside the known ones: how many are right, and what is taken for what."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pipeline.report.story import Verdicts

if TYPE_CHECKING:
    from pipeline.checkpoint.gold import Tally

MOST_PAIRS = 400
"""Pairs of a known and a given answer that are listed, the most frequent first."""

MOST_LABELS = 50
"""Known answers that are listed, the most frequent first."""


def verdicts(tally: Tally) -> Verdicts:
    """Return what a tally of known answers shows."""
    known: Counter[str] = Counter()
    given: Counter[str] = Counter()
    for (wanted, got), rows in tally.pairs.items():
        known[wanted] += rows
        given[got] += rows
    labels = []
    for label, rows in _ranked(known)[:MOST_LABELS]:
        right = tally.pairs[label, label]
        labels.append((label, rows, right / given[label] if given[label] else None, right / rows))
    pairs = sorted(tally.pairs.items(), key=lambda item: (-item[1], item[0]))
    return Verdicts(
        gold=tally.gold,
        field=tally.name,
        rows=tally.rows,
        right=tally.right,
        accuracy=tally.right / tally.rows if tally.rows else None,
        table=[(wanted, got, rows) for (wanted, got), rows in pairs[:MOST_PAIRS]],
        labels=labels,
        unanswered=tally.unanswered,
    )


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))
