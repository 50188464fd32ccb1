"""Ask again where waiting helps, and only there.

Two layers of one shape. ``throttled`` takes a permit for each attempt and tells the throttle how it ended; ``retrying``,
above it, decides whether there is another attempt. When a provider throttles, everyone pauses below, at the permit, so
``retrying`` does not wait a second time. Throttled attempts are counted apart and more of them are allowed: they cost
nothing and say nothing about the row. Both counts are finite, so every row ends.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import anyio

from pipeline.client.attempt import on_its_way
from pipeline.client.backoff import equal_jitter, full_jitter
from pipeline.errors import AttemptError, RowError, Sent
from pipeline.events import AttemptFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.client.permit import Permit
    from pipeline.client.throttle import Throttle
    from pipeline.records import Post, Reply, Request
    from pipeline.spec.rules import Retry

THROTTLES = frozenset({"rate_limit", "overloaded"})
"""Kinds of failure that concern the whole endpoint: everyone waits, not one row."""
SLOWDOWNS = frozenset({"timeout"})
"""Kinds of failure after which fewer requests are sent at once."""
UNKNOWN_OUTCOME = "unknown_outcome"
"""Kind of a request that left and stays unanswered, because the job prefers that to paying twice."""

TRANSIENT_BASE_S = 0.5
THROTTLE_BASE_S = 1.0  # limits are counted per minute, so a shorter wait is refused again
THROTTLED_ATTEMPTS = 4  # times policy.attempts


def delay(error: AttemptError, failures: int, policy: Retry, rng: random.Random) -> float:
    """Return the seconds to wait after a row's ``failures``-th failure: what the server asks for, else a back-off."""
    if error.retry_after_s is not None:
        return max(error.retry_after_s, 0.0)
    if error.kind in THROTTLES:
        return equal_jitter(THROTTLE_BASE_S, failures, policy.max_wait_s, rng)
    return full_jitter(TRANSIENT_BASE_S, failures, policy.max_wait_s, rng)


def retrying(
    post: Post,
    policy: Retry,
    *,
    announce: Callable[[AttemptFailed], None] = lambda _event: None,
    rng: random.Random | None = None,
) -> Post:
    """Return ``post`` with further attempts; ``announce`` is told of each that fails.

    Raises the last ``AttemptError`` when none is left or none would help, and as ``unknown_outcome`` when the request may
    have run and ``policy.ambiguous`` is false.
    """
    dice = rng or random.Random()  # noqa: S311 - jitter, not a secret

    async def ask(request: Request) -> Reply:
        failures = {True: 0, False: 0}  # throttled ones, all others
        while True:
            try:
                return await post(request)
            except AttemptError as error:
                throttled = error.kind in THROTTLES
                failures[throttled] += 1
                final = _final(error, failures[throttled], policy)
                wait_s = delay(error, failures[throttled], policy, dice) if final is None else None
                announce(AttemptFailed(request.row, (final or error).kind, error.message, wait_s))
                if final is error:
                    raise
                if final is not None:
                    raise final from error
            if wait_s and not throttled:
                await anyio.sleep(wait_s)

    return ask


def _final(error: AttemptError, failures: int, policy: Retry) -> AttemptError | None:
    """Return the error with which the row ends, or None when another attempt may help."""
    if error.sent is Sent.MAYBE and not policy.ambiguous:
        return _unknown_outcome(error)
    allowed = policy.attempts * (THROTTLED_ATTEMPTS if error.kind in THROTTLES else 1)
    return None if error.transient and failures < allowed else error


def _unknown_outcome(error: AttemptError) -> AttemptError:
    return AttemptError(
        f"sent, and no whole answer came back, so it may have been paid: {error.message}",
        kind=UNKNOWN_OUTCOME,
        sent=error.sent,
        transient=False,
        scope=error.scope,
        http_status=error.http_status,
        code=error.code,
        request_id=error.request_id,
        reply=error.reply,
        hint=error.hint or "set retry.ambiguous to true to ask such rows again",
    )


def throttled(post: Post, throttle_of: Callable[[Request], Throttle]) -> Post:
    """Return ``post`` behind the throttle of each request, which learns from how the attempt ends."""

    async def attempt(request: Request) -> Reply:
        throttle = throttle_of(request)
        with await throttle.permit(request.weight) as permit:
            if permit.waited_s:  # money, too
                request = on_its_way(request, waited_s=round(request.waited_s + permit.waited_s, 3))
            try:
                reply = await post(request)
            except RowError as error:
                _account(error, permit, throttle)
                raise
            permit.settle(reply.usage.total_tokens)
            permit.succeeded()
            return reply

    return attempt


def _account(error: RowError, permit: Permit, throttle: Throttle) -> None:
    """Settle the permit of a failed attempt and let the throttle learn from it. What may have run keeps its estimate."""
    if not isinstance(error, AttemptError):
        permit.void()  # a picture or a parameter was wrong: the row's own fault, found before anything left
        return
    if error.reply is not None:
        permit.settle(error.reply.usage.total_tokens)
    elif error.sent is Sent.NEVER:
        permit.void()
    if error.kind in THROTTLES:
        throttle.throttled(error.message, error.retry_after_s)
    elif error.kind in SLOWDOWNS:
        throttle.overloaded()
