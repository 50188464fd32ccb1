"""How the number of requests in the air is learned."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from typing import NamedTuple

import pytest

from pipeline.client.concurrency import CEILING, REFUSED, START, Concurrency

LATENCY_S = 2.0
HEAVY_TAILS = [(1.0, 6.0), (3.0, 20.0), (0.8, 3.0)]  # median and 95th percentile, in seconds, as models really write


class Answer(NamedTuple):
    """When an answer came, how long it took, and how many were allowed after it."""

    at_s: float
    latency_s: float
    limit: int


def lognormal(median_s: float, p95_s: float, seed: int) -> Callable[[], float]:
    """Return a source of latencies with a heavy tail."""
    rng, sigma = random.Random(seed), math.log(p95_s / median_s) / 1.645
    return lambda: median_s * math.exp(rng.gauss(0, sigma))


def simulate(
    concurrency: Concurrency,
    rows: int,
    alone_s: Callable[[], float],
    capacity: float = math.inf,
    slower: Callable[[float], float] = lambda _now: 1.0,
) -> list[Answer]:
    """Send ``rows`` requests to a server that works on ``capacity`` at once in full speed and shares it among more.

    ``alone_s`` is how long each takes by itself, ``slower`` by what factor the server is slower for those that start at
    a time. Work is counted in seconds at full speed, so the next to finish is the one with the least to do.
    """
    now = worked = 0.0
    answers: list[Answer] = []
    air: list[tuple[float, float]] = []
    while len(answers) < rows:
        while len(air) < concurrency.limit and len(answers) + len(air) < rows:
            heapq.heappush(air, (worked + alone_s() * slower(now), now))
        in_flight = len(air)
        done, began = heapq.heappop(air)
        now += (done - worked) * max(1.0, in_flight / capacity)
        worked = done
        concurrency.answered(now - began, in_flight, now)
        answers.append(Answer(now, now - began, concurrency.limit))
    return answers


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
    """Cut once, it feels its way up again."""
    concurrency = Concurrency(None)
    now = answered(concurrency, 2)
    concurrency.refused(now)
    answered(concurrency, 5, now=now)
    assert concurrency.limit == int(32 * REFUSED) + 5  # five rounds of a little less than one each


def test_requests_that_are_refused_together_cut_once() -> None:
    """Thirty refusals of one moment cut the number, they do not raze it."""
    concurrency = Concurrency(None)
    now = answered(concurrency, 2)
    for _ in range(30):
        concurrency.refused(now)
    assert concurrency.limit == int(32 * REFUSED)


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


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("median_s", "p95_s"), HEAVY_TAILS)
@pytest.mark.parametrize("rows", [600, 5_000])
def test_a_healthy_server_with_long_answers_is_used_in_full(
    rows: int, median_s: float, p95_s: float, seed: int
) -> None:
    """What is learned takes at most half as long again as two hundred at once from the first moment."""
    learned = simulate(Concurrency(None), rows, lognormal(median_s, p95_s, seed))
    fixed = simulate(Concurrency(200), rows, lognormal(median_s, p95_s, seed))
    assert learned[-1].at_s <= 1.5 * fixed[-1].at_s


@pytest.mark.parametrize("capacity", [8, 10, 20, 50, 200])
def test_a_server_that_queues_is_kept_busy_but_not_flooded(capacity: int) -> None:
    """After a minute it gives at least 95 % of what it can, and answers take less than three times their time."""
    answers = simulate(Concurrency(None), 200 * capacity, lambda: 1.0, capacity)
    settled = [answer for answer in answers if 60 < answer.at_s <= 180]
    assert len(settled) >= 0.95 * capacity * 120
    assert sum(answer.latency_s for answer in settled) / len(settled) <= 3.0


@pytest.mark.parametrize("seed", range(5))
def test_a_server_that_queues_long_answers_is_noticed(seed: int) -> None:
    """Where latencies vary tenfold by themselves, queueing is still told from them."""
    answers = simulate(Concurrency(None), 15_000, lognormal(0.8, 3.0, seed), capacity=50)
    settled = [answer for answer in answers if answer.at_s > 60]
    assert sum(answer.limit for answer in settled) / len(settled) <= 3 * 50


@pytest.mark.parametrize("factor", [2.0, 3.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_server_that_becomes_slower_for_good_is_still_used_in_full(seed: int, factor: float) -> None:
    """A cut that makes nothing faster is taken back, and the new time is the usual one."""
    answers = simulate(
        Concurrency(None), 20_000, lognormal(1.0, 6.0, seed), slower=lambda now: factor if now > 40 else 1.0
    )
    assert min(answer.limit for answer in answers if answer.at_s > 40) >= CEILING // 4
    assert answers[-1].limit == CEILING


def test_a_moment_of_slow_answers_cuts_nothing() -> None:
    """Fewer slow answers than make a verdict are an accident."""
    concurrency = Concurrency(None)
    now = answered(concurrency, 6)
    for _ in range(60):
        concurrency.answered(30 * LATENCY_S, concurrency.limit, now)
    assert concurrency.limit == CEILING


@pytest.mark.parametrize("trouble", [lambda c: c.refused(100.0), lambda c: answered(c, 3, latency_s=60.0)])
def test_a_number_that_the_job_sets_stands(trouble: Callable[[Concurrency], object]) -> None:
    """Neither refusals nor slow answers change it."""
    concurrency = Concurrency(5)
    trouble(concurrency)
    assert concurrency.limit == 5
