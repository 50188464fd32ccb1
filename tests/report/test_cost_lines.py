"""A bill on a screen: what is known, what is not, and where the prices are from."""

from __future__ import annotations

from pipeline.events import Caching, Money
from pipeline.report.cost_lines import cache_lines, cost_lines

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


def test_what_the_cache_gave_is_one_line() -> None:
    """The share of input, in how many requests, and what it saved, which is left out where nobody knows the price; no hit, no line."""
    line = "  cached     87 % of 2,000 input tokens, in 9 of 10 requests"
    assert [*cache_lines(Caching(10, 9, 2_000, 1_740, PICOS // 2))] == [f"{line}; saved $0.500"]
    assert [*cache_lines(Caching(10, 9, 2_000, 1_740, None), simulated=True)] == [line]
    assert [*cache_lines(Caching(10, 9, 2_000, 1_740, 0), simulated=True)] == [f"{line}; saved $0.00 if it were real"]
    dearer = f"{line}; cost $0.500 more than without a cache"  # where writing costs more than it saved
    assert [*cache_lines(Caching(10, 9, 2_000, 1_740, -PICOS // 2))] == [dearer]
    assert [*cache_lines(Caching(10, 0, 2_000, 0, 0))] == [*cache_lines(Caching())] == []


def test_what_the_cache_gave_is_exact_for_machines() -> None:
    """Where no request told of it there is no rate, and what has no price is unknown."""
    assert Caching(10, 9, 3_000, 2_000, 1).figures() == {
        "requests": 10,
        "hits": 9,
        "input_tokens": 3_000,
        "cached_tokens": 2_000,
        "hit_rate": 0.6667,
        "saved_usd": "0.000000000001",
    }
    assert Caching(saved=None).figures()["hit_rate"] is Caching(saved=None).figures()["saved_usd"] is None


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
