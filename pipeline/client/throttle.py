"""Who may start a request now: one ``Throttle`` per endpoint and model, built inside the run that uses it.

Requests wait in one line, strictly first come, first served, so that a heavy one is never overtaken for ever by light ones. Only the head
of the line watches what holds it up, and sleeps until that is gone: a timer where the moment is known, an event where it depends on
others. Nothing polls, and two thousand waiters cost no more than one.

What can hold it up, all of which must be clear at the same moment:

==============  =======================================================================================================
``pause``       the server asked for a wait (Retry-After); it counts for the whole endpoint. Afterwards starts are spread
                over one round trip, so that the line does not fall on the server at once
``allowance``   the rate-limit headers say that nothing is left for the next request
``concurrency`` as many requests are in the air as may be (``concurrency.py``)
``tokens``      the tokens of the last minute (``token_window.py``)
``pace``        requests per minute, by aiolimiter, in buckets of 20 ms of the rate but never below one request
==============  =======================================================================================================

A full minute's bucket would let twice the limit through in the first minute. With a bucket of ``b`` requests and a rate of
``(limit - b + 1) / 60`` per second no 60 seconds hold more than ``limit`` starts. aiolimiter cannot change its rate, so it is replaced; it
serves the smallest amount first, so it only ever sees one waiter.

Taking is the last thing that happens to the head and does not await, so a request that is cancelled in the line has taken nothing.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import anyio
from aiolimiter import AsyncLimiter

from pipeline.client.backoff import equal_jitter
from pipeline.client.concurrency import Concurrency
from pipeline.client.token_window import Reservation, TokenWindow

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from pipeline.spec.job import Limits
    from pipeline.wire.signals import RateHeaders

Cause = Literal["pause", "allowance", "concurrency", "tokens", "pace"]

MINUTE_S = 60.0
BUCKET_S = 0.02  # of the rate, per bucket: smaller ones are served late by the loop's timers, larger ones burst
RAMP_S = (1.0, 10.0)  # shortest and longest time over which starts are spread after a pause
BACKOFF_S = 1.0  # first pause when a refusal does not say how long; doubled each time
BELIEVED = 3  # refusals in a row after which a Retry-After is not believed to be long enough any more
NEWS_S = 1.0  # a pause that grows by less is not announced again: a hundred requests may be refused together
REFILLING = 0.95  # share of the predicted time to full from which a reset is read as such, see seconds_until_room


@dataclass(frozen=True, slots=True)
class ThrottleStatistics:
    """A snapshot. ``waited_s`` says for each cause how long it held up the head of the line; limits are None where none is known."""

    in_flight: int
    waiting: int
    concurrency: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    tokens_available: float | None
    paused_for_s: float
    waited_s: Mapping[Cause, float]


class Permit:
    """The right to one attempt, as a context: entering waits in the line, leaving makes room for the next."""

    __slots__ = ("_reservation", "_throttle", "_weight")

    def __init__(self, throttle: Throttle, weight: int) -> None:
        self._throttle = throttle
        self._weight = weight
        self._reservation: Reservation | None = None

    async def __aenter__(self) -> Permit:
        self._reservation = await self._throttle._admit(self._weight)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._throttle._leave()

    def settle(self, tokens: int | None) -> None:
        """Put the real usage in the place of the estimate; None keeps the estimate."""
        if tokens is not None and self._reservation is not None:
            self._throttle._settle(self._reservation, tokens)

    def void(self) -> None:
        """Give the tokens back: nothing was sent. The start is not given back, so that a dead server is not hammered with connections."""
        self.settle(0)


class Throttle:
    """The line in front of one endpoint and model.

    A limit that ``limits`` leaves open is learned: rates from the provider's headers, concurrency from how the provider bears up.
    ``on_pause`` is told the length in seconds and the reason of each pause. ``max_wait_s`` bounds the pauses that nobody asked for.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        on_pause: Callable[[float, str], None] = lambda _seconds, _reason: None,
        clock: Callable[[], float] = anyio.current_time,
        rng: random.Random | None = None,
        max_wait_s: float = MINUTE_S,
    ) -> None:
        self._limits = limits
        self._on_pause = on_pause
        self._clock = clock
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._max_wait_s = max_wait_s

        self._gate = anyio.Lock(fast_acquire=True)
        self._head = _Head(clock)
        self._pace = _Pace(limits.requests_per_minute)
        self._tokens = TokenWindow(limits.tokens_per_minute, clock()) if limits.tokens_per_minute else None
        self._concurrency = Concurrency(limits.concurrency)

        self._waiting = self._in_flight = self._refusals = self._last_weight = 0
        self._last_start = self._paused_until = self._allowed_at = -math.inf
        self._ramp_s = 0.0

    def permit(self, weight: int) -> Permit:
        """Return a context for one attempt that is estimated at ``weight`` tokens."""
        return Permit(self, weight)

    def pause(self, seconds: float, reason: str) -> None:
        """Start nothing for ``seconds``; a longer pause that is under way stands."""
        now = self._clock()
        until = now + seconds
        if until <= max(now, self._paused_until):
            return
        news = until - max(now, self._paused_until) >= NEWS_S or now >= self._paused_until
        self._paused_until = until
        self._ramp_s = min(max(self._concurrency.round_trip_s, RAMP_S[0]), RAMP_S[1])
        if self._tokens is not None:
            self._tokens.rest(until, now)
        if news:
            self._on_pause(seconds, reason)

    def feedback(self, headers: RateHeaders) -> None:
        """Learn the rates that the job leaves open, and slow down before the provider has to refuse."""
        now = self._clock()
        if self._limits.requests_per_minute is None and (requests := headers.limit_requests or 0) > 0:
            self._pace.change(requests)
        if self._limits.tokens_per_minute is None and (tokens := headers.limit_tokens or 0) > 0:
            self._tokens = self._tokens or TokenWindow(tokens, now)
            self._tokens.change(tokens, now)
        waits = (
            seconds_until_room(headers.limit_requests, headers.remaining_requests, headers.reset_requests_s, 1),
            seconds_until_room(headers.limit_tokens, headers.remaining_tokens, headers.reset_tokens_s, self._last_weight),
        )
        told = [wait for wait in waits if wait is not None]
        if told:
            before, self._allowed_at = self._allowed_at, now + max(told)
            if self._allowed_at < before:
                self._head.wake()

    def succeeded(self, latency_s: float) -> None:
        """Learn from an answer; call it while its permit is still held."""
        self._refusals = 0
        self._concurrency.answered(latency_s, self._in_flight, self._clock())

    def throttled(self, reason: str, retry_after_s: float | None = None) -> None:
        """Pause everyone after a refusal: as long as the server says, else longer each time it refuses again."""
        now = self._clock()
        self._concurrency.refused(now)
        if now >= self._paused_until:  # requests that were in the air together are refused together: that counts once
            self._refusals += 1
        asked_s = max(retry_after_s or 0.0, 0.0)
        doubted = self._refusals - (BELIEVED if asked_s else 0)
        own_s = equal_jitter(BACKOFF_S, doubted, self._max_wait_s, self._rng) if doubted > 0 else 0.0
        self.pause(max(asked_s, own_s), reason)

    def overloaded(self) -> None:
        """Learn from a timeout or another sign of overload that asks for fewer requests at once, but not for a pause."""
        self._concurrency.refused(self._clock())

    def statistics(self) -> ThrottleStatistics:
        """Return the present state."""
        now = self._clock()
        return ThrottleStatistics(
            in_flight=self._in_flight,
            waiting=self._waiting,
            concurrency=self._concurrency.limit,
            requests_per_minute=self._pace.per_minute,
            tokens_per_minute=self._tokens.per_minute if self._tokens else None,
            tokens_available=self._tokens.available(now) if self._tokens else None,
            paused_for_s=max(self._paused_until - now, 0.0),
            waited_s=dict(self._head.waited_s),
        )

    async def _admit(self, weight: int) -> Reservation | None:
        self._waiting += 1
        try:
            async with self._gate:
                paced = False
                while True:
                    now = self._clock()
                    seconds, cause = self._obstacle(weight, now)
                    if seconds > 0:
                        await self._head.sleep(seconds, cause)
                        paced = False  # its turn has passed; the next one is free by now, or else it was too early
                    elif paced:
                        break
                    else:
                        await self._pace.start()
                        self._head.waited_s["pace"] += self._clock() - now
                        paced = True
                self._in_flight += 1
                self._last_start, self._last_weight = now, weight
                return self._tokens.reserve(weight, now) if self._tokens else None
        finally:
            self._waiting -= 1

    def _obstacle(self, weight: int, now: float) -> tuple[float, Cause]:
        """Return how long the head has to wait, and for what; 0 or less when its way is clear."""
        if self._in_flight >= self._concurrency.limit:
            return math.inf, "concurrency"
        obstacle: tuple[float, Cause] = (self._allowed_at - now, "allowance")
        if now < self._paused_until + self._ramp_s:
            spread_until = self._last_start + self._ramp_s / self._concurrency.limit
            obstacle = max(obstacle, (max(self._paused_until, spread_until) - now, "pause"))
        if self._tokens is not None:
            obstacle = max(obstacle, (self._tokens.delay(weight, now), "tokens"))
        return obstacle

    def _leave(self) -> None:
        self._in_flight -= 1
        self._head.wake()

    def _settle(self, reservation: Reservation, tokens: int) -> None:
        assert self._tokens is not None  # there is a reservation
        self._tokens.settle(reservation, tokens, self._clock())
        self._head.wake()


