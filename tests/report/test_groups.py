"""Breakdowns by an input column add up to all rows, however many values the column has."""

from __future__ import annotations

import polars as pl

from pipeline.checkpoint.ledger import ATTEMPTS, ROWS, Ledger
from pipeline.report.groups import LONGEST_NAME, MOST_GROUPS, OTHERS, breakdown, models


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


def test_models_beyond_the_listed_ones_are_summed_and_their_names_have_an_end() -> None:
    """A server may name a tier of its own in each answer; none of its rows and cost is lost, and a repeated row counts once."""
    many = 3 * MOST_GROUPS
    facts = [
        {
            "request": n // 2,
            "state": "answered",
            "cost": n + 1,
            "asked_model": "m",
            "service_tier": f"{n:03}" + "x" * 500,
        }
        for n in range(2 * many)
    ]
    lines = [{"row": n, "sample": 0, "status": "ok", "request": n, "asked": n, "carries": True} for n in range(many)]
    told = models(Ledger(pl.DataFrame(facts, schema=dict(ATTEMPTS)), pl.DataFrame(lines, schema=dict(ROWS))))
    assert (len(told), told[-1].name) == (MOST_GROUPS + 1, OTHERS)
    assert max(len(group.name) for group in told) == LONGEST_NAME
    assert sum(group.rows for group in told) == many
    assert sum(group.attempts for group in told) == 2 * many


def test_rows_that_were_never_asked_are_in_no_group() -> None:
    """The cost of a row is told of rows that may have cost something."""
    lines = [
        {"row": n, "sample": 0, "status": status, "carries": False} for n, status in enumerate(["failed", "skipped"])
    ]
    ledger = Ledger(pl.DataFrame(schema=dict(ATTEMPTS)), pl.DataFrame(lines, schema=dict(ROWS)))
    told = breakdown(ledger, "column", pl.DataFrame({"row": [0, 1], "group": ["a", "a"]}))
    assert [group.rows for group in told.groups] == [1]
