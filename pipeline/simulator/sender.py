"""The way out: every reply gets its headers here and goes over the wire its fault prescribes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from pipeline.simulator.delivery import GAP, WIRES, Parcel, plain_parcel, stream_parcel
from pipeline.simulator.faults import Fault
from pipeline.simulator.ledger import Ledger
from pipeline.simulator.limits import Window
from pipeline.simulator.problems import RequestError, error_body
from pipeline.simulator.routes import PAID, Work
from pipeline.simulator.script import Script
from pipeline.simulator.shapes import Reply, plain_body, shape_of
from pipeline.simulator.streams import DONE, chat_chunks, response_events
from pipeline.simulator.tally import Tally

__all__ = ["Sender"]


class Sender:
    """Sends answers, objects, errors and faults."""

    def __init__(self, script: Script, window: Window, ledger: Ledger, tally: Tally) -> None:
        self._script = script
        self._window = window
        self._ledger = ledger
        self._tally = tally

    async def answer(self, work: Work, reply: Reply, fault: Fault | None, spread_s: float) -> None:
        """An answer, plain or as a stream spread over the given time."""
        make = self._stream if work.body.get("stream") else self._plain
        await self._deliver(work, make(work, reply, fault, spread_s), fault)

    async def json(
        self, work: Work, value: Mapping[str, Any], fault: Fault | None, headers: Mapping[str, str] | None = None
    ) -> None:
        """Any JSON object."""
        told = self._headers(work, "application/json") | dict(headers or {})
        await self._deliver(work, plain_parcel(200, told, orjson.dumps(value)), fault)

    async def events(self, work: Work, events: Sequence[bytes], fault: Fault | None) -> None:
        """A stream, or what was missed of one; the last event ends it."""
        headers = self._headers(work, "text/event-stream; charset=utf-8")
        parcel = stream_parcel(headers, events, unfinished=1, spread_s=0.0, gap_s=_gap(fault))
        await self._deliver(work, parcel, fault)

    async def error(self, work: Work, error: RequestError, fault: Fault | None = None) -> None:
        """An error in the dialect's shape."""
        headers = {**self._headers(work, "application/json"), **error.headers}
        body = error_body(work.dialect.error_shape, error)
        await self._deliver(work, plain_parcel(error.status, headers, body), fault)

    async def fault(self, work: Work, fault: Fault) -> None:
        """What a fault sends instead of an answer."""
        error = fault.error()
        if error is not None:
            await self.error(work, error, fault)
            return
        headers = self._headers(work, fault.kind.content_type) | fault.headers()
        await self._deliver(work, plain_parcel(fault.kind.status, headers, fault.kind.body or b""), fault)

    def _plain(self, work: Work, reply: Reply, fault: Fault | None, _spread_s: float) -> Parcel:
        body = plain_body(reply, shape_of(reply.answer, work.dialect, self._script.shape))
        if fault is not None and fault.kind.wire == "half_json":
            body = body[: len(body) // 2]
        return plain_parcel(200, self._headers(work, "application/json"), body, _gap(fault))

    def _stream(self, work: Work, reply: Reply, fault: Fault | None, spread_s: float) -> Parcel:
        shape = shape_of(reply.answer, work.dialect, self._script.shape)
        ending = [DONE] if work.dialect.stream_done else []
        if "responses" in shape:
            events, last = response_events(reply), 1
        else:
            told = shape != "chat_without_usage" and reply.answer.usage_form != "absent"
            events, last = chat_chunks(reply, with_usage=told), 2 if told else 1
        if fault is not None and fault.kind.wire == "half_json":
            events[-1] = events[-1][: len(events[-1]) // 2] + b"\n\n"
        headers = self._headers(work, "text/event-stream; charset=utf-8")
        unfinished = last + len(ending)
        return stream_parcel(headers, events + ending, unfinished=unfinished, spread_s=spread_s, gap_s=_gap(fault))

    def _headers(self, work: Work, content_type: str) -> dict[str, str]:
        now = asyncio.get_running_loop().time()
        headers = {
            "content-type": content_type,
            "x-request-id": f"req_{secrets.token_hex(16)}",
            "openai-processing-ms": str(round((now - work.begun) * 1000)),
            "x-simulated": "true",
        }
        if work.exchange.last:
            headers["connection"] = "close"
        if self._script.limits is not None:
            headers |= self._window.headers(now)
        return headers

    async def _deliver(self, work: Work, parcel: Parcel, fault: Fault | None) -> None:
        """Hand the bytes to the socket, and note it when they went out whole."""
        wire = WIRES[fault.kind.wire if fault else "whole"]
        if await wire(work.exchange, parcel):
            self._tally.counts["answered"] += 1
            if work.endpoint in PAID:
                self._ledger.note({"n": work.n, "event": "answered"})


def _gap(fault: Fault | None) -> float:
    return float(fault.options.get("gap_s", GAP)) if fault else GAP
