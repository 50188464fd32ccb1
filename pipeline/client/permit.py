"""What a request holds while it is in the air: the right to one attempt, to be handed back to whoever gave it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType

    from pipeline.client.token_window import Reservation


class Giver(Protocol):
    """Who hands out permits, and hears from them what became of the attempt."""

    def left(self) -> None:
        """Take note that the attempt is over."""

    def answered(self, since: float) -> None:
        """Learn from an answer, that is here now, to an attempt that began at ``since``."""

    def settle(self, reservation: Reservation, tokens: int) -> None:
        """Put the real usage in the place of the estimate."""


class Permit:
    """The right to one attempt, after a wait of ``waited_s``, as a context: leaving it makes room for the next."""

    __slots__ = ("_giver", "_reservation", "_since", "waited_s")

    def __init__(self, giver: Giver, since: float, waited_s: float, reservation: Reservation | None) -> None:
        self._giver = giver
        self._since = since
        self._reservation = reservation
        self.waited_s = waited_s

    def __enter__(self) -> Permit:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._giver.left()

    def succeeded(self) -> None:
        """Let the throttle learn from an answer that is here now."""
        self._giver.answered(self._since)

    def settle(self, tokens: int | None) -> None:
        """Put the real usage in the place of the estimate; None keeps the estimate."""
        if tokens is not None and self._reservation is not None:
            self._giver.settle(self._reservation, tokens)

    def void(self) -> None:
        """Give the tokens back, for nothing was sent. The start stays taken: a dead server is not to be hammered."""
        self.settle(0)
