"""What each endpoint does with a request that was let in."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.simulator.answers import answer, count_input
from pipeline.simulator.cache import PrefixCache
from pipeline.simulator.delivery import pause
from pipeline.simulator.faults import Fault
from pipeline.simulator.images import Facts, FactsCache, look
from pipeline.simulator.ledger import Ledger
from pipeline.simulator.limits import Window
from pipeline.simulator.reading import Asked, input_items, read
from pipeline.simulator.replay import check_replay
from pipeline.simulator.routes import Work, record_of
from pipeline.simulator.script import Script
from pipeline.simulator.sender import Sender
from pipeline.simulator.shapes import Reply, usage_object
from pipeline.simulator.store import Store, Stored, view
from pipeline.simulator.tally import Tally
from pipeline.simulator.validate import check_request

__all__ = ["HANDLERS", "Endpoints"]

MODELS = ("gpt-5.4-mini", "gpt-5.4", "gpt-5", "gpt-4o", "gemini-2.5-pro")


class Endpoints:
    """The endpoints, with what they share: the stored responses, the images seen, the window of the limits."""

    def __init__(self, script: Script, window: Window, ledger: Ledger, tally: Tally, sender: Sender) -> None:
        self._script = script
        self._window = window
        self._ledger = ledger
        self._tally = tally
        self._send = sender
        self._facts = FactsCache()
        self._prefixes = PrefixCache()
        self._store = Store()
        self._repeats: Counter[bytes] = Counter()
        """How often each body was executed, counted when the script asks for variation."""
        self.workers = ThreadPoolExecutor(2, "image")

    async def create(self, work: Work, fault: Fault | None) -> None:
        """Execute one request: check, look, think, wait, write it down, answer."""
        asked, items, facts = await self._understand(work)
        seen = self._prefixes.tokens_seen(asked) if self._script.cache else 0
        repeat = self._repeats[work.digest] + 1
        script = self._script
        said = answer(asked, facts, script.seed, cached=seen, repeat=repeat, rounds=script.tool_rounds)
        self._window.admit(asyncio.get_running_loop().time(), said.usage.total)
        self._repeats[work.digest] += script.variation
        if fault is not None:
            said = fault.change(said)
        reply = Reply.make(said, asked, work.body, work.dialect, int(time.time()))
        wait = self._script.latency.draw(self._script.seed, work.digest)
        stream = bool(work.body.get("stream"))
        if not work.background:
            await pause(wait / 2 if stream else wait)
        await self._ledger.write(self._execution(work, reply, fault))
        self._keep(work, reply, items, wait if work.background else 0.0)
        if fault is not None and fault.instead:
            await self._send.fault(work, fault)
        elif work.background and not stream:
            accepted = view(self._store.get(reply.id), -math.inf)  # queued, however short the wait
            await self._send.json(work, accepted, fault)
        else:
            await self._send.answer(work, reply, fault, wait / 2)

    async def retrieve(self, work: Work, fault: Fault | None) -> None:
        """A stored response as it is now."""
        await self._send.json(work, view(self._store.get(work.target), asyncio.get_running_loop().time()), fault)

    async def cancel(self, work: Work, fault: Fault | None) -> None:
        """Stop a background response; repeating it changes nothing."""
        now = asyncio.get_running_loop().time()
        stored = self._store.cancel(work.target, now)
        self._ledger.note({"event": "cancelled", "response_id": work.target, "effective": stored.cancelled})
        await self._send.json(work, view(stored, now), fault)

    async def delete(self, work: Work, fault: Fault | None) -> None:
        """Forget a stored response."""
        self._store.delete(work.target)
        await self._send.json(work, {"id": work.target, "object": "response.deleted", "deleted": True}, fault)

    async def input_items(self, work: Work, fault: Fault | None) -> None:
        """The input of a stored response, the last item first."""
        items = [
            {"id": f"item_{work.target[5:]}{index}", "type": "message", **item}
            for index, item in enumerate(self._store.get(work.target).items)
        ][::-1]
        first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
        listed = {"object": "list", "data": items, "first_id": first, "last_id": last, "has_more": False}
        await self._send.json(work, listed, fault)

    async def input_tokens(self, work: Work, fault: Fault | None) -> None:
        """The input tokens a request would cost."""
        asked, _, facts = await self._understand(work)
        count = count_input(asked, facts)
        await self._send.json(work, {"object": "response.input_tokens", "input_tokens": count}, fault)

    async def models(self, work: Work, fault: Fault | None) -> None:
        """Some model names; any other works as well."""
        listed = [{"id": name, "object": "model", "created": 1763600000, "owned_by": "simulator"} for name in MODELS]
        await self._send.json(work, {"object": "list", "data": listed}, fault)

    async def _understand(self, work: Work) -> tuple[Asked, list[dict[str, Any]], dict[str, Facts]]:
        """Check the request, read it, and look at each image it really brought."""
        check_request(work.body, work.dialect)
        items = input_items(work.body)
        history: list[dict[str, Any]] = []
        if work.dialect.stores:
            history, items = self._store.history(work.body), self._store.resolve(items)
        if work.dialect.pairs_calls:
            check_replay(history, items)
        asked = read(work.body, history, items, work.dialect)
        work.images = sum(medium.kind == "image" for medium in asked.media)
        facts: dict[str, Facts] = {}
        for medium in asked.media:
            if medium.kind == "image" and medium.source.startswith("data:") and medium.source not in facts:
                facts[medium.source] = await self._look(medium.source, medium.place)
        return asked, [*history, *items], facts

    async def _look(self, uri: str, place: str) -> Facts:
        """Decode the image beside the loop, unless it was seen before."""
        known = self._facts.get(uri)
        if known is None:
            known = await asyncio.get_running_loop().run_in_executor(self.workers, look, uri, place)
            self._facts.put(uri, known)
        return known

    def _execution(self, work: Work, reply: Reply, fault: Fault | None) -> dict[str, Any]:
        """Count the execution and make its record."""
        charged = fault is None or fault.charged
        self._tally.counts["executed"] += 1
        self._tally.counts["charged"] += charged
        if fault is not None:
            self._tally.errors[f"fault:{fault.name}"] += 1
        record = record_of(work, f"fault:{fault.name}" if fault else "executed", fault.status if fault else 200)
        usage = usage_object(reply.answer.usage)
        return record | {"executed": True, "charged": charged, "usage": usage, "response_id": reply.id}

    def _keep(self, work: Work, reply: Reply, items: list[dict[str, Any]], wait: float) -> None:
        if not work.dialect.stores:
            return
        self._store.continue_conversation(work.body, [*items, *reply.output])
        if work.background or work.body.get("store") is not False:
            now = asyncio.get_running_loop().time()
            size = len(work.exchange.body)
            self._store.keep(Stored(reply, items, size, now + wait / 4, now + wait, work.background))


HANDLERS: Mapping[str, Callable[[Endpoints, Work, Fault | None], Awaitable[None]]] = {
    "create": Endpoints.create,
    "retrieve": Endpoints.retrieve,
    "cancel": Endpoints.cancel,
    "delete": Endpoints.delete,
    "input_items": Endpoints.input_items,
    "input_tokens": Endpoints.input_tokens,
    "models": Endpoints.models,
}