def seconds_until_room(limit: float | None, remaining: float | None, reset_s: float | None, need: float) -> float | None:
    """Return how long until ``need`` units are allowed, by one set of rate-limit headers; None when they do not say.

    Providers mean two things by a reset: the end of a fixed window, when everything is allowed again, or the time until a bucket that
    refills all the while is full. The second is recognised by its length: what was taken comes back at the rate of the limit.
    """
    if remaining is None or remaining < 0:
        return None
    if remaining >= need:
        return 0.0
    if reset_s is None or limit is None or limit <= remaining:
        return reset_s
    taken = limit - remaining
    if reset_s < REFILLING * MINUTE_S * taken / limit:
        return reset_s
    return reset_s * (min(need, limit) - remaining) / taken


class _Head:
    """What the head of the line sleeps on, and how long it did, by cause."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.waited_s: dict[Cause, float] = dict.fromkeys(get_args(Cause), 0.0)
        self._clock = clock
        self._woken: anyio.Event | None = None

    async def sleep(self, seconds: float, cause: Cause) -> None:
        """Sleep for ``seconds``, or until something has changed."""
        began = self._clock()
        self._woken = anyio.Event()
        try:
            with anyio.move_on_after(seconds):
                await self._woken.wait()
        finally:
            self._woken = None
            self.waited_s[cause] += self._clock() - began

    def wake(self) -> None:
        """Let the head look again."""
        if self._woken is not None:
            self._woken.set()


class _Pace:
    """Request starts per minute, evenly; no limit while it is None. One task at a time waits here."""

    def __init__(self, per_minute: float | None) -> None:
        self.per_minute: float | None = None
        self._limiter = AsyncLimiter(1)
        self._draw = 1
        self._drawn = self._owed = 0.0
        if per_minute is not None:
            self.change(per_minute)
            self._owed = 0.0

    def change(self, per_minute: float) -> None:
        """Set another rate; the first start under it keeps its distance from the last one before."""
        if per_minute == self.per_minute:
            return
        spare = per_minute / MINUTE_S * BUCKET_S
        bucket = 1.0 + spare
        self._draw = max(1, int(spare / 2))
        rate = (per_minute - bucket - self._draw + 2.0) / MINUTE_S
        self._limiter = AsyncLimiter(bucket, bucket / rate)
        self._drawn, self._owed = 0.0, bucket
        self.per_minute = per_minute

    async def start(self) -> None:
        """Return when the next request may start."""
        if self.per_minute is None:
            return
        if self._owed:
            owed, self._owed = self._owed, 0.0
            await self._limiter.acquire(owed)  # it is empty, so this fills it at once
        if not self._drawn:
            await self._limiter.acquire(self._draw)
            self._drawn = self._draw
        self._drawn -= 1
