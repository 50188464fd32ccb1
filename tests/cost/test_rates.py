"""The arithmetic of a bill is exact, and what it cannot know it does not make up."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cost.rates import PICOS, Rates, Step, dollars
from pipeline.records import Bound, Usage

USUAL = Step(Decimal("1.25"), Decimal("0.125"), Decimal("1.5625"), Decimal(10))
LONG = Step(Decimal("2.5"), Decimal("0.25"), Decimal("3.125"), Decimal(15), above=1_000)
RATES = Rates((USUAL, LONG), "a test", per_search=Decimal("0.01"))
NONSENSE = "the provider's figures contradict each other, or cost more than $10,000"
COUNTS = st.integers(0, 10**6)
AMOUNTS = st.decimals(0, 1000, places=12, allow_nan=False)


@given(st.tuples(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS), st.tuples(COUNTS, COUNTS, COUNTS, COUNTS))
def test_a_cost_is_the_exact_sum_to_the_nearest_picodollar(
    amounts: tuple[Decimal, ...], counts: tuple[int, int, int, int]
) -> None:
    """Whatever the rates, tokens times rates differ from the cost by half a picodollar at most."""
    fresh, cached, written, output = counts
    rates = Rates((Step(*amounts),), "a test")
    cost = rates.cost(Usage(fresh + cached + written, cached, output, cache_write_tokens=written))
    exact = sum(Fraction(amount) * count for amount, count in zip(amounts, counts, strict=True)) * 10**6
    assert cost is not None
    assert abs(cost - exact) <= Fraction(1, 2)


@given(COUNTS, COUNTS, st.integers(0, 2000), st.integers(0, 100), st.data())
def test_nothing_within_a_bound_costs_more_than_its_most(
    input_tokens: int, output: int, above: int, searches: int, data: st.DataObject
) -> None:
    """Every usage within a bound, in prompts of any length, costs no more than what was set aside for it."""
    rates = Rates((USUAL, LONG if above == 0 else Step(*[Decimal(1)] * 4, above=above)), "a test", Decimal("0.01"))
    used = data.draw(st.integers(0, input_tokens))
    cached = data.draw(st.integers(0, used))
    written = data.draw(st.integers(0, used - cached))
    usage = Usage(used, cached, data.draw(st.integers(0, output)), cache_write_tokens=written)
    cost = rates.cost(usage, searches)
    assert cost is not None
    assert cost <= rates.most(Bound(input_tokens, output), searches)


def test_a_half_of_a_picodollar_goes_to_the_even_one() -> None:
    """Rounding leans neither up nor down."""
    rates = Rates((Step(*[Decimal("0.0000005")] * 4),), "a test")
    assert [rates.cost(Usage(tokens, 0, 0, cache_write_tokens=0)) for tokens in (1, 2, 3, 5)] == [0, 1, 2, 2]


def test_searches_are_added_where_their_price_is_known() -> None:
    """Three searches at a cent each are three cents on top."""
    usage = Usage(0, 0, 0, cache_write_tokens=0)
    assert RATES.cost(usage, 3) == 3 * PICOS // 100
    assert RATES.lacks(usage, 3) is None


@pytest.mark.parametrize(
    ("usage", "why"),
    [
        (Usage(), "the provider did not report the tokens"),
        (Usage(input_tokens=5), "the provider did not report the tokens"),
        (Usage(output_tokens=5), "the provider did not report the tokens"),
        (Usage(total_tokens=5), "the provider did not report the tokens"),
        (Usage(5, 6, 1), NONSENSE),
        (Usage(5, 3, 1, cache_write_tokens=3), NONSENSE),
        (Usage(5, 0, -1), NONSENSE),
        (Usage(5, -1, 1), NONSENSE),
        (Usage(10**18, 0, 1), NONSENSE),
    ],
)
def test_usage_that_says_too_little_has_no_cost(usage: Usage, why: str) -> None:
    """A cost is unknown, with its reason, where the tokens are unknown or contradict each other."""
    assert RATES.cost(usage) is None
    assert RATES.lacks(usage) == why


def test_a_cost_that_leaves_something_out_says_so() -> None:
    """Searches without a price and cached tokens without a count are told beside the cost, and so is a doubt about the rates."""
    rates = Rates((USUAL,), "a test", doubt="at the standard price")
    usage = Usage(1_000, None, 0)
    assert rates.cost(usage, 2) == 1_250_000_000
    assert rates.lacks(usage, 2) == (
        "at the standard price; the provider did not report cached tokens: all input is taken as new; "
        "the provider did not report tokens written into its cache: all input is taken as read; "
        "without its hosted searches, whose price is not known: write per_search under prices"
    )


@pytest.mark.parametrize(
    ("picos", "shown"),
    [
        (None, "unknown"),
        (0, "$0.00"),
        (1, "$0.00000000000100"),
        (72_000_000, "$0.0000720"),
        (123_400_000_000, "$0.123"),
        (PICOS, "$1.00"),
        (1_234_567 * PICOS + 5 * 10**9, "$1,234,567.00"),
    ],
)
def test_an_amount_reads_well(picos: int | None, shown: str) -> None:
    """Dollars and cents, or three digits of what is less; an unknown amount is a word."""
    assert dollars(picos) == shown
