"""A request, a reply and an outcome as the values of a line of the journal, in the order that the statements in ``writes`` name."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import orjson

from pipeline.checkpoint.packing import pack
from pipeline.cost.tiers import tier_of
from pipeline.records import STATUS_FACTS
from pipeline.wire.tolerant import tamed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.records import Outcome, Reply, Request, ToolCall


def answer_values(reply: Reply, label: str) -> tuple[object, ...]:
    """What a request's answer is; its times follow."""
    ok = STATUS_FACTS[reply.status].ok
    return (
        reply.status.value,
        reply.text,
        reply.refusal,
        _listed([*map(_call_values, reply.tool_calls)]) if reply.tool_calls else None,
        reply.reasoning_summary,
        _listed([*map(asdict, reply.sources)]) if reply.sources else None,
        _listed(reply.images),
        _listed(reply.notes),
        reply.confidence,
        reply.phase,
        None if ok else reply.error_code or reply.incomplete_reason,
        None if ok else reply.error_message,
        "simulator" if reply.simulated else label,
        reply.model,
        reply.service_tier,
        reply.response_id,
    )


def _listed(values: Sequence[object]) -> str | None:
    return orjson.dumps(tamed(list(values))).decode() if values else None


def _call_values(call: ToolCall) -> dict[str, str | None]:
    output = {"output": call.output} if call.output is not None else {}
    return {"id": call.call_id, "name": call.name, "arguments": call.arguments, **output}


def asked_values(request: Request, sent_along: str | None) -> tuple[object, ...]:
    """What an attempt's price depends on before it has an answer, and what its round is for."""
    bound = request.bound
    held = (None, None) if bound is None else (bound.input_tokens, bound.output_tokens)
    turn = request.turns[-1].value if request.turns else None
    return (request.model, sent_along or tier_of(request.body), *held, turn)


def attempt_values(outcome: Outcome) -> tuple[object, ...]:
    """How an attempt ended; its usage follows."""
    reply, error = outcome.told, outcome.error
    raw = _Body(outcome, reply) if reply is not None and reply.raw else None
    return (
        reply.status.value if reply is not None else None,
        error.kind if error is not None else None,
        error.message if error is not None else None,
        error.http_status if error is not None else 200,
        (error.request_id if error is not None else None) or (reply.request_id if reply is not None else None),
        reply.model if reply is not None else None,
        reply.service_tier if reply is not None else None,
        raw,
    )


class _Body:
    """What of a reply's body is kept: all of it while it is needed to go on, or holds pictures that found no other place; else all but
    pictures. SQLite's side asks for it as it writes, so it is packed in the writer's thread, while the event loop goes on.
    """

    __slots__ = ("_raw", "_whole")

    def __init__(self, outcome: Outcome, reply: Reply) -> None:
        self._raw = reply.raw
        self._whole = outcome.reply is not None and (reply.turn is not None or bool(reply.pictures))

    def __conform__(self, _: object) -> bytes:
        return pack(self._raw, slimmed=not self._whole)


def usage_values(outcome: Outcome) -> tuple[float | None, ...]:
    """What an attempt adds to its request, in the order of ``schema.USAGE``."""
    usage, told = outcome.spent, outcome.told
    return (
        usage.input_tokens,
        usage.cached_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
        usage.total_tokens,
        usage.cache_write_tokens,
        usage.vendor_cost,
        told.searches if told is not None else None,
    )
