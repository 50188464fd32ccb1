"""Breakdowns by an input column add up to all rows, however many values the column has."""

from __future__ import annotations

import polars as pl

from pipeline.checkpoint.ledger import ATTEMPTS, ROWS, Ledger
from pipeline.report.groups import MOST_GROUPS, OTHERS, breakdown


def test_a_column_of_more_values_than_are_listed_loses_no_row_and_no_cost() -> None:
    """Values beyond the listed ones are summed in one group more, even where a cell has that group's name."""
    many = 3 * MOST_GROUPS
    facts = [{"attempt": n, "request": n, "state": "answered", "cost": n + 1, "input_tokens": 2} for n in range(many)]
    lines = [{"row": n, "sample": 0, "status": "ok", "request": n, "asked": n, "carries": True} for n in range(many)]
    ledger = Ledger(pl.DataFrame(facts, schema=dict(ATTEMPTS)), pl.DataFrame(lines, schema=dict(ROWS)))
    names = [OTHERS if n == many - 1 else f"value {n}" for n in range(many)]
    told = breakdown(ledger, "many", pl.DataFrame({"row": range(many), "group": names}))
    assert len(told.groups) == MOST_GROUPS + 1
    assert told.others == many - MOST_GROUPS
    assert sum(group.rows for group in told.groups) == many
    assert sum(group.tokens.input or 0 for group in told.groups) == 2 * many
    assert abs(sum(group.cost or 0 for group in told.groups) - many * (many + 1) / 2 / 1e12) < 1e-18
