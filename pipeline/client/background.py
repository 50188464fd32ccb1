"""Answers that are made in the background: the provider takes a request in under an id, and the answer is fetched once it is there.

The id is durable before the first look. From then on nothing that happens here can lose the answer: a run that is stopped or killed leaves
it with the provider, and the next one fetches it instead of asking, and paying, again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from pipeline.client.backoff import between_polls
from pipeline.client.stored import is_usable
from pipeline.errors import AttemptError, ProviderRefused, RunError, Sent, Unfetched
from pipeline.records import Outcome, Status
from pipeline.wire.signals import attempt_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.client.stored import Stored
    from pipeline.records import Journal, Post, Reply, Request

CANCEL_S = 5.0  # how long the provider has to say that it cancelled a response
BELIEVED = 5  # looks in a row that are refused for good before that is believed: reads are free, and a paid answer hangs on them
NOT_FOUND = 404


def fetching(
    post: Post,
    stored: Stored,
    journal: Journal,
    within_s: float,
    *,
    urgent: Callable[[], bool],
    rng: random.Random | None = None,
) -> Post:
    """Return a layer that waits for answers made in the background, whichever delivery asked for them and in whichever run.

    An attempt that has a response id is not sent: its answer is fetched. What is not there ``within_s`` seconds after it was handed in, or
    after this run took it up, is cancelled at the provider. A cancelled row leaves its response there, but for one that ends because
    ``urgent`` is true: it is cancelled, and journaled as such. Raises ``ProviderRefused`` where a look is refused to everyone.
    """
    dice = rng or random.Random()  # noqa: S311 - jitter, not a secret

    async def ask(request: Request) -> Reply:
        assert request.attempt is not None
        if (response_id := request.attempt.response_id) is not None:
            made = _Made(stored, request, response_id, found=True, wait_s=0.0, dice=dice)
        else:
            reply = await post(request)
            if reply.status is not Status.PENDING:
                return reply
            response_id = _id_of(reply)
            made = _Made(stored, request, response_id, found=False, wait_s=reply.poll_after_s, dice=dice)
            with anyio.CancelScope(shield=True):  # it is paid: whatever ends the run now, the next one shall find it
                try:
                    await journal.submitted(request.attempt, response_id)
                except RunError:  # the journal is broken: nobody could find it again
                    await made.cancelled()
                    raise
        try:
            return await _within(within_s, made)
        except anyio.get_cancelled_exc_class():
            if urgent():
                with anyio.CancelScope(shield=True):
                    await _call_off(request, made, journal)
            raise

    return ask


def _id_of(reply: Reply) -> str:
    if reply.response_id is None or not is_usable(reply.response_id):
        message = "the provider took the request in, but gave no id by which its answer could be fetched"
        raise attempt_error("in_progress", message, sent=Sent.MAYBE, transient=False, reply=reply)
    return reply.response_id


async def _within(seconds: float, made: _Made) -> Reply:
    """Return the answer, or what is there after so many seconds when the provider is told to stop."""
    with anyio.move_on_after(seconds):
        return await made.finished()
    reply = await made.cancelled()
    status = reply.status if reply is not None else None
    if reply is not None and status not in (Status.PENDING, Status.CANCELLED):
        return reply  # it was finished just before
    late = f"the answer was not there after {seconds:g} s (deadlines.background_s)"
    if status is not Status.CANCELLED:  # it may still be made: to ask again now would be to pay twice
        raise Unfetched(f"{late} and could not be cancelled; the provider goes on with {made.response_id}")
    raise attempt_error("timeout", f"{late} and was cancelled", sent=Sent.MAYBE, reply=reply)


async def _call_off(request: Request, made: _Made, journal: Journal) -> None:
    """Cancel a response so that its request can be asked anew. One whose end the provider does not confirm is left to be fetched."""
    reply = await made.cancelled()
    if reply is None or reply.status is not Status.CANCELLED:
        return
    assert request.attempt is not None
    message = "cancelled, because the run was stopped at once"
    error = attempt_error("cancelled", message, sent=Sent.ANSWERED, reply=reply)
    await journal.settle(request, request.attempt, Outcome(None, error=error))


@dataclass(slots=True)
class _Made:
    """A response that is being made. ``found`` tells whether the provider is known to have kept it, ``wait_s`` when to look next."""

    stored: Stored
    request: Request
    response_id: str
    found: bool
    wait_s: float | None
    dice: random.Random

    async def finished(self) -> Reply:
        """Look until it is finished and return it; raises ``AttemptError`` where it failed or can't be fetched."""
        looks = refused = 0
        while True:
            looks += 1
            await anyio.sleep(between_polls(looks, self.dice) if self.wait_s is None else self.wait_s)
            try:
                reply = await self.stored.look(self.request, self.response_id)
            except AttemptError as error:
                refused = 0 if error.transient else refused + 1
                self._judge(error, refused)
                self.wait_s = error.retry_after_s
                continue
            if reply.response_id not in (None, self.response_id):  # somebody else's
                refused += 1
                if refused >= BELIEVED:
                    raise Unfetched(f"asked for the answer {self.response_id}, the provider gives {reply.response_id}")
                continue
            if reply.status is not Status.PENDING:
                return reply
            self.found, self.wait_s, refused = True, reply.poll_after_s, 0

    async def cancelled(self) -> Reply | None:
        """Cancel it and return what became of it; None where the provider does not say in time."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(CANCEL_S):
            try:
                return await self.stored.cancel(self.request, self.response_id)
            except AttemptError:  # refused, or nobody there: it is then as before
                return None
        return None

    def _judge(self, error: AttemptError, refused: int) -> None:
        """Raise what ends the waiting; return where another look may help, for looks cost nothing."""
        if error.reply is not None and error.kind != "unrecognised":
            raise error  # it is the response that failed, not the look at it
        if error.scope == "run":  # no end of the attempt: once the key is right, its answer can be fetched
            raise ProviderRefused(error.message, hint=error.hint) from error
        if refused < BELIEVED:
            return
        if error.http_status != NOT_FOUND:
            raise Unfetched(
                f"the answer {self.response_id} cannot be fetched: {error.message}", hint=error.hint
            ) from error
        if self.found:
            message = f"the provider no longer has the answer {self.response_id}: {error.message}"
            raise attempt_error("gone", message, sent=Sent.MAYBE, http_status=NOT_FOUND) from error
        message = f"the provider never had the answer {self.response_id}, which it promised: {error.message}"
        raise attempt_error("gone", message, sent=Sent.MAYBE, transient=False, http_status=NOT_FOUND) from error
