"""The throttle against simulated providers, on a virtual clock: how much of what is allowed it uses, and how much it is refused.

A provider counts starts by one of the three ways that exist: minutes of its own clock, any 60 seconds, or a bucket that refills.
"""

from __future__ import annotations

import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import pytest

from pipeline.client.throttle import Throttle
from pipeline.spec.rules import Limits
from pipeline.wire.signals import RateHeaders

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("virtual_time")]

Allowed = Callable[[float, float], bool]
"""Says at a moment (seconds) whether so many units may start, and counts them if so."""


def fixed(limit: float, offset: float = 17.0) -> Allowed:
    """Count by the minutes of a clock."""
    used: dict[int, float] = {}

    def allowed(now: float, units: float) -> bool:
        minute = int((now + offset) // 60)
        fits = used.get(minute, 0.0) + units <= limit
        used[minute] = used.get(minute, 0.0) + units * fits
        return fits

    return allowed


def sliding(limit: float) -> Allowed:
    """Count the last 60 seconds."""
    starts: deque[tuple[float, float]] = deque()
    used = 0.0

    def allowed(now: float, units: float) -> bool:
        nonlocal used
        while starts and starts[0][0] <= now - 60 + 1e-3:  # the clocks of two machines are not that exact
            used -= starts.popleft()[1]
        fits = used + units <= limit
        if fits:
            starts.append((now, units))
            used += units
        return fits

    return allowed


def bucket(limit: float) -> Allowed:
    """Refill all the while, and hold what a second brings in, at least one request."""
    size = max(limit / 60, 1.5)
    level, filled_at = size, 0.0

    def allowed(now: float, units: float) -> bool:
        nonlocal level, filled_at
        level, filled_at = min(size, level + (now - filled_at) * limit / 60), now
        fits = units <= level
        level -= units * fits
        return fits

    return allowed


@dataclass
class Provider:
    """Answers after ``latency_s``, up to ``places`` at once without delay; what is not ``allowed`` it refuses at once."""

    throttle: Throttle
    allowed: Allowed = field(default=lambda _now, _units: True)
    latency_s: float = 1.0
    places: float = float("inf")
    headers: RateHeaders | None = None
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    in_flight: int = 0

    async def ask(self, weight: int = 1) -> None:
        """Carry one attempt to its end, as the layers do."""
        with await self.throttle.permit(weight) as permit:
            now = anyio.current_time()
            if self.in_flight >= self.places or not self.allowed(now, weight):
                self.refused.append(now)
                await anyio.sleep(0.02)
                self.throttle.throttled("too many requests")
                return
            self.in_flight += 1
            await anyio.sleep(self.latency_s)
            self.in_flight -= 1
            self.answered.append(now)
            if self.headers is not None:
                self.throttle.feedback(self.headers)
            permit.settle(weight)
            permit.succeeded()

    async def flood(self, workers: int, until: float, weights: Callable[[], int] = lambda: 1) -> None:
        """Ask again and again, from many places, until a moment."""

        async def work() -> None:
            while True:
                await self.ask(weights())

        with anyio.CancelScope(deadline=until):
            async with anyio.create_task_group() as tasks:
                for _ in range(workers):
                    tasks.start_soon(work)

    def started(self, since: float, until: float) -> int:
        """Return how many requests that were answered started between two moments."""
        return sum(since <= at < until for at in self.answered)

    @property
    def refusals(self) -> float:
        """The share of attempts that were refused."""
        return len(self.refused) / max(len(self.refused) + len(self.answered), 1)


@pytest.mark.parametrize("counts", [fixed, sliding, bucket])
@pytest.mark.parametrize("limit", [60, 500, 5_000, pytest.param(50_000, marks=pytest.mark.slow)])
async def test_a_known_limit_is_used_and_never_met(limit: int, counts: Callable[[float], Allowed]) -> None:
    """At least 99 % of what is allowed, and less than one refusal in a thousand, however the provider counts."""
    throttle = Throttle(Limits(requests_per_minute=limit, concurrency=10_000))
    provider = Provider(throttle, counts(limit), latency_s=0.3)
    until = 140.0 if limit < 5_000 else 75.0
    await provider.flood(max(limit // 100, 8), until)
    assert provider.refusals < 0.001
    assert provider.started(10, until - 5) >= 0.99 * limit / 60 * (until - 15) - 1


async def test_tokens_and_requests_hold_together() -> None:
    """Where tokens bind they are used to 99 %, by requests of very different weights, and nothing is refused."""
    rng = random.Random(3)
    throttle = Throttle(Limits(requests_per_minute=5_000, tokens_per_minute=1_000_000, concurrency=10_000))
    by_tokens, by_requests = sliding(1_000_000), fixed(5_000)
    used: list[tuple[float, float]] = []

    def allowed(now: float, units: float) -> bool:
        used.append((now, units))
        return by_tokens(now, units) and by_requests(now, 1)

    provider = Provider(throttle, allowed)
    await provider.flood(300, 130.0, lambda: rng.randint(50, 450))
    assert provider.refused == []
    assert sum(units for at, units in used if 65 <= at < 125) >= 0.99 * 1_000_000


async def test_ten_thousand_waiters_are_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 50,000 a minute the line costs a few looks for each that is let out, however long it is: nothing polls."""
    throttle = Throttle(Limits(requests_per_minute=50_000, tokens_per_minute=50_000_000, concurrency=10_000))
    looks = itertools.count()
    look = throttle._obstacle

    def counted(weight: int, now: float) -> tuple[float, object]:
        next(looks)
        return look(weight, now)

    monkeypatch.setattr(throttle, "_obstacle", counted)
    counts = fixed(50_000)
    provider = Provider(throttle, lambda now, _units: counts(now, 1), latency_s=2.0)
    await provider.flood(12_000, 4.0, lambda: 900)
    assert provider.started(1, 2) >= 0.99 * 50_000 / 60
    assert provider.refused == []
    assert next(looks) <= 4 * 50_000 / 60 * 4 + 12_000


async def test_a_line_that_is_cancelled_as_a_whole_takes_nothing() -> None:
    """The end of a run: whoever is at its head, or was just called, the throttle is as if they had not come."""
    throttle = Throttle(Limits(requests_per_minute=600, tokens_per_minute=60_000, concurrency=5))
    provider = Provider(throttle, latency_s=3.0)
    await provider.flood(1_000, 10.0, lambda: 7)
    statistics = throttle.statistics()
    assert (statistics.in_flight, statistics.waiting) == (0, 0)
    with anyio.fail_after(1):
        permit = await throttle.permit(7)
    with permit:
        assert throttle.statistics().in_flight == 1


async def test_a_heavy_request_is_not_overtaken_by_a_flood() -> None:
    """One worth half a second of tokens, amid fifty that ask for a hundredth each, starts within twice its own time."""
    throttle = Throttle(Limits(tokens_per_minute=600_000, concurrency=10_000))
    provider = Provider(throttle, latency_s=0.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(provider.flood, 50, 5.0, lambda: 100)
        await anyio.sleep(2)
        with await throttle.permit(5_000):
            waited = anyio.current_time() - 2
    assert waited <= 2 * 0.5


async def test_starts_are_smooth_from_the_first_second_and_after_a_pause() -> None:
    """No second sees more than 5 % above its share, and nothing is made up for that was not sent during a pause."""
    throttle = Throttle(Limits(requests_per_minute=30_000, concurrency=10_000))
    provider = Provider(throttle, latency_s=0.1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(provider.flood, 500, 20.0)
        await anyio.sleep(5)
        throttle.pause(5, "test")
    assert provider.started(5.2, 9.9) == 0
    assert all(provider.started(second, second + 1) <= 1.05 * 500 for second in range(20))
    assert provider.started(12, 19) >= 0.99 * 500 * 7


@pytest.mark.parametrize("counts", [fixed, sliding, bucket])
async def test_an_unknown_limit_is_found_within_a_minute(counts: Callable[[float], Allowed]) -> None:
    """By refusals alone: from then on two thirds of it are used, and few are refused."""
    throttle = Throttle(Limits(), rng=random.Random(1))
    provider = Provider(throttle, counts(3_000))
    await provider.flood(300, 185.0)
    assert provider.started(60, 180) >= 0.65 * 3_000 * 2
    assert sum(at >= 60 for at in provider.refused) <= 0.01 * 3_000 * 2


async def test_a_limit_that_headers_tell_is_used_within_a_minute() -> None:
    """As if the job had said it."""
    headers = RateHeaders(limit_requests=5_000, limit_tokens=10_000_000)
    provider = Provider(Throttle(Limits()), fixed(5_000), headers=headers)
    await provider.flood(512, 130.0)
    assert provider.started(60, 120) >= 0.99 * 5_000
    assert provider.refusals < 0.001
