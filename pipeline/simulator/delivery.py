"""How the bytes of a reply go out: whole, in half, drop by drop, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.simulator.connection import Exchange, head_of

__all__ = ["WIRES", "Parcel", "pause", "plain_parcel", "stream_parcel"]

GAP = 0.02
PACES = 8


@dataclass(frozen=True, slots=True)
class Parcel:
    """A reply in bytes: the head, and the body's pieces already framed."""

    head: bytes
    pieces: Sequence[bytes]
    ending: bytes = b""
    """What ends a chunked body."""
    spread_s: float = 0.0
    """The time over which a stream's pieces are spread."""
    gap_s: float = GAP
    unfinished: int = 0
    """How many pieces at the end make the stream whole."""

    @property
    def whole(self) -> bytes:
        """All of it."""
        return b"".join((self.head, *self.pieces, self.ending))

    @property
    def half(self) -> bytes:
        """The head and the first half of the body."""
        body = b"".join(self.pieces)
        return self.head + body[: len(body) // 2]


def plain_parcel(status: int, headers: dict[str, str], body: bytes, gap_s: float = GAP) -> Parcel:
    """A reply with its length said in advance."""
    return Parcel(head_of(status, {**headers, "content-length": str(len(body))}), [body], gap_s=gap_s)


def stream_parcel(
    headers: dict[str, str], events: Sequence[bytes], *, unfinished: int, spread_s: float, gap_s: float
) -> Parcel:
    """A reply as server-sent events, one HTTP chunk each."""
    head = head_of(200, {**headers, "transfer-encoding": "chunked", "cache-control": "no-cache"})
    framed = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    return Parcel(head, framed, b"0\r\n\r\n", spread_s, gap_s, unfinished)


async def pause(seconds: float) -> None:
    """Wait without holding up anyone else."""
    if seconds <= 0:
        return
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    timer = loop.call_later(seconds, _set, over)
    try:
        await over
    finally:
        timer.cancel()


def _set(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)


async def _whole(exchange: Exchange, parcel: Parcel) -> bool:
    if parcel.spread_s <= 0:
        exchange.write(parcel.whole)
        return not exchange.gone
    exchange.write(parcel.head)
    size = max(1, -(-len(parcel.pieces) // PACES))
    for start in range(0, len(parcel.pieces), size):
        exchange.write(b"".join(parcel.pieces[start : start + size]))
        await pause(parcel.spread_s / PACES)
    exchange.write(parcel.ending)
    return not exchange.gone


async def _whole_then_close(exchange: Exchange, parcel: Parcel) -> bool:
    sent = await _whole(exchange, parcel)
    exchange.close()
    return sent


async def _drip(exchange: Exchange, parcel: Parcel) -> bool:
    for byte in parcel.whole:
        if exchange.gone:
            return False
        exchange.write(bytes([byte]))
        await pause(parcel.gap_s)
    return True


async def _silence(exchange: Exchange, parcel: Parcel) -> bool:  # noqa: ARG001 - one signature for all wires
    await exchange.connection.closed
    return False


async def _half_then_silence(exchange: Exchange, parcel: Parcel) -> bool:
    exchange.write(parcel.half)
    await exchange.connection.closed
    return False


async def _half_then_close(exchange: Exchange, parcel: Parcel) -> bool:
    exchange.write(parcel.half)
    exchange.close()
    return False


async def _reset(exchange: Exchange, parcel: Parcel) -> bool:  # noqa: ARG001
    exchange.reset()
    return False


async def _no_terminal_event(exchange: Exchange, parcel: Parcel) -> bool:
    if not parcel.unfinished:  # a plain answer has no events to leave out
        return await _half_then_close(exchange, parcel)
    exchange.write(b"".join((parcel.head, *parcel.pieces[: -parcel.unfinished], parcel.ending)))
    return False


WIRES: Mapping[str, Callable[[Exchange, Parcel], Awaitable[bool]]] = {
    "whole": _whole,
    "whole_then_close": _whole_then_close,
    "half_json": _whole,
    "drip": _drip,
    "silence": _silence,
    "half_then_silence": _half_then_silence,
    "half_then_close": _half_then_close,
    "reset": _reset,
    "no_terminal_event": _no_terminal_event,
}
"""Each returns whether the whole reply was handed to the socket."""
