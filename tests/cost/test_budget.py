"""A budget: never more spent and held than its caps, first come first served, and an end where nothing can free any of it."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from decimal import Decimal

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cost.budget import Budget, enough, reached, rounded_up, used
from pipeline.errors import BudgetReached
from pipeline.records import Amount, Purse, Usage

pytestmark = pytest.mark.anyio


def picos(number: int) -> Amount:
    """Return money alone."""
    return Amount(number)


async def test_what_fits_passes_at_once_and_is_held() -> None:
    """Up to the last picodollar."""
    budget = Budget(100, None)
    await budget.hold(picos(60), 0)
    await budget.hold(picos(40), 1)
    assert budget.purse == Purse(100, None, Amount(), Amount(100))


async def test_waiters_get_their_money_in_their_order() -> None:
    """A small one does not overtake a large one that came before it, which would wait for ever."""
    budget, passed = Budget(100, None), list[int]()

    async def ask(worst: int) -> None:
        await budget.hold(picos(worst), worst)
        passed.append(worst)

    await budget.hold(picos(90), 0)
    async with anyio.create_task_group() as group:
        for worst in (70, 20, 10):
            group.start_soon(ask, worst)
            await anyio.wait_all_tasks_blocked()
        assert passed == []
        budget.settle(picos(90), 25, None)
        await anyio.wait_all_tasks_blocked()
        assert passed == [70]
        budget.settle(picos(70), 5, None)
    assert passed == [70, 20, 10]
    assert budget.purse == Purse(100, None, Amount(30), Amount(30))


async def test_the_budget_is_reached_only_when_nothing_is_on_its_way() -> None:
    """What is on its way may give something back; what stays held for an unknown end gives nothing."""
    budget, ended = Budget(100, None), list[str]()

    async def ask() -> None:
        with pytest.raises(BudgetReached, match=r"row 7\) could cost"):
            await budget.hold(picos(30), 7)
        ended.append("reached")

    await budget.hold(picos(50), 0)
    await budget.hold(picos(50), 1)
    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        budget.settle(picos(50), 40, None)
        await anyio.wait_all_tasks_blocked()
        assert ended == []
        budget.settle(picos(50), None, None)
    assert ended == ["reached"]
    assert budget.purse == Purse(100, None, Amount(40), Amount(50))


async def test_once_reached_nothing_passes_any_more() -> None:
    """Not even what would fit: the run is about to stop."""
    budget = Budget(100, None)
    for worst in (101, 1):
        with pytest.raises(BudgetReached):
            await budget.hold(picos(worst), 0)


async def test_all_who_wait_hear_that_the_budget_is_reached() -> None:
    """Nobody is left waiting."""
    budget, ended = Budget(10, None), list[int]()

    async def ask(row: int) -> None:
        with pytest.raises(BudgetReached):
            await budget.hold(picos(9), row)
        ended.append(row)

    await budget.hold(picos(9), 0)
    async with anyio.create_task_group() as group:
        for row in range(1, 65):
            group.start_soon(ask, row)
        await anyio.wait_all_tasks_blocked()
        budget.settle(picos(9), 9, None)
    assert sorted(ended) == list(range(1, 65))


async def test_who_is_cancelled_in_the_line_holds_nothing_and_lets_the_next_pass() -> None:
    """The one behind it gets what it did not take."""
    budget = Budget(100, None)
    await budget.hold(picos(80), 0)

    async def wait(scope: anyio.CancelScope) -> None:
        with scope:
            await budget.hold(picos(90), 1)

    head = anyio.CancelScope()
    async with anyio.create_task_group() as group:
        group.start_soon(wait, head)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(budget.hold, picos(15), 2)
        await anyio.wait_all_tasks_blocked()
        assert budget.purse.held == Amount(80)
        head.cancel()
    assert budget.purse.held == Amount(95)


async def test_each_cap_is_settled_by_what_is_known_of_it() -> None:
    """Tokens without a price go into the one and stay held in the other; what has no cap is not counted."""
    both = Budget(100, 100)
    await both.hold(Amount(10, 20), 0)
    both.settle(Amount(10, 20), None, 5)
    assert both.purse == Purse(100, 100, Amount(0, 5), Amount(10, 0))
    tokens = Budget(None, 100)
    await tokens.hold(Amount(10, 20), 0)
    assert tokens.purse == Purse(None, 100, Amount(), Amount(0, 20))


async def test_an_attempt_of_an_earlier_run_is_not_held_twice() -> None:
    """Its worst case takes the place of what was kept for it, also where that was nothing and the cap leaves no room."""
    budget = Budget(100, None, spent=picos(40), kept=picos(60))
    budget.take_over(picos(60), picos(60))
    budget.take_over(picos(30), Amount())
    assert budget.purse.held == Amount(90)
    assert budget.exceeded
    budget.settle(picos(60), 10, None)
    budget.settle(picos(30), 10, None)
    assert budget.purse == Purse(100, None, Amount(60), Amount(0))


@given(
    cap=st.integers(1, 300),
    worst=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=40),
    seed=st.integers(0, 2**32),
)
async def test_whatever_attempts_cost_the_cap_holds_and_nobody_hangs(
    cap: int, worst: Sequence[tuple[int, int]], seed: int
) -> None:
    """Attempts of any size, in any order, some cancelled and some without a known end: spent and held stay within the cap."""
    dice, budget = random.Random(seed), Budget(cap, cap)

    async def attempt(row: int, most: Amount, scope: anyio.CancelScope) -> None:
        with scope, contextlib.suppress(BudgetReached):
            await _turns(dice)
            await budget.hold(most, row)
            _within(budget, cap)
            with anyio.CancelScope(shield=True):
                await _turns(dice)
            known = dice.random() < 0.8
            cost = dice.randint(0, most.picos), dice.randint(0, most.tokens)
            budget.settle(most, *(cost if known else (None, None)))
            _within(budget, cap)

    async with anyio.create_task_group() as group:
        scopes = [anyio.CancelScope() for _ in worst]
        for row, (most, scope) in enumerate(zip(worst, scopes, strict=True)):
            group.start_soon(attempt, row, Amount(*most), scope)
        for scope in dice.sample(scopes, len(scopes) // 4):
            await _turns(dice)
            scope.cancel()
    _within(budget, cap)


async def _turns(dice: random.Random) -> None:
    """Let others go on, some times."""
    for _ in range(dice.randint(0, 5)):
        await checkpoint()


def _within(budget: Budget, cap: int) -> None:
    whole = budget.purse.spent + budget.purse.held
    assert 0 <= whole.picos <= cap
    assert 0 <= whole.tokens <= cap


@pytest.mark.parametrize(("number", "shown"), [("0.01234", "0.013"), ("1234", "1300"), ("12", "12"), ("0.06", "0.06")])
def test_a_cap_to_set_is_rounded_up(number: str, shown: str) -> None:
    """To two digits that count."""
    assert rounded_up(Decimal(number)) == shown


def test_a_larger_cap_is_what_the_rows_have_cost_so_far_and_room_for_the_last() -> None:
    """Only the caps that would not do are named; without an answer so far, worst cases are all there is to go by."""
    dollar = 10**12
    purse = Purse(2 * dollar, 10_000, Amount(dollar, 100), Amount(dollar // 2, 0))
    assert enough(purse, Amount(dollar, 10), purse.spent, answers=10, left=20) == ["budget.usd=4.5"]
    assert enough(purse, Amount(dollar, 5000), purse.spent, 0, left=20) == ["budget.usd=22", "budget.tokens=110000"]


def test_what_other_answers_have_cost_makes_no_larger_cap() -> None:
    """Money spent on an earlier prompt is gone, but the rows that are left cost what those of this prompt do."""
    dollar = 10**12
    purse = Purse(2 * dollar, None, Amount(2 * dollar), Amount())
    assert enough(purse, Amount(dollar), Amount(dollar // 10), answers=10, left=100) == ["budget.usd=4"]


async def test_a_broken_cap_names_what_is_still_on_its_way_as_such() -> None:
    """Others are out when one answer breaks it: they may end well."""
    budget = Budget(100, None)
    await budget.hold(picos(40), 0)
    await budget.hold(picos(40), 1)
    budget.settle(picos(40), 90, None)
    assert budget.exceeded
    assert "held for attempts on their way or of unknown cost, and row 3 cost more" in str(
        reached(budget.purse, Amount(), 3)
    )


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        (Usage(), None),
        (Usage(input_tokens=3), None),
        (Usage(input_tokens=3, output_tokens=4), 7),
        (Usage(input_tokens=3, output_tokens=4, total_tokens=9), 9),
        (Usage(input_tokens=3, output_tokens=4, total_tokens=1), 7),
        (Usage(total_tokens=9), 9),
    ],
)
def test_tokens_are_used_as_they_were_reported(usage: Usage, tokens: int | None) -> None:
    """What was not reported is not known."""
    assert used(usage) == tokens
