"""How the number of requests in the air is learned."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.client.concurrency import CEILING, START, Concurrency

LATENCY_S = 2.0


def answered(concurrency: Concurrency, rounds: int, *, now: float = 0.0, latency_s: float = LATENCY_S) -> float:
    """Let as many requests as are allowed be answered, ``rounds`` times; return the time after."""
    for _ in range(rounds):
        now += latency_s
        for _ in range(concurrency.limit):
            concurrency.answered(latency_s, concurrency.limit, now)
    return now


def test_it_doubles_per_round_trip_until_the_first_refusal() -> None:
    """A good account reaches its pace within a few answers, and not beyond the ceiling."""
    concurrency = Concurrency(None)
    limits = [concurrency.limit]
    for _ in range(7):
        answered(concurrency, 1)
        limits.append(concurrency.limit)
    assert limits == [START, 16, 32, 64, 128, 256, CEILING, CEILING]


def test_after_a_refusal_it_grows_by_one_per_round_trip() -> None:
    """Halved once, it feels its way up again."""
    concurrency = Concurrency(None)
    now = answered(concurrency, 2)
    concurrency.refused(now)
    answered(concurrency, 5, now=now)
    assert concurrency.limit == 16 + 4  # five rounds of a little less than one each


def test_requests_that_are_refused_together_cut_once() -> None:
    """Thirty refusals of one moment halve the number, they do not raze it."""
    concurrency = Concurrency(None)
    now = answered(concurrency, 2)
    for _ in range(30):
        concurrency.refused(now)
    assert concurrency.limit == 16


def test_it_never_falls_below_one() -> None:
    """However often it is refused, one request is let through to find out."""
    concurrency = Concurrency(None)
    for minute in range(20):
        concurrency.refused(60.0 * minute)
    assert concurrency.limit == 1


def test_a_number_that_is_not_used_does_not_grow() -> None:
    """Answers to two requests in the air prove nothing about nine."""
    concurrency = Concurrency(None)
    for _ in range(100):
        concurrency.answered(LATENCY_S, 2, 0.0)
    assert concurrency.limit == START


def test_answers_that_slow_down_cut_it() -> None:
    """When answers take several times their usual time, fewer are asked for at once."""
    concurrency = Concurrency(None)
    now = answered(concurrency, 5)
    before = concurrency.limit
    answered(concurrency, 1, now=now, latency_s=5 * LATENCY_S)
    assert concurrency.limit < before


@pytest.mark.parametrize("trouble", [lambda c: c.refused(100.0), lambda c: answered(c, 3, latency_s=60.0)])
def test_a_number_that_the_job_sets_stands(trouble: Callable[[Concurrency], object]) -> None:
    """Neither refusals nor slow answers change it."""
    concurrency = Concurrency(5)
    trouble(concurrency)
    assert concurrency.limit == 5
