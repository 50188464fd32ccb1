"""One goes ahead: of requests that begin alike the first leaves alone, and the others once it has its answer.

Providers write a beginning into their prompt cache while they read it, so those that leave together all pay for it in full. The others
wait here, not with a worker: meanwhile workers take rows that begin otherwise. Whatever becomes of the first, the others leave when its
first attempt has ended; where it needed none, another goes ahead.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipeline.engine.feed import Feed, Question
    from pipeline.records import Post, Reply, Request

WAITING = 2_048
"""Questions that wait at most; then nothing more is read until some of them leave."""
WAITING_BYTES = 64 * 1024 * 1024
"""Bytes of them, about."""
WARM = 10_000
"""Beginnings that are known to be in the cache; the one that was not asked for longest is forgotten first."""
KEPT_S = 300.0
"""Seconds for which a beginning that nobody asks for stays warm: OpenAI's guide says 5 to 10 minutes."""


class Warming:
    """Hands out a feed's questions. A beginning is cold at first, ``led`` while one request with it is on its way, and warm from then on.

    Of every led beginning the leader is with a worker, who says when its attempt has ended or that it needed none: so whoever waits is let
    go, and nobody waits for a row that waits.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._free: deque[Question] = deque()
        self._waiting: dict[bytes, deque[Question]] = {}
        self._count = self._bytes = 0
        self._leaders: dict[tuple[int, int], tuple[bytes, ...]] = {}
        self._led: set[bytes] = set()
        self._warm: OrderedDict[bytes, float] = OrderedDict()  # until when, each time it is asked for anew
        self._ended = False
        self._changed = anyio.Event()

    @property
    def ready(self) -> bool:
        """Whether a question may leave that waited: who waits for the feed meanwhile does not hear of it."""
        return bool(self._free)

    async def take(self) -> Question | None:
        """Return the next question that may leave, or None when there are no more. Say ``answered`` when it is."""
        while True:
            if self._free:
                question = self._free.popleft()
            elif self._count and (self._ended or self._count >= WAITING or self._bytes >= WAITING_BYTES):
                await self._changed.wait()
                continue
            elif (taken := None if self._ended else await self._feed.take()) is None:
                self._ended = True
                if self._count or self._free:
                    continue
                return None
            else:
                question = taken
            if not question.begins or self._may_leave(question):
                return question

    def leading(self, post: Post) -> Post:
        """Return a layer that says when the attempt of one who goes ahead has ended, well or not."""

        async def ask(request: Request) -> Reply:
            try:
                return await post(request)
            finally:
                if self._leaders:
                    self._attempted(request)

        return ask

    def answered(self, question: Question) -> None:
        """A row is over. If it went ahead and no attempt was needed, the cache knows no more than before: another goes ahead."""
        if not self._leaders or not question.begins:
            return
        request = question.request()
        for beginning in self._leaders.pop((request.row, request.sample), ()):
            self._led.discard(beginning)
            if waiting := self._waiting.get(beginning):
                self._let_go(beginning, waiting, 1)

    def close(self) -> None:
        """Hand out nothing more."""
        self._ended = True
        self._free.clear()
        self._waiting.clear()
        self._count = self._bytes = 0
        self._feed.close()
        self._wake()

    def _may_leave(self, question: Question) -> bool:
        """Let a question go, ahead of others where it has a cold beginning; or let it wait for the one that did."""
        for beginning in question.begins:
            if beginning in self._led:
                self._waiting.setdefault(beginning, deque()).append(question)
                self._count += 1
                self._bytes += question.size
                return False
        now = anyio.current_time()
        cold = tuple(beginning for beginning in question.begins if self._warm.get(beginning, now) <= now)
        self._keep_warm((beginning for beginning in question.begins if beginning not in cold), now)
        if cold:
            request = question.request()
            self._leaders[request.row, request.sample] = cold
            self._led.update(cold)
        return True

    def _keep_warm(self, beginnings: Iterable[bytes], now: float) -> None:
        for beginning in beginnings:
            self._warm[beginning] = now + KEPT_S
            self._warm.move_to_end(beginning)
            if len(self._warm) > WARM:
                self._warm.popitem(last=False)

    def _attempted(self, request: Request) -> None:
        if (led := self._leaders.pop((request.row, request.sample), None)) is None:
            return
        self._keep_warm(led, anyio.current_time())
        for beginning in led:
            self._led.discard(beginning)
            if waiting := self._waiting.get(beginning):
                self._let_go(beginning, waiting, len(waiting))

    def _let_go(self, beginning: bytes, waiting: deque[Question], count: int) -> None:
        for _ in range(count):
            question = waiting.popleft()
            self._free.append(question)
            self._count -= 1
            self._bytes -= question.size
        if not waiting:
            del self._waiting[beginning]
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()
