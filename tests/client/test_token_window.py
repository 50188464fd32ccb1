"""The token window by itself: pure arithmetic on a clock that the test moves."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.client.token_window import CREDIT_S, GRAIN_S, WINDOW_S, Reservation, TokenWindow

LIMIT = 6_000
NEARLY = 1e-3
"""The flow is slower than the limit by the grain of the window, less than this."""


def start(window: TokenWindow, weight: float, now: float) -> tuple[Reservation, float]:
    """Reserve as early as the window allows, as the throttle does; return the reservation and its moment."""
    while (wait := window.delay(weight, now)) > 0:
        now += max(wait, 1e-6)
    return window.reserve(weight, now), now


def most_in_any_window(starts: list[tuple[float, float]]) -> float:
    """Return the largest sum of weights over all windows of 60 s, wherever they begin."""
    most = spent = 0.0
    oldest = 0
    for at, weight in starts:
        spent += weight
        while starts[oldest][0] + WINDOW_S <= at:
            spent -= starts[oldest][1]
            oldest += 1
        most = max(most, spent)
    return most


@given(
    weights=st.lists(st.integers(1, LIMIT), min_size=1, max_size=60),
    idle=st.lists(st.sampled_from([0.0, 0.0, 1.0, 30.0, 200.0]), min_size=1),
    used=st.lists(st.floats(0, 1), min_size=1),
)
def test_no_minute_exceeds_the_limit(weights: list[int], idle: list[float], used: list[float]) -> None:
    """Whatever is asked, whenever, and whatever flows back, any 60 seconds stay within the limit."""
    window = TokenWindow(LIMIT, 0.0)
    now = 0.0
    starts = []
    for weight, pause, share in zip(weights, itertools.cycle(idle), itertools.cycle(used), strict=False):
        reservation, now = start(window, weight, now + pause)
        window.settle(reservation, weight * share, now)
        starts.append((now, weight * share))
    assert most_in_any_window(starts) <= LIMIT * (1 + 1e-9)


@given(weights=st.lists(st.integers(1, LIMIT // 10), min_size=200, max_size=200))
def test_the_limit_is_used(weights: list[int]) -> None:
    """Under steady demand the flow is the limit's, but for one request that did not fit any more."""
    window = TokenWindow(LIMIT, 0.0)
    now = 0.0
    for weight in weights:
        _, now = start(window, weight, now)
    spent = sum(weights[:-1])
    assert now <= (spent + 0.1 * LIMIT * (1 + now / WINDOW_S)) / LIMIT * WINDOW_S + 1


def test_the_first_minute_does_not_begin_with_a_burst() -> None:
    """Ten equal requests that fill the minute start six seconds apart, the first at once."""
    window = TokenWindow(LIMIT, 0.0)
    moments, now = [], 0.0
    for _ in range(10):
        _, now = start(window, LIMIT / 10, now)
        moments.append(now)
    assert moments == pytest.approx([6.0 * n for n in range(10)], rel=NEARLY)


def test_a_request_heavier_than_the_limit_passes_alone() -> None:
    """It waits until the minute is empty, and the next one waits a minute for it."""
    window = TokenWindow(LIMIT, 0.0)
    start(window, 10, 0.0)
    _, heavy = start(window, 50 * LIMIT, 1.0)
    _, after = start(window, 1, heavy)
    assert heavy == pytest.approx(60.0, abs=1e-3)
    assert after - heavy == pytest.approx(60.0, abs=1e-3)


def test_what_was_not_used_flows_back() -> None:
    """A refund lets the next request start as if the estimate had been right."""
    window = TokenWindow(LIMIT, 0.0)
    reservation, _ = start(window, LIMIT, 0.0)
    window.settle(reservation, 100, 1.0)
    assert window.delay(100, 1.0) == pytest.approx(0.0, abs=NEARLY)


def test_what_was_used_beyond_the_estimate_is_owed() -> None:
    """A debt delays the next request as if the estimate had been right."""
    window = TokenWindow(LIMIT, 0.0)
    reservation, _ = start(window, 100, 0.0)
    window.settle(reservation, 1_000, 1.0)
    assert window.delay(100, 1.0) == pytest.approx(9.0, rel=NEARLY)


def test_a_thousand_starts_a_second_are_looked_through_like_twenty() -> None:
    """What a minute remembers does not grow with the rate of starts."""
    window = TokenWindow(60_000_000, 0.0)
    for n in range(60_000):
        window.reserve(1, n / 1_000)
    assert len(window._recent) <= WINDOW_S / GRAIN_S + 1


def test_starts_that_are_remembered_together_leave_the_minute_together() -> None:
    """By the last of them, and each still settles for itself."""
    window = TokenWindow(LIMIT, 0.0)
    first, second = window.reserve(LIMIT / 2, 0.0), window.reserve(LIMIT / 2, GRAIN_S / 2)
    window.settle(first, 0, 30.0)
    assert window.delay(LIMIT, 30.0) == pytest.approx(WINDOW_S - 30 + GRAIN_S / 2)
    window.settle(second, 0, 30.0)
    assert window.delay(LIMIT, 30.0) <= 0


def test_a_late_answer_settles_without_touching_the_present_minute() -> None:
    """Tokens that left the window long ago flow back as flow only, never as room in a minute they were not part of."""
    window = TokenWindow(LIMIT, 0.0)
    late, _ = start(window, 1_000, 0.0)
    _, now = start(window, LIMIT, 100.0)
    window.settle(late, 0, now)
    assert window.delay(1, now) == pytest.approx(WINDOW_S, abs=0.1)


def test_idleness_saves_up_a_few_seconds_only() -> None:
    """After an hour without demand no more than the credit is there."""
    window = TokenWindow(LIMIT, 0.0)
    assert window.available(3_600.0) == LIMIT * CREDIT_S / WINDOW_S


def test_nothing_flows_in_during_a_rest() -> None:
    """After a pause the flow begins from nothing."""
    window = TokenWindow(LIMIT, 0.0)
    window.rest(100.0, 50.0)
    assert window.available(99.0) == 0.0
    assert window.available(101.0) == pytest.approx(100.0, rel=NEARLY)


def test_another_limit_holds_from_its_change_on() -> None:
    """What flowed in before the change keeps the old rate."""
    window = TokenWindow(LIMIT, 0.0)
    window.reserve(1_000, 0.0)
    window.change(2 * LIMIT, 5.0)
    assert window.available(6.0) == pytest.approx(-300.0, rel=2 * NEARLY)


def test_what_is_owed_at_a_far_lower_limit_is_a_minute_of_it() -> None:
    """Not the days it would take for the old debt to flow in."""
    window = TokenWindow(LIMIT, 0.0)
    reservation = window.reserve(LIMIT, 0.0)
    window.change(1, 1.0)
    assert window.delay(1, 1.0) == pytest.approx(WINDOW_S, rel=NEARLY)
    window.settle(reservation, LIMIT // 2, 2.0)
    assert window.delay(1, 2.0) <= WINDOW_S
