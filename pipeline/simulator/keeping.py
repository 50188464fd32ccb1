"""The endpoints of kept responses: fetched, resumed as a stream, cancelled, deleted, their input listed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qs

from pipeline.simulator.delivery import pause
from pipeline.simulator.faults import Fault
from pipeline.simulator.ledger import Ledger
from pipeline.simulator.problems import RequestError
from pipeline.simulator.routes import Work
from pipeline.simulator.script import Background, Script
from pipeline.simulator.sender import Sender
from pipeline.simulator.store import Store, Stored, view
from pipeline.simulator.streams import response_events

__all__ = ["Handler", "Keeping", "poll_hint"]

Handler = Callable[[Work, Fault | None], Awaitable[None]]


def poll_hint(script: Background) -> dict[str, str]:
    """The header that says when it is worth asking again, where the script has one."""
    return {} if script.poll_after_ms is None else {"openai-poll-after-ms": f"{script.poll_after_ms:.0f}"}


class Keeping:
    """What can be done with a response that was kept; each is noted in the ledger by the response's id."""

    def __init__(self, script: Script, store: Store, ledger: Ledger, sender: Sender) -> None:
        self._script = script
        self._store = store
        self._ledger = ledger
        self._send = sender
        self.handlers: Mapping[str, Handler] = {
            "retrieve": self.retrieve,
            "cancel": self.cancel,
            "delete": self.delete,
            "input_items": self.input_items,
        }

    async def retrieve(self, work: Work, fault: Fault | None) -> None:
        """A response as it is now; or, with `stream=true`, its events after the one the client has seen last."""
        query = parse_qs(work.exchange.query)
        if query.get("stream", [""])[0].casefold() == "true":
            await self._resume(work, query.get("starting_after", ["-1"])[0], fault)
            return
        now = asyncio.get_running_loop().time()
        stored = self._store.fetch(work.target, now)
        self._note("fetched", stored, now)
        headers = {} if stored.is_over(now) else poll_hint(self._script.background)
        await self._send.json(work, view(stored, now), fault, headers)

    async def _resume(self, work: Work, after: str, fault: Fault | None) -> None:
        """Only a response that was begun as a background stream has a stream to go on with."""
        now = asyncio.get_running_loop().time()
        stored = self._store.fetch(work.target, now)
        if not (stored.background and stored.reply.body.get("stream")):
            message = "Streaming is only possible for responses created with 'background' and 'stream' set to true."
            raise RequestError(message, param="stream")
        if not after.removeprefix("-").isdecimal():
            raise RequestError("Invalid 'starting_after': expected an integer.", code="invalid_type")
        self._note("fetched", stored, now)
        if not stored.is_over(now):
            await pause(stored.ready_at - now)
            stored.polls = None  # who reads to the end has seen it finish
        events = response_events(stored.reply, cancelled=stored.cancelled)
        await self._send.events(work, events[max(0, int(after) + 1) :], fault)

    async def cancel(self, work: Work, fault: Fault | None) -> None:
        """Stop a background response; repeating it changes nothing."""
        now = asyncio.get_running_loop().time()
        stored = self._store.cancel(work.target, now)
        self._note("cancelled", stored, now)
        await self._send.json(work, view(stored, now), fault)

    async def delete(self, work: Work, fault: Fault | None) -> None:
        """Forget a stored response."""
        self._store.delete(work.target, asyncio.get_running_loop().time())
        self._ledger.note({"event": "deleted", "response_id": work.target})
        await self._send.json(work, {"id": work.target, "object": "response.deleted", "deleted": True}, fault)

    async def input_items(self, work: Work, fault: Fault | None) -> None:
        """The input of a stored response, the last item first."""
        kept = self._store.get(work.target, asyncio.get_running_loop().time()).items
        items = [
            {"id": f"item_{work.target[5:]}{index}", "type": "message", **item} for index, item in enumerate(kept)
        ][::-1]
        first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
        listed = {"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": False}
        await self._send.json(work, listed, fault)

    def _note(self, event: str, stored: Stored, now: float) -> None:
        told = {"event": event, "response_id": stored.reply.id, "status": stored.status(now)}
        self._ledger.note(told | ({"effective": stored.cancelled} if event == "cancelled" else {}))
