"""What each endpoint does with a request that was let in."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.simulator.answers import Facts, Usage, answer, count_input, medium_tokens
from pipeline.simulator.cache import PrefixCache, Step, steps_of
from pipeline.simulator.delivery import pause
from pipeline.simulator.documents import check_ids
from pipeline.simulator.faults import Fault
from pipeline.simulator.keeping import Handler, Keeping, poll_hint
from pipeline.simulator.ledger import Ledger
from pipeline.simulator.limits import Window
from pipeline.simulator.parameters import check_counted
from pipeline.simulator.published import rules_for
from pipeline.simulator.reading import Asked, Medium, input_items, read
from pipeline.simulator.replay import check_replay
from pipeline.simulator.routes import Work, record_of
from pipeline.simulator.script import Script
from pipeline.simulator.seals import seal
from pipeline.simulator.seen import Seen, SeenCache, brings_bytes, see
from pipeline.simulator.sender import Sender
from pipeline.simulator.shapes import Reply, unfinished, usage_object
from pipeline.simulator.store import Store, Stored
from pipeline.simulator.tally import Tally
from pipeline.simulator.tokens import count_text
from pipeline.simulator.validate import check_request

__all__ = ["Endpoints"]

COMPACTED_CHARS = 2000

MODELS = ("gpt-5.4-mini", "gpt-5.4", "gpt-5", "gpt-4o", "gemini-2.5-pro")


class Endpoints:
    """The endpoints, with what they share: the stored responses, the media seen, the window of the limits."""

    def __init__(self, script: Script, window: Window, ledger: Ledger, tally: Tally, sender: Sender) -> None:
        self._script = script
        self._window = window
        self._ledger = ledger
        self._tally = tally
        self._send = sender
        self._seen = SeenCache()
        self._prefixes = PrefixCache()
        self._store = Store(script.background.kept_s)
        self._repeats: Counter[bytes] = Counter()
        self._draws: Counter[bytes] = Counter()
        """How often each body was executed, counted when the script asks for variation."""
        self.workers = ThreadPoolExecutor(2, "media")
        self.handlers: Mapping[str, Handler] = {
            "create": self.create,
            "compact": self.compact,
            "input_tokens": self.input_tokens,
            "models": self.models,
            **Keeping(script, self._store, ledger, sender).handlers,
        }

    async def create(self, work: Work, fault: Fault | None) -> None:
        """Execute one request: check, look, think, wait, write it down, answer."""
        asked, items, facts = await self._understand(work)
        beginnings = self._beginnings(work, asked, items, facts) if self._script.cache else ()
        repeat = self._repeats[work.digest] + 1
        script = self._script
        said = answer(
            asked,
            facts,
            script.seed,
            cached=self._prefixes.tokens_seen(beginnings),
            repeat=repeat,
            rounds=script.tool_rounds,
            figures=script.figures,
        )
        self._window.admit(asyncio.get_running_loop().time(), said.usage.total)
        if script.variation:
            self._repeats[work.digest] += 1
        if fault is not None:
            said = fault.change(said)
        tier = script.tier(work.body.get("service_tier"))
        reply = Reply.make(said, asked, work.body, work.dialect, int(time.time()), tier)
        wait = self._wait(work.digest)
        stream = bool(work.body.get("stream"))
        if not work.background:
            await pause(wait / 2 if stream else wait)
        self._prefixes.remember(beginnings)
        await self._ledger.write(self._execution(work, reply.id, said.usage, fault) | {"service_tier": tier})
        self._keep(work, reply, items, wait if work.background else 0.0)
        if fault is not None and fault.instead:
            await self._send.fault(work, fault)
        elif work.background and not stream:
            await self._send.json(work, unfinished(reply, "queued"), fault, poll_hint(self._script.background))
        else:
            await self._send.answer(work, reply, fault, wait if work.background else wait / 2)

    def _wait(self, digest: bytes) -> float:
        latency = self._script.latency
        if latency.p95 is not None:
            self._draws[digest] += 1
        return latency.draw(self._script.seed, digest, self._draws[digest] or 1)

    def _beginnings(self, work: Work, asked: Asked, items: list[dict[str, Any]], facts: Facts) -> tuple[Step, ...]:
        rules = rules_for(self._script.figures.rules, asked.model)
        media = {medium.source: medium_tokens(medium, facts, rules) for medium in asked.media}
        return steps_of(work.body, items, media)

    async def compact(self, work: Work, fault: Fault | None) -> None:
        """The user's messages as they are, and the rest of the conversation sealed into one item."""
        asked, items, facts = await self._understand(work)
        sealed = "\n".join([*asked.history, *asked.outputs])[:COMPACTED_CHARS]
        stem = secrets.token_hex(16)
        kept = [
            {"type": "message", "id": f"msg_{stem}{index}", "status": "completed", **item, "content": _parts(item)}
            for index, item in enumerate(items)
            if item.get("role") == "user"
        ]
        compaction = {"type": "compaction", "id": f"cmp_{stem}", "encrypted_content": seal(sealed)}
        usage = Usage(count_input(asked, facts, self._script.seed, self._script.figures), count_text(sealed))
        self._window.admit(asyncio.get_running_loop().time(), usage.total)
        await self._ledger.write(self._execution(work, f"resp_{stem}", usage, fault))
        if fault is not None and fault.instead:
            await self._send.fault(work, fault)
            return
        compacted = {"id": f"resp_{stem}", "object": "response.compaction", "created_at": int(time.time())}
        output = [*kept, compaction]
        await self._send.json(work, {**compacted, "output": output, "usage": usage_object(usage)}, fault)

    async def input_tokens(self, work: Work, fault: Fault | None) -> None:
        """The input tokens a request would cost."""
        check_counted(work.body)
        asked, _, facts = await self._understand(work)
        count = count_input(asked, facts, self._script.seed, self._script.figures)
        await self._send.json(work, {"object": "response.input_tokens", "input_tokens": count}, fault)

    async def models(self, work: Work, fault: Fault | None) -> None:
        """Some model names; any other works as well."""
        listed = [{"id": name, "object": "model", "created": 1763600000, "owned_by": "simulator"} for name in MODELS]
        await self._send.json(work, {"object": "list", "data": listed}, fault)

    async def _understand(self, work: Work) -> tuple[Asked, list[dict[str, Any]], Facts]:
        """Check the request, read it, and look at each image, video and file it really brought."""
        check_request(work.body, work.dialect)
        items = input_items(work.body)
        history: list[dict[str, Any]] = []
        if work.dialect.stores:
            history, items = self._store.history(work.body), self._store.resolve(items)
        if work.dialect.pairs_calls:
            check_replay(history, items)
        asked = read(work.body, history, items, work.dialect)
        work.images = sum(medium.kind == "image" for medium in asked.media)
        check_ids(asked.media, work.dialect, self._script.files)
        facts: dict[tuple[str, str], Seen] = {}
        for medium in asked.media:
            if brings_bytes(medium) and medium.key not in facts:
                facts[medium.key] = await self._look(medium)
        return asked, [*history, *items], facts

    async def _look(self, medium: Medium) -> Seen:
        """Look at it beside the loop, unless it was seen before."""
        known = self._seen.get(medium)
        if known is None:
            known = await asyncio.get_running_loop().run_in_executor(self.workers, see, medium)
            self._seen.put(medium, known)
        return known

    def _execution(self, work: Work, response_id: str, used: Usage, fault: Fault | None) -> dict[str, Any]:
        """Count the execution and make its record."""
        charged = fault is None or fault.charged
        self._tally.counts["executed"] += 1
        self._tally.counts["charged"] += charged
        if fault is not None:
            self._tally.errors[f"fault:{fault.name}"] += 1
        record = record_of(work, f"fault:{fault.name}" if fault else "executed", fault.status if fault else 200)
        return record | {"executed": True, "charged": charged, "usage": usage_object(used), "response_id": response_id}

    def _keep(self, work: Work, reply: Reply, items: list[dict[str, Any]], wait: float) -> None:
        if not work.dialect.stores:
            return
        self._store.continue_conversation(work.body, [*items, *reply.output])
        if work.background or work.body.get("store") is not False:
            now = asyncio.get_running_loop().time()
            size = len(work.exchange.body)
            polls = self._script.background.polls if work.background else None
            self._store.keep(Stored(reply, items, size, now + wait / 4, now + wait, work.background, polls=polls))


def _parts(message: Mapping[str, Any]) -> list[Any]:
    """The message's content in parts, as replies show it."""
    content = message["content"]
    return [{"type": "input_text", "text": content}] if isinstance(content, str) else content
