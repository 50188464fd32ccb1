"""The line before an endpoint: strictly first come, first served, so that a heavy request is not overtaken for ever by light ones.

Only the head of the line is looked at, and only when what holds it up may be gone: by a timer where the moment is known, or when the owner
says that something has changed. Nothing polls, and ten thousand waiters cost no more than one.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from pipeline.client.pace import Pace
    from pipeline.client.permit import Permit

Cause = Literal["pause", "allowance", "concurrency", "tokens", "pace"]

TICK_S = 0.001  # loops round timers to a millisecond; a shorter one would fire at once, again and again


class _Waiter:
    """A request in the line. It is ``called`` when it has its permit, or when it has to draw starts first."""

    __slots__ = ("called", "gone", "permit", "since", "weight")

    def __init__(self, weight: int, since: float) -> None:
        self.weight = weight
        self.since = since
        self.gone = False
        self.permit: Permit | None = None
        self.again()

    def again(self) -> None:
        # An asyncio future: unlike an anyio event it costs next to nothing, and is completed from a timer.
        self.called: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Line:
    """Lets requests start, in order, when there is no obstacle and the ``pace``, if there is one, has a start for them.

    ``obstacle`` says for how many seconds a request of a weight has to wait at a moment, and for what; ``start`` lets it out, with the
    moment since which it waited. ``waited_s`` says how long each cause held up the head. ``cleared`` is called when the last one that
    waited has left the line.
    """

    def __init__(
        self,
        obstacle: Callable[[int, float], tuple[float, Cause]],
        start: Callable[[int, float, float], Permit],
        cleared: Callable[[], None],
    ) -> None:
        self.pace: Pace | None = None
        self.waiting = 0
        self.waited_s: dict[Cause, float] = dict.fromkeys(get_args(Cause), 0.0)
        self.held_by: Cause | None = None
        self._held_since = 0.0
        self._obstacle = obstacle
        self._start = start
        self._cleared = cleared
        self._waiters: deque[_Waiter] = deque()  # who was cancelled is passed over
        self._drawer: _Waiter | None = None
        self._clock = asyncio.get_running_loop().time
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = math.inf

    def is_clear(self, weight: int, now: float) -> bool:
        """Tell whether a request that comes now may start at once."""
        return not self._waiters and self._obstacle(weight, now)[0] <= 0 and (self.pace is None or self.pace.ready)

    async def turn(self, weight: int, now: float) -> Permit:
        """Wait in the line, and at its head for what the pace hands out. Who is cancelled has taken nothing but a start."""
        waiter = _Waiter(weight, now)
        self.waiting += 1
        self._waiters.append(waiter)
        if self._waiters[0] is waiter:
            self.serve()
        try:
            await waiter.called
            while (permit := waiter.permit) is None:  # called to draw
                waiter.again()
                if self.pace is not None:
                    await self.pace.draw()
                self._drawer = None
                self.serve()
                await waiter.called
        except asyncio.CancelledError:
            self._gave_up(waiter)
            raise
        finally:
            self.waiting -= 1
            if not self.waiting:
                self._cleared()
        return permit

    def serve(self) -> None:
        """Let out all who may start now, in order; where the head may not, see to it that it is looked at again in time."""
        self._charge()
        while self._waiters:
            head = self._waiters[0]
            if head.gone or head.called.cancelled():  # the latter in the moment before its task hears of it
                self._waiters.popleft()
                continue
            now = self._clock()
            seconds, cause = self._obstacle(head.weight, now)
            if seconds > 0:
                self._hold(seconds, cause)
                if self.pace is not None:
                    self.pace.lapse()
                return
            # Whoever draws may do so from a pace that was replaced or is gone: the line goes on when that is over.
            if self._drawer is not None or (self.pace is not None and not self.pace.ready):
                self._hold(math.inf, "pace")
                if self._drawer is None:
                    self._drawer = head
                    head.called.set_result(None)
                return
            self._waiters.popleft()
            head.permit = self._start(head.weight, now, head.since)
            head.called.set_result(None)

    def _gave_up(self, waiter: _Waiter) -> None:
        """Take a cancelled request out of the line, or give back what it was handed at the same moment."""
        if waiter.permit is not None:
            with waiter.permit as permit:
                permit.void()
            return
        waiter.gone = True
        if self._drawer is waiter:
            self._drawer = None
        self.serve()

    def _hold(self, seconds: float, cause: Cause) -> None:
        """Look again after so many seconds, where that is not infinite, or when something has changed before."""
        self.held_by, self._held_since = cause, self._clock()
        at = self._held_since + max(seconds, TICK_S)
        if at < self._fires_at:  # else a timer that is set already fires soon enough: one look too many costs less
            if self._timer is not None:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(at - self._held_since, self._fire)
            self._fires_at = at

    def _charge(self) -> None:
        """Add to what held the head up the time it took."""
        if self.held_by is not None:
            self.waited_s[self.held_by] += self._clock() - self._held_since
            self.held_by = None

    def _fire(self) -> None:
        self._timer, self._fires_at = None, math.inf
        self.serve()
