"""What the client needs of HTTP: bytes out, a whole answer back, and an exact word on how far a request got.

What matters is how far it got: an attempt that never left is free, one that left and got no whole answer may have been paid.
Who speaks HTTP for us is chosen in ``client.transports``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BODY_BYTES = 64 * 1024 * 1024  # of an answer, decoded; a long answer with logprobs has some megabytes

Hear = Callable[[bytes], None]
"""Is told each piece of an answer's body, decoded, the moment it is here."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer: status, headers by lower-case name, decoded body."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Http(Protocol):
    """What the client needs of a transport."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, hear: Hear | None = None) -> Answer:
        """Send one request and return the whole answer, or raise ``AttemptError`` saying how far it got.

        ``headers`` must never change once they were given here: what is made of them is kept for the next request with the same object.
        """

    async def call(self, method: str, url: str, headers: Mapping[str, str]) -> Answer:
        """Send a request that has no body and costs nothing, and return the whole answer, or raise ``AttemptError``."""
