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
from pipeline.client.reader import NoAnswer, Reader
from pipeline.errors import AttemptError, Sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.client.exchange import Answer, Hear
    from pipeline.spec.rules import Deadlines

KEEP_S = 30.0  # that an idle connection is kept
REFUSALS = 400  # from this status on, an answer may come before the whole request was read
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
                self._reader.begin()
                transport.abort()

    def data_received(self, data: bytes) -> None:
        """Read on. What comes unasked ends the connection."""
        if self._waiter is None:
            self.close()
            return
        try:
            whole = self._reader.feed(data)
        except NoAnswer as fault:
            self._fail(fault)
            return
        if whole:
            self._succeed()
        elif self._reader.headed:
            self._expect("next piece", self._deadlines.idle_s)

    def connection_lost(self, error: Exception | None) -> None:
        """Settle what is out: an answer without a length is whole now, any other is not."""
        self._alarm.cancel()
        if self._waiter is not None:
            try:
                whole = error is None and self._reader.end()
            except NoAnswer as fault:
                self._fail(fault)
            else:
                if whole:
                    self._succeed()
                else:
                    self._fail(_broken(error))
        self._transport = None
        self.lost.set_result(None)
        self._gone(self)

    def close(self) -> None:
        """Close at once, without a word to the server."""
        if self._transport is not None:
            self._transport.abort()

    def _succeed(self) -> None:
        transport, waiter = self._transport, self._waiter
        assert transport is not None
        unwritten = transport.get_write_buffer_size()
        if unwritten and self._reader.status < REFUSALS:
            self._fail(NoAnswer("the server broke off: it answered before it had the whole request"))
            return
        self._waiter = None
        if waiter is not None and not waiter.done():
            waiter.set_result(self._reader.answer())
        else:  # he was cancelled a moment ago
            self._reader.begin()
        if self._reader.reusable and not unwritten:
            self._end = math.inf
            self._expect("", KEEP_S)
        else:
            transport.abort()

    def _fail(self, fault: Exception) -> None:
        waiter, self._waiter = self._waiter, None
        self._reader.begin()  # lets go of what it holds; the collector may come to it late
        if isinstance(fault, NoAnswer):
            sent = Sent.NEVER if self._free else Sent.MAYBE
            fault = AttemptError(str(fault), kind=fault.kind, sent=sent, transient=fault.transient)
        if waiter is not None and not waiter.done():
            waiter.set_exception(fault)
        self.close()

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
        message = f"no answer within the deadline for the {phase}, after {due - self._start:g} s"
        self._fail(NoAnswer(message, kind="timeout"))


def _broken(error: Exception | None) -> Exception:
    """Return what ends an exchange when its connection has ended: an error is passed on where it is a mistake of ours."""
    if error is None:
        return NoAnswer("the server broke off: it closed the connection before its answer was whole")
    if not isinstance(error, OSError):
        return error
    return NoAnswer(f"the {'encryption' if isinstance(error, ssl.SSLError) else 'connection'} broke: {error}")
