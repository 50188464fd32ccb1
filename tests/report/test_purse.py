"""What is said of a run's money while it runs."""

from __future__ import annotations

import pytest

from pipeline.events import Spent, Stopping
from pipeline.records import Amount, Purse
from pipeline.report.purse import Bill, money, projected, projection
from pipeline.report.tally import Tally

DOLLAR = 10**12


@pytest.fixture
def tally(started, clock) -> Tally:
    """A run of 200 rows, 50 of them known from earlier starts."""
    tally = Tally(clock)
    tally.hear(started(200, 50))
    return tally


def test_nothing_is_said_before_an_attempt_has_ended(tally) -> None:
    """No zero stands where nothing is known."""
    assert list(money(tally)) == []


@pytest.mark.parametrize(
    ("prices", "said"),
    [
        ([DOLLAR, DOLLAR // 2], ["$1.50 since this start"]),
        ([DOLLAR, None], ["$1.00 since this start", "of unknown cost: 1 attempt"]),
        ([None, None], ["of unknown cost: 2 attempts"]),
    ],
)
def test_attempts_without_a_price_are_counted_apart(tally, prices: list[int | None], said: list[str]) -> None:
    """They are never taken for free."""
    for price in prices:
        tally.hear(Spent(price))
    assert list(money(tally)) == said


def test_a_budget_says_what_all_starts_have_spent_and_what_is_left(tally, row) -> None:
    """With what is held for attempts on their way, and what all rows will have cost."""
    for number in range(10):
        tally.hear(row(number))
    tally.hear(Spent(DOLLAR, Purse(20 * DOLLAR, None, Amount(3 * DOLLAR), Amount(2 * DOLLAR))))
    assert list(money(tally)) == ["$3.00 spent", "$2.00 held", "$15.00 of $20.00 left", "about $17.00 in all"]


def test_a_budget_of_tokens_leaves_money_to_this_start(tally) -> None:
    """Nobody has counted what earlier starts cost."""
    tally.hear(Spent(DOLLAR, Purse(None, 100, Amount(0, 40), Amount())))
    assert list(money(tally)) == ["40 tokens used", "60 of 100 tokens left", "$1.00 since this start"]


@pytest.mark.parametrize(
    ("spent", "done", "rows", "whole"),
    [(100, 10, 40, 400), (100, 9, 40, None), (100, 2, 2, 100), (0, 0, 0, None), (100, 50, None, None)],
)
def test_a_projection_needs_some_rows_and_an_end(spent: int, done: int, rows: int | None, whole: int | None) -> None:
    """A few rows say nothing of many."""
    assert projected(spent, done, rows) == whole


@pytest.mark.parametrize(("asked", "whole"), [(20, 250), (9, None), (70, 160)])
def test_rows_that_were_passed_for_nothing_make_the_others_no_cheaper(asked: int, whole: int | None) -> None:
    """A run that stops passes what asks nothing at once: 50 of 80 rows are done, and those that are left will all be asked."""
    assert projected(100, 50, 80, asked) == whole


def test_what_earlier_starts_cost_has_to_be_known_for_a_projection() -> None:
    """Only a budget counts it; and a price that is unknown says nothing of the rest."""
    bill = Bill()
    bill.hear(Spent(100))
    assert bill.in_all(200, 0, 10) == 2000
    assert bill.in_all(200, 50, 10) is None
    bill.hear(Spent(None))
    assert bill.in_all(200, 0, 10) is None


def test_a_run_that_stops_projects_nothing(tally, row) -> None:
    """It will not get there."""
    for number in range(10):
        tally.hear(row(number))
    tally.hear(Spent(10, Purse(10**6, None, Amount(10), Amount())))
    assert projection(tally) == 150
    tally.hear(Stopping(0, "interrupted", 30.0))
    assert projection(tally) is None
