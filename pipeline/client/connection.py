"""One connection: it takes one request at a time, and knows how far that got.

A request is *never sent* until its first byte is handed to the socket, *sent* from then on, and *answered* when the whole answer is here;
there is nothing in between. Between requests a connection is idle, and closes when it has been that for long, or when it hears anything.
"""

from __future__ import annotations

import asyncio
import math
import select
import ssl
from typing import TYPE_CHECKING, cast

from pipeline.client.alarm import Alarm
from pipeline.client.exchange import Answer
from pipeline.client.reader import Reader, UnreadableError
from pipeline.errors import AttemptError, Sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.client.exchange import Hear
    from pipeline.spec.rules import Deadlines

KEEP_S = 30.0  # that an idle connection is kept
_JOINED_BYTES = 64 * 1024  # up to this size a body is copied behind its head, which costs less than a second call


class Connection(asyncio.Protocol):
    """A connection to one server. ``gone`` hears of its end, however it came.

    Whoever makes an exchange is told the whole truth about it; after one that failed, or was cancelled, the connection is closed.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, deadlines: Deadlines, gone: Callable[[Connection], None]
    ) -> None:
        self.lost = loop.create_future()
        """Is done when the connection is closed."""
        self._loop = loop
        self._deadlines = deadlines
        self._gone = gone
        self._reader = Reader()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._free = False
        self._alarm = Alarm(loop, self._late)
        self._start = self._end = 0.0
        self._phase = ""
        self._poll = select.poll()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin idle."""
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    @property
    def open(self) -> bool:
        """Whether it was left open by the exchanges so far."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def usable(self) -> bool:
        """Whether it is open, and nothing has come from the server since its last answer, such as its end.

        This asks the system, for the loop may not have come to it yet: before a request has left, another connection costs nothing.
        """
        return self.open and not self._poll.poll(0)

    async def exchange(self, head: bytes, body: bytes, start: float, hear: Hear | None, *, free: bool) -> Answer:
        """Send a request and return its whole answer; raises ``AttemptError``.

        ``start`` is when the attempt began, by the loop's clock; with ``free`` it costs nothing, however far it gets.
        """
        transport = self._transport
        assert transport is not None
        self._free = free
        self._start, self._end = start, start + self._deadlines.total_s
        self._reader.begin(hear)
        waiter: asyncio.Future[Answer] = self._loop.create_future()
        self._waiter = waiter
        self._expect("first byte", self._deadlines.first_byte_s)
        if len(body) <= _JOINED_BYTES:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        try:
            return await waiter
        finally:
            if self._waiter is not None:  # cancelled
                self._waiter = None
                transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read on. What comes unasked ends the connection."""
        if self._waiter is None:
            self.close()
            return
        try:
            whole = self._reader.feed(data)
        except UnreadableError as fault:
            self._fail(str(fault), kind=fault.kind, transient=fault.transient)
            return
        if whole:
            self._succeed()
        elif self._reader.headed:
            self._expect("next piece", self._deadlines.idle_s)

    def connection_lost(self, error: Exception | None) -> None:
        """Settle what is out: an answer without a length is whole now, any other is not."""
        self._alarm.cancel()
        if self._waiter is not None:
            self._settle(error)
        self._transport = None
        self.lost.set_result(None)
        self._gone(self)

    def close(self) -> None:
        """Close at once, without a word to the server."""
        if self._transport is not None:
            self._transport.abort()

    def _settle(self, error: Exception | None) -> None:
        """Settle an attempt whose connection has ended."""
        if error is not None and not isinstance(error, OSError):
            self._tell(error)  # a mistake of our own, in one of the methods above or in what listens
            return
        if error is not None:
            broken = "the encryption broke" if isinstance(error, ssl.SSLError) else "the connection broke"
            self._fail(f"{broken}: {error}")
            return
        try:
            whole = self._reader.end()
        except UnreadableError as fault:
            self._fail(str(fault), kind=fault.kind, transient=fault.transient)
            return
        if whole:
            self._succeed()
        else:
            self._fail("the server broke off: it closed the connection before its answer was whole")

    def _succeed(self) -> None:
        transport = self._transport
        assert transport is not None
        self._tell(self._reader.answer())
        if self._reader.reusable and not transport.get_write_buffer_size():
            self._end = math.inf
            self._expect("", KEEP_S)
        else:
            transport.abort()

    def _fail(self, message: str, *, kind: str = "disconnected", transient: bool = True) -> None:
        sent = Sent.NEVER if self._free else Sent.MAYBE
        self._tell(AttemptError(message, kind=kind, sent=sent, transient=transient))
        self.close()

    def _tell(self, outcome: Answer | Exception) -> None:
        """End the exchange. Whoever waits for it may have been cancelled a moment ago."""
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if isinstance(outcome, Answer):
            waiter.set_result(outcome)
        else:
            waiter.set_exception(outcome)

    def _expect(self, phase: str, seconds: float) -> None:
        """From now on something else is due."""
        self._phase = phase
        self._alarm.move(min(self._end, self._loop.time() + seconds))

    def _late(self) -> None:
        if self._waiter is None:  # it was idle for long enough
            self.close()
            return
        due = self._alarm.due
        phase = "whole attempt" if due >= self._end else self._phase
        self._fail(f"no answer within the deadline for the {phase}, after {due - self._start:g} s", kind="timeout")
