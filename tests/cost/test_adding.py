"""Requests add up to what each of them costs by itself."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cost.adding import Sum
from pipeline.cost.interval import Interval
from pipeline.cost.rates import PICOS, Rates, Step
from pipeline.cost.weigh import Weight
from pipeline.records import Usage

ONE = Interval(1, 1, 1)
FLAT = Rates((Step(Decimal(2), Decimal("0.2"), Decimal(2), Decimal(8)),), "a test")
STEPPED = Rates(
    (
        Step(Decimal(2), Decimal("0.2"), Decimal(2), Decimal(8)),
        Step(Decimal(4), Decimal("0.4"), Decimal(4), Decimal(12), above=1000),
        Step(Decimal(9), Decimal("0.9"), Decimal(9), Decimal(30), above=5000),
    ),
    "a test",
)


def text(tokens: int) -> Weight:
    """A request of so many tokens of text."""
    return Weight(text=Interval.exactly(tokens))


def added(tokens: list[int], written: int, prefix: float = 0.0) -> Sum:
    """Requests of these lengths, whose answers have so many tokens."""
    whole = Sum([1000, 5000])
    for each in tokens:
        whole.add(text(each), Interval(written, written, written), ONE, prefix=prefix)
    return whole


@given(st.lists(st.integers(1, 8000), max_size=30), st.integers(0, 500))
def test_the_sum_costs_what_its_requests_cost(tokens: list[int], written: int) -> None:
    """Also where the rate depends on how long each request is: the edge itself still has the lower rate."""
    expected = sum(STEPPED.cost(Usage(each, 0, written)) or 0 for each in tokens)
    cost = added(tokens, written).cost(STEPPED)
    assert cost.low == cost.mid == cost.high == pytest.approx(expected / PICOS)


def test_only_the_low_figure_counts_on_the_cache() -> None:
    """The shared beginning is at the cached rate in low, and never more than the request has."""
    cost = added([900, 100], 0, prefix=300.0).cost(STEPPED)
    assert cost.mid == cost.high == pytest.approx(1000 * 2 / 1e6)
    assert cost.low == pytest.approx((400 * 0.2 + 600 * 2) / 1e6)


def test_each_call_of_a_request_costs() -> None:
    """Tokens and money are those of all calls; the answers asked for are counted once."""
    whole = Sum()
    whole.add(text(100), Interval(1, 10, 20), Interval(1, 2, 5), requests=3)
    assert (whole.requests, whole.calls) == (3, Interval(3, 6, 15))
    assert whole.input["text"] == Interval(300, 600, 1500)
    assert whole.output == Interval(3, 60, 300)
    assert whole.cost(FLAT).high == pytest.approx((1500 * 2 + 300 * 8) / 1e6)


def test_sums_can_be_joined() -> None:
    """What was added up apart comes to the same as what was added up together."""
    left, right, both = added([10, 2000], 5), added([6000], 5), added([10, 2000, 6000], 5)
    left.join(right)
    assert left.cost(STEPPED) == both.cost(STEPPED)
    assert (left.requests, left.input, left.tokens) == (3, both.input, both.tokens)


def test_nothing_costs_nothing() -> None:
    """A sum without requests costs 0, for that is known."""
    assert Sum().cost(FLAT) == Interval(0, 0, 0)
