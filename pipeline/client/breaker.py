"""Stop a run in which everything fails: a wrong model, a request that no row gets through, a provider that is down.

Failures count by kind and code, so that two troubles at once do not add up to one. Any success starts the counts anew: a
table may hold a bad stretch. A failure that is the row's own (its picture, its length) does not count, for it says nothing
about the next row.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pipeline.errors import AttemptError, ProviderRefused, Sent

if TYPE_CHECKING:
    from pipeline.records import Post, Reply, Request

OWN_FAULTS = frozenset({"image", "image_download", "content_policy", "context_length", "too_large"})
"""Kinds of failure that concern one row."""

HINT = "mend the cause and start the same command again; if the rows are to blame, raise stop_after"


class Breaker:
    """Counts the failures of each kind and code since the last success."""

    def __init__(self, stop_after: int) -> None:
        self._stop_after = stop_after
        self._failures: Counter[tuple[str, str | None]] = Counter()
        self._maybe_paid = 0

    def succeeded(self) -> None:
        """Start every count anew."""
        self._failures.clear()
        self._maybe_paid = 0

    def attempted(self, error: AttemptError, attempts: int) -> None:
        """Count an attempt that may have been paid: rows in the air together must not all use up theirs first."""
        self._maybe_paid += error.sent is Sent.MAYBE
        if self._maybe_paid >= self._stop_after * attempts:
            message = (
                f"{self._maybe_paid} attempts may have been paid and none succeeded; the last one said: {error.message}"
            )
            raise ProviderRefused(message, hint=error.hint or HINT) from error

    def failed(self, error: AttemptError) -> None:
        """Count the failure with which a row ended. Raises ``ProviderRefused`` when there are too many of its kind."""
        if error.kind in OWN_FAULTS:
            return
        trouble = error.kind, error.code
        self._failures[trouble] += 1
        if (count := self._failures[trouble]) >= self._stop_after:
            message = f"{count} rows failed with {error.kind} and none succeeded; the last one said: {error.message}"
            raise ProviderRefused(message, hint=error.hint or HINT) from error


def watched(post: Post, breaker: Breaker, attempts: int) -> Post:
    """Return ``post`` that tells the breaker of every failed attempt; it stands below ``retrying``."""

    async def ask(request: Request) -> Reply:
        try:
            return await post(request)
        except AttemptError as error:
            breaker.attempted(error, attempts)
            raise

    return ask


def guarded(post: Post, breaker: Breaker) -> Post:
    """Return ``post`` that counts how rows end.

    Raises ``ProviderRefused`` when everything fails, and at once for a failure that concerns the whole run.
    """

    async def ask(request: Request) -> Reply:
        try:
            reply = await post(request)
        except AttemptError as error:
            if error.scope == "run":
                raise ProviderRefused(error.message, hint=error.hint) from error
            breaker.failed(error)
            raise
        breaker.succeeded()
        return reply

    return ask
