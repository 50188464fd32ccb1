"""What a pilot's requests say: corrections by kind, lengths, and totals, with what they cannot say."""

from __future__ import annotations

import random
from dataclasses import astuple

import pytest

from pipeline.cost.fit import Observation, Whole, fit
from pipeline.cost.interval import ZERO, Interval


def observed(count: int, *, videos: int = 0, priced: bool = True) -> list[Observation]:
    """Requests of text, half of them with a picture and a few with a video, billed by factors that are to be found."""
    dice = random.Random(1)
    found = []
    for number in range(count):
        expected = {
            "text": dice.uniform(50, 500),
            "tools": 30.0,
            "image": dice.choice((765.0, 2400.0)) if number % 2 else 0.0,
            "video": 3000.0 if number < videos else 0.0,
        }
        billed = round(1.2 * (expected["text"] + 30) + 0.9 * expected["image"] + 1.5 * expected["video"])
        length = dice.randrange(10, 90)
        found.append(Observation(expected, billed, length, 750 * billed + 4500 * length if priced else None))
    return found


def whole_of(observations: list[Observation], times: int) -> Whole:
    """A table that is the pilot so many times over."""
    kinds = observations[0].expected
    return Whole(
        len(observations) * times, {kind: times * sum(o.expected[kind] for o in observations) for kind in kinds}
    )


def test_a_pilot_tells_the_factors_of_its_kinds() -> None:
    """Words, pictures and videos are each corrected by what is billed for them; tools are words."""
    pilot = observed(80, videos=12)
    found = fit(pilot, whole_of(pilot, 50))
    assert found.by_kind == pytest.approx({"text": 1.2, "tools": 1.2, "image": 0.9, "video": 1.5}, rel=0.01)
    assert found.requests == 80
    assert found.notes == ()


def test_a_rare_kind_has_no_factor_of_its_own() -> None:
    """Three videos say too little: they go with the kind that is seen most."""
    pilot = observed(80, videos=3)
    found = fit(pilot, whole_of(pilot, 50))
    assert found.by_kind["video"] == found.by_kind["text"]
    assert found.by_kind["image"] == pytest.approx(0.9, rel=0.2)


def test_totals_are_those_of_a_table_that_is_the_pilot_over_and_over() -> None:
    """The middle is exact, the input all but certain, and cost as uncertain as the lengths make it."""
    pilot = observed(80)
    found = fit(pilot, whole_of(pilot, 50))
    for total, figure in (
        (found.input_tokens, "input_tokens"),
        (found.output_tokens, "output_tokens"),
        (found.cost, "cost"),
    ):
        assert total is not None
        assert total.mid == pytest.approx(50 * sum(getattr(each, figure) for each in pilot))
        assert total.low < total.mid < total.high
    assert found.input_tokens is not None
    assert found.cost is not None
    assert found.input_tokens.high / found.input_tokens.low < 1.01 < found.cost.high / found.cost.low
    assert found.input_ratio is not None
    assert found.input_ratio.mid == pytest.approx(found.input_tokens.mid / sum(found.whole.expected.values()))


def test_lengths_are_those_of_the_pilot() -> None:
    """Quantiles of the output by share of requests."""
    pilot = observed(80)
    found = fit(pilot, whole_of(pilot, 50))
    assert list(found.output_quantiles) == [0.05, 0.25, 0.5, 0.75, 0.95]
    assert 10 <= found.output_quantiles[0.05] < found.output_quantiles[0.5] < found.output_quantiles[0.95] < 90


def test_a_pilot_of_nine_gives_no_interval_and_says_so() -> None:
    """A guess that looked like an estimate would be worse than none."""
    pilot = observed(9)
    found = fit(pilot, whole_of(pilot, 50))
    assert (found.input_ratio, found.input_tokens, found.output_tokens, found.cost) == (None, None, None, None)
    assert found.by_kind == {}
    assert found.notes == ("a pilot of 9 says too little for an interval; send at least 10 requests, better 100",)


def test_nine_of_nine_are_all_there_is() -> None:
    """Then the sums are known."""
    pilot = observed(9)
    found = fit(pilot, whole_of(pilot, 1))
    assert found.cost == Interval.exactly(sum(each.cost or 0 for each in pilot))
    assert found.notes == ()


def test_what_is_not_known_is_left_out_and_named() -> None:
    """Without a price there is no cost, with the rest as it is; what was not asked for is not missed."""
    pilot = observed(40, priced=False)
    found = fit(pilot, whole_of(pilot, 50))
    assert found.cost is None
    assert found.input_tokens is not None
    assert found.notes == ("the cost of 40 of the 40 requests is not known; they are left out of it",)
    assert fit(pilot, whole_of(pilot, 50), figures=("input", "output")).notes == ()


def test_a_kind_that_no_request_shows_is_a_guess() -> None:
    """The table has files, the pilot none."""
    pilot = observed(40)
    whole = whole_of(pilot, 50)
    found = fit(pilot, Whole(whole.requests, {**whole.expected, "file": 1e6}))
    assert [note for note in found.notes if "kind file" in note]


def test_nothing_observed_is_nothing_known() -> None:
    """An empty table fits nothing and breaks nothing."""
    found = fit([], Whole(0, {}))
    assert (found.cost, found.output_quantiles, found.by_kind) == (ZERO, {}, {})


def test_requests_drawn_for_their_size_stand_for_themselves_alone() -> None:
    """One of a million tokens is added as it is, and says nothing about the others; it is named."""
    small = [Observation({"text": 100.0}, 100, output_tokens=7, cost=1000) for _ in range(20)]
    huge = Observation({"text": 1e6}, 1_000_000, output_tokens=9000, cost=10_000_000, certain=True)
    fitted = fit([huge, *small], Whole(1001, {"text": 1e6 + 100 * 1000}))
    assert astuple(fitted.input_tokens) == pytest.approx((1_100_000,) * 3)
    assert astuple(fitted.output_tokens) == pytest.approx((16_000,) * 3)
    assert astuple(fitted.cost) == pytest.approx((11_000_000,) * 3)
    assert fitted.output_quantiles[0.95] == 7
    assert any("the largest request of the table" in note for note in fitted.notes)
