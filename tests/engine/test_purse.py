"""How a run that reached its budget goes on."""

from __future__ import annotations

import pytest

from pipeline.engine.purse import larger
from pipeline.errors import BudgetReached
from pipeline.events import Money, RunFinished
from pipeline.records import Amount, Purse, Usage

DOLLAR = 10**12


@pytest.mark.parametrize(
    ("by_status", "spent", "hint"),
    [
        (
            {"ok": 10, "pending": 20},
            4 * DOLLAR,
            "the same command with --set budget.usd=7 goes on, and should finish the 20 that are left",
        ),
        ({"ok": 10, "pending": 1}, DOLLAR, "the same command goes on, and should finish the 1 that are left"),
        ({"ok": 10}, 5 * DOLLAR, "nothing is left to ask: the same command finishes without a larger budget"),
    ],
    ids=["after another prompt", "given back since", "broken by the last"],
)
def test_only_what_is_left_asks_for_a_larger_budget(by_status: dict[str, int], spent: int, hint: str) -> None:
    """By what the rows of the table have cost, whatever the journal has spent on others."""
    rows = sum(by_status.values())
    finished = RunFinished(None, rows, by_status, {}, Usage(), 50, 0, 1.0, 5, money=Money(DOLLAR, spent - DOLLAR))
    purse = Purse(4 * DOLLAR, None, Amount(spent), Amount())
    assert larger(BudgetReached("reached", wanted=Amount(DOLLAR)), purse, finished) == hint
