"""Who may start a request now: one ``Throttle`` per endpoint and model, built inside the run that uses it.

Requests wait in one line, strictly first come, first served, see ``line.py``.

What can hold it up, and must be out of the way all at once:

===============  ====================================================================================================
``pause``        the server asked for a wait (Retry-After), which counts for the whole endpoint; afterwards starts are
                 spread over one round trip, so that the line does not fall upon the server
``allowance``    the rate-limit headers say that the next request would be refused
``concurrency``  as many requests are in the air as may be, see ``concurrency.py``
``tokens``       the tokens of the last minute, see ``token_window.py``
``pace``         requests per minute, by aiolimiter, see ``pace.py``: the head of the line draws for those behind it
===============  ====================================================================================================

Taking comes last and without an await. A request that is cancelled in the line has taken nothing but a start.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.client.backoff import equal_jitter
from pipeline.client.concurrency import Concurrency
from pipeline.client.line import Cause, Line
from pipeline.client.pace import MINUTE_S, Pace
from pipeline.client.permit import Permit
from pipeline.client.token_window import Reservation, TokenWindow
from pipeline.client.told import ToldLimit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.spec.rules import Limits
    from pipeline.wire.signals import RateHeaders

RAMP_S = (1.0, 10.0)  # shortest and longest time over which starts are spread after a pause
BACKOFF_S = 1.0  # first pause after a refusal that does not say how long; doubled each time
BELIEVED = 3  # refusals in a row after which a Retry-After is no longer believed to be long enough
NEWS_S = 1.0  # a pause that grows by less is not announced again: a hundred requests may be refused together
REFILLING = 0.95  # share of the predicted time to full from which a reset is read as that, see seconds_until_room


@dataclass(frozen=True, slots=True)
class ThrottleStatistics:
    """A snapshot. Limits are None where none is known; ``waited_s`` says how long each cause held up the line's head."""

    in_flight: int
    waiting: int
    concurrency: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    tokens_available: float | None
    paused_for_s: float
    waited_s: Mapping[Cause, float]


