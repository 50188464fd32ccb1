"""What is left to send, by what a pilot or a count of the provider's found."""

from __future__ import annotations

from dataclasses import astuple, replace

import pytest

from pipeline.cost.estimate import KINDS, Estimate, Quote, Sampled
from pipeline.cost.interval import ZERO, Interval
from pipeline.cost.measured import measured


def ours(requests: int = 90, calls: Interval | None = None) -> Quote:
    """Requests of 100 tokens each, 60 of text and 40 of pictures, at a dollar a token of input and ten in all for the output."""
    calls = calls or Interval(requests, requests, requests)
    tokens = {"text": calls.times(60), "image": calls.times(40)}
    return Quote(
        model="m",
        detail=None,
        tier=None,
        rows=100,
        requests=requests,
        calls=calls,
        input=dict.fromkeys(KINDS, ZERO) | tokens,
        output=Interval(1, 2, 7),
        cost=calls.times(100) + Interval(10, 10, 10),
        input_cost=calls.times(100),
    )


def estimate(total: Quote, *sampled: Sampled) -> Estimate:
    """An estimate of a table of 100 requests, of which the total's are left."""
    return Estimate(
        job="j",
        provider="p",
        simulated=False,
        rows=100,
        samples=1,
        silent=0,
        known=100 - total.requests,
        shared=0,
        requests=total.requests,
        total=total,
        quotes=(total,),
        groups=(),
        by=None,
        rates=(),
        duration_s=None,
        duration_note="",
        assumptions=(),
        not_counted=(),
        sampled=sampled,
    )


PILOT = Sampled(
    how="pilot",
    requests=10,
    of=100,
    input_ratio=Interval(1.1, 1.2, 1.3),
    input=Interval(11_000, 12_000, 13_000),
    output=Interval(500, 600, 700),
    output_quantiles={},
    cost=Interval(20.0, 30.0, 40.0),
    spent=3.0,
    notes=(),
    used_input=1200,
    used_output=50,
)
EXACT = replace(PILOT, how="exact", output=None, cost=None, spent=None, used_input=None, used_output=None)


def test_what_is_left_of_a_pilot_is_the_table_less_the_pilot() -> None:
    """Input, output and cost, nothing of them guessed; the only quote is the total, and the kinds keep their proportions."""
    made = measured(estimate(ours(), PILOT))
    assert astuple(made.total.input_total) == pytest.approx((9_800, 10_800, 11_800))
    assert made.total.input["text"].mid == pytest.approx(0.6 * 10_800)
    assert made.total.output == Interval(450, 550, 650)
    assert made.total.cost == Interval(17, 27, 37)
    assert made.measured == {"input": "pilot", "output": "pilot", "cost": "pilot"}
    assert made.quotes == [made.total]


def test_where_more_is_answered_a_pilot_counts_by_request() -> None:
    """Input by its ratio to our own count, output and cost as the table has them for each request."""
    total = measured(estimate(ours(40), PILOT)).total
    assert astuple(total.input_total) == pytest.approx((4_400, 4_800, 5_200))
    assert astuple(total.output) == pytest.approx((200, 240, 280))
    assert astuple(total.cost or ZERO) == pytest.approx((8, 12, 16))


def test_an_exact_count_corrects_the_input_and_what_it_costs() -> None:
    """The output's part of the cost stays, and so do the rounds that nobody counted."""
    total = measured(estimate(ours(), EXACT)).total
    assert astuple(total.input_total) == pytest.approx((9_900, 10_800, 11_700))
    assert astuple(total.cost or ZERO) == pytest.approx((9_910, 10_810, 11_710))
    assert total.output == ours().output
    rounds = measured(estimate(ours(calls=Interval(90, 180, 270)), EXACT)).total
    assert astuple(rounds.input_total) == pytest.approx((9_900, 21_600, 35_100))


def test_a_pilot_goes_before_a_count_and_unknown_figures_change_nothing() -> None:
    """Each figure by the best that is known of it; a pilot too small to tell leaves the estimate as it was."""
    both = measured(estimate(ours(), EXACT, replace(PILOT, cost=None, output=None)))
    assert both.measured == {"input": "pilot", "cost": "exact"}
    small = replace(PILOT, input_ratio=None, input=None, output=None, cost=None)
    made = estimate(ours(), small)
    assert measured(made) is made
    done = estimate(ours(0), PILOT)
    assert measured(done) is done


def test_compared_figures_stay_and_are_said_to() -> None:
    """A pilot asked one model; what others would cost rests on no figure of theirs."""
    made = replace(estimate(ours(), PILOT), quotes=(ours(), replace(ours(), model="n", cost=None)))
    assert measured(made).quotes == made.quotes
    assert measured(made).assumptions[-1].startswith("side by side:")
