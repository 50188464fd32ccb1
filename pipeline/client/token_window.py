"""How many tokens may start now: a steady flow with a hard cap on every 60 seconds.

Two rules hold at once, because neither is enough:

- *Flow.* Tokens trickle in at limit / 60 per second, or a thousandth less, see below. A request may start when nothing is
  owed, and then owes its own weight: starts are spread evenly, a heavy request is followed by a pause of its size, and the
  first minute does not begin with a full bucket.
- *Window.* Requests of mixed weight overshoot a pure flow by the weight of the last one. So the starts of the last 60
  seconds are remembered, and the next one waits until it fits in among them. Any 60 seconds, wherever a provider's own
  minute begins, stay within the limit. Starts that follow each other closely are remembered as one, which counts from the
  last of them: so a thousand starts a second take no more memory, and no longer to look through, than twenty.

A request heavier than the limit counts as exactly the limit: it waits until the window is empty and goes alone.
Nothing here waits or knows a clock; the caller passes the time in seconds.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WINDOW_S = 60.0
GRAIN_S = 0.05  # starts this close are remembered as one
CREDIT_S = 5.0  # flow kept for later while nobody asks, in seconds: enough to take up refunds, too little for a burst


@dataclass(slots=True, eq=False)
class _Starts:
    """Requests that started together, from ``since`` until ``at``; ``counted`` as long as their tokens weigh on the window."""

    since: float
    at: float
    tokens: float
    counted: bool = True


@dataclass(slots=True, eq=False)
class Reservation:
    """Tokens of one request, where they were taken and among which starts they are remembered."""

    window: TokenWindow
    tokens: float
    starts: _Starts


class TokenWindow:
    """Tokens per minute, for requests that the caller serves in the order it wants."""

    def __init__(self, per_minute: float, now: float) -> None:
        self._per_minute = per_minute
        self._level = 0.0
        self._refilled_at = now
        self._spent = 0.0
        self._recent: deque[_Starts] = deque()

    @property
    def per_minute(self) -> float:
        """The limit."""
        return self._per_minute

    def change(self, per_minute: float, now: float) -> None:
        """Set another limit from now on. What is owed shrinks to a minute of it: at a far lower one it would take days to flow in."""
        self._advance(now)
        self._per_minute = per_minute
        self._level = max(self._level, -per_minute)

    def available(self, now: float) -> float:
        """Return the tokens that flowed in and were not taken; negative while some are owed."""
        self._advance(now)
        return self._level

    def delay(self, weight: float, now: float) -> float:
        """Return the seconds until a request of ``weight`` tokens may start, 0 or less when it may now."""
        self._advance(now)
        owed_s = -self._level / self._per_second
        excess = self._spent + min(weight, self._per_minute) - self._per_minute
        room_at = now
        for starts in self._recent:
            if excess <= 0:
                break
            excess -= starts.tokens
            room_at = starts.at + WINDOW_S
        return max(owed_s, room_at - now)

    def reserve(self, weight: float, now: float) -> Reservation:
        """Take ``weight`` tokens for a request that starts now."""
        self._advance(now)
        tokens = min(weight, self._per_minute)
        if not self._recent or now - self._recent[-1].since >= GRAIN_S:
            self._recent.append(_Starts(now, now, 0.0))
        starts = self._recent[-1]
        starts.at = now
        starts.tokens += tokens
        self._spent += tokens
        self._level -= tokens
        return Reservation(self, tokens, starts)

    def settle(self, reservation: Reservation, tokens: float, now: float) -> None:
        """Put the real usage in the place of the estimate: the rest flows back, or is owed. 0 gives everything back."""
        self._advance(now)
        change = min(tokens, self._per_minute) - reservation.tokens
        reservation.tokens += change
        self._level = min(self._level - change, self._credit)
        if reservation.starts.counted:
            reservation.starts.tokens += change
            self._spent += change

    def rest(self, until: float, now: float) -> None:
        """Let nothing flow in before ``until``, so that a pause does not end in a burst."""
        self._advance(now)
        self._level = min(self._level, 0.0)
        self._refilled_at = max(self._refilled_at, until)

    @property
    def _per_second(self) -> float:
        """The flow: slower by the grain, so that under steady demand it is the flow that spaces starts, and not the window."""
        return self._per_minute / (WINDOW_S + GRAIN_S)

    @property
    def _credit(self) -> float:
        return self._per_minute * CREDIT_S / WINDOW_S

    def _advance(self, now: float) -> None:
        if now > self._refilled_at:
            flowed = (now - self._refilled_at) * self._per_second
            self._level = min(self._level + flowed, self._credit)
            self._refilled_at = now
        while self._recent and self._recent[0].at + WINDOW_S <= now:
            expired = self._recent.popleft()
            expired.counted = False
            self._spent = self._spent - expired.tokens if self._recent else 0.0  # no float dust from long runs