class Throttle:
    """The line in front of one endpoint and model.

    What ``limits`` leaves open is learned: rates from the provider's headers, concurrency from how it bears up.
    ``on_pause`` is told the seconds and the reason of each pause, ``on_clear`` is called whenever nobody waits in the line any more.
    ``max_wait_s`` bounds the pauses that nobody asked for.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        on_pause: Callable[[float, str], None] = lambda _seconds, _reason: None,
        on_clear: Callable[[], None] = lambda: None,
        rng: random.Random | None = None,
        max_wait_s: float = MINUTE_S,
    ) -> None:
        self._limits = limits
        self._on_pause = on_pause
        self._clock = asyncio.get_running_loop().time
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._max_wait_s = max_wait_s

        self.line = Line(self._obstacle, self._start, on_clear)
        if limits.requests_per_minute:
            self.line.pace = Pace(limits.requests_per_minute)
        self._tokens = TokenWindow(limits.tokens_per_minute, self._clock()) if limits.tokens_per_minute else None
        self._concurrency = Concurrency(limits.concurrency)

        self._in_flight = 0
        self._last_start, self._last_weight = -math.inf, 0
        self._paused_until = self._allowed_at = -math.inf
        self._told_requests, self._told_tokens = ToldLimit(), ToldLimit()
        self._ramp_s = 0.0
        self._refusals = 0

    async def permit(self, weight: int) -> Permit:
        """Wait in the line, and return a context for one attempt that is estimated at ``weight`` tokens."""
        now = self._clock()
        if self.line.is_clear(weight, now):
            return self._start(weight, now, now)
        return await self.line.turn(weight, now)

    def pause(self, seconds: float, reason: str) -> None:
        """Start nothing for ``seconds``; a pause under way that ends later stands."""
        now = self._clock()
        until, before = now + seconds, max(now, self._paused_until)
        if until <= before:
            return
        self._paused_until = until
        self._ramp_s = min(max(self._concurrency.round_trip_s, RAMP_S[0]), RAMP_S[1])
        if self._tokens is not None:
            self._tokens.rest(until, now)
        if before == now or until - before >= NEWS_S:
            self._on_pause(seconds, reason)

    def feedback(self, headers: RateHeaders) -> None:
        """Learn the rates that the job leaves open, and slow down before the provider has to refuse."""
        now = self._clock()
        if self._limits.requests_per_minute is None:
            requests = self._told_requests.hear(headers.limit_requests, now)
            if requests != (self.line.pace.per_minute if self.line.pace else None):
                self.line.pace = Pace(requests, full=True) if requests else None
        if self._limits.tokens_per_minute is None:
            tokens = self._told_tokens.hear(headers.limit_tokens, now)
            if tokens != (self._tokens.per_minute if self._tokens else None):
                self._tokens = changed(self._tokens, tokens, now)
                self.line.serve()
        waits = (
            seconds_until_room(
                headers.limit_requests, headers.remaining_requests, headers.reset_requests_s, most_s=self._max_wait_s
            ),
            seconds_until_room(
                headers.limit_tokens,
                headers.remaining_tokens,
                headers.reset_tokens_s,
                self._last_weight,
                most_s=self._max_wait_s,
            ),
        )
        if known := [wait for wait in waits if wait is not None]:
            until = now + max(known)
            if until - max(now, self._allowed_at) >= RAMP_S[1]:
                self._on_pause(max(known), "its rate-limit headers say that nothing is left")
            self._allowed_at = until
            self.line.serve()

    def throttled(self, reason: str, retry_after_s: float | None = None) -> None:
        """Pause everyone after a refusal: as long as the server says, else longer each time it refuses again."""
        now = self._clock()
        self._concurrency.refused(now)
        if now >= self._paused_until:  # requests that were in the air together are refused together: that counts once
            self._refusals += 1
        asked_s = retry_after_s or 0.0
        doubted = self._refusals - (BELIEVED if asked_s > 0 else 0)
        own_s = equal_jitter(BACKOFF_S, doubted, self._max_wait_s, self._rng) if doubted > 0 else 0.0
        self.pause(max(asked_s, own_s), reason)

    def overloaded(self) -> None:
        """Learn from a sign that calls for fewer requests at once but not for a pause, such as a timeout."""
        self._concurrency.refused(self._clock())

    def left(self) -> None:
        """Make room for the next, for a permit."""
        self._in_flight -= 1
        if self.line.held_by == "concurrency":
            self.line.serve()

    def answered(self, since: float) -> None:
        """Learn from a good answer, for a permit of an attempt that began at ``since``."""
        self._refusals = 0
        now = self._clock()
        self._concurrency.answered(now - since, self._in_flight, now)

    def settle(self, reservation: Reservation, tokens: int) -> None:
        """Put the real usage in the place of the estimate, for a permit."""
        reservation.window.settle(reservation, tokens, self._clock())
        if self.line.held_by == "tokens":
            self.line.serve()

    def statistics(self) -> ThrottleStatistics:
        """Return the present state."""
        now = self._clock()
        return ThrottleStatistics(
            in_flight=self._in_flight,
            waiting=self.line.waiting,
            concurrency=self._concurrency.limit,
            requests_per_minute=self.line.pace.per_minute if self.line.pace else None,
            tokens_per_minute=self._tokens.per_minute if self._tokens else None,
            tokens_available=self._tokens.available(now) if self._tokens else None,
            paused_for_s=max(self._paused_until - now, 0.0),
            waited_s=dict(self.line.waited_s),
        )

    def _start(self, weight: int, now: float, since: float) -> Permit:
        """Take what a request takes."""
        self._in_flight += 1
        self._last_start, self._last_weight = now, weight
        if self.line.pace is not None:
            self.line.pace.take()
        reservation = self._tokens.reserve(weight, now) if self._tokens is not None else None
        return Permit(self, now, now - since, reservation)

    def _obstacle(self, weight: int, now: float) -> tuple[float, Cause]:
        """Return how long the head has to wait, and for what; 0 or less when the way is clear."""
        if self._in_flight >= self._concurrency.limit:
            return math.inf, "concurrency"
        obstacle: tuple[float, Cause] = (self._allowed_at - now, "allowance")
        if now < self._paused_until + self._ramp_s:
            spread_until = self._last_start + self._ramp_s / self._concurrency.limit
            obstacle = max(obstacle, (max(self._paused_until, spread_until) - now, "pause"))
        if self._tokens is not None:
            obstacle = max(obstacle, (self._tokens.delay(weight, now), "tokens"))
        return obstacle


def changed(window: TokenWindow | None, per_minute: float | None, now: float) -> TokenWindow | None:
    """Return the window for a limit that was told, which remembers the starts of the one before; None where there is no limit."""
    if per_minute is None:
        return None
    if window is None:
        return TokenWindow(per_minute, now)
    window.change(per_minute, now)
    return window


def seconds_until_room(
    limit: float | None, remaining: float | None, reset_s: float | None, need: float = 1, *, most_s: float = math.inf
) -> float | None:
    """Return how long until ``need`` units are allowed, by one set of rate-limit headers; None when they do not say.

    Providers mean two things by a reset: the end of a fixed window, when everything is allowed again, or the time until
    a bucket that refills all the while is full. The second betrays itself by its length: a minute for a whole limit.
    Without a limit the two cannot be told apart, and no more than ``most_s`` of the reset is believed.
    """
    if remaining is None or remaining < 0:
        return None
    if remaining >= need:
        return 0.0
    if reset_s is None:
        return None
    if limit is None or limit <= remaining:
        return min(reset_s, most_s)
    taken = limit - remaining
    if reset_s < REFILLING * MINUTE_S * taken / limit:
        return reset_s
    return reset_s * (min(need, limit) - remaining) / taken
