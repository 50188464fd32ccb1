"""A bill on a screen: what is known, what is not, and where the prices are from."""

from __future__ import annotations

from pipeline.events import Money
from pipeline.report.cost_lines import cost_lines

PICOS = 10**12


def test_a_bill_names_all_its_parts() -> None:
    """The table's sum, what was superseded, how many attempts have no known cost and why, prices with their sources, and gaps."""
    money = Money(2 * PICOS, PICOS // 2, 3, 0, 1_000, ("m: list \x1b price",), ("without searches",))
    assert [*cost_lines(money)] == [
        "  cost       $2.00; superseded $0.500; of unknown cost: 1,003 attempts (perhaps paid 3, no price 1,000)",
        "  price      m: list \\x1b price",
        "  cost gap   without searches",
    ]


def test_a_bill_of_which_nothing_is_known_is_not_zero() -> None:
    """Where no attempt has a price the cost is unknown; where there was no attempt there is no line."""
    assert [*cost_lines(Money(None, 0, 0, 2, 0))] == [
        "  cost       of unknown cost: 2 attempts (tokens not reported 2)"
    ]
    assert [*cost_lines(Money())] == []


def test_a_simulated_bill_says_that_it_was_not_paid() -> None:
    """The amount is what a real provider would have charged; an unknown one needs no such word, and no attempt has no line."""
    assert [*cost_lines(Money(PICOS, PICOS // 2, simulated=True))] == [
        "  cost       $1.00 if it were real; superseded $0.500"
    ]
    assert [*cost_lines(Money(None, 0, 0, 2, 0, simulated=True))] == [*cost_lines(Money(None, 0, 0, 2, 0))]
    assert [*cost_lines(Money(simulated=True))] == []


def test_many_prices_are_cut_short() -> None:
    """After five the rest is a number."""
    lines = [*cost_lines(Money(1, prices=tuple(map(str, range(8)))))]
    assert lines[1:] == [
        "  price      0",
        *(f"             {number}" for number in range(1, 5)),
        "             and 3 more",
    ]


def test_a_bill_for_machines_is_exact() -> None:
    """Dollars are decimals in texts, to the last digit, and unknown is null."""
    figures = Money(1_000_000_000_001, None, 1).figures()
    assert (figures["cost_usd"], figures["superseded_cost_usd"]) == ("1.000000000001", None)
    assert figures["attempts_of_unknown_cost"] == {"maybe_paid": 1, "unreported": 0, "unpriced": 0}
    assert Money(20 * PICOS).figures()["cost_usd"] == "20"
