"""Stop a run in which everything fails: a dead key, a wrong model, a request that no row gets through.

Failures count by kind and code, so that two troubles at once do not add up to one, and any success starts the count anew: a table may hold
a bad stretch. Failures that are the row's own (its picture, its length) do not count at all, for they say nothing about the next row.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pipeline.errors import AttemptError, ProviderRefused

if TYPE_CHECKING:
    from pipeline.records import Post, Reply, Request

OWN_FAULTS = frozenset({"image", "image_download", "content_policy", "context_length", "too_large"})
"""Kinds of failure that concern one row and cost little."""


class Breaker:
    """Counts failures of one kind since the last success."""

    def __init__(self, stop_after: int) -> None:
        self._stop_after = stop_after
        self._failures: Counter[tuple[str, str | None]] = Counter()

    def succeeded(self) -> None:
        """Start every count anew."""
        self._failures.clear()

    def failed(self, error: AttemptError) -> None:
        """Count a row's failure. Raises ``ProviderRefused`` when it is the ``stop_after``-th of its kind without a success."""
        if error.kind in OWN_FAULTS:
            return
        trouble = (error.kind, error.code)
        self._failures[trouble] += 1
        if self._failures[trouble] >= self._stop_after:
            raise ProviderRefused(
                f"{self._failures[trouble]} rows failed in a row with {error.kind} and none succeeded; the last said: {error.message}",
                hint=error.hint or "mend the cause and start the same command again, or raise stop_after if the rows are to blame",
            ) from error


def guarded(post: Post, breaker: Breaker) -> Post:
    """Return ``post`` that raises ``ProviderRefused`` for a failure that concerns the whole run, and when everything fails."""

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
