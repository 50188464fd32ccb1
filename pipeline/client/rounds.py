"""Several rounds of one request: the model calls functions of the job's, or mends an answer that does not fit.

Two layers. ``judging`` stands inside the journal and marks a reply that wants another round, so that the journal keeps it whole and does
not take it for the answer. ``in_rounds`` is the outermost layer: it runs the functions and asks the next round, which passes all layers
below it like any request, so each round is paced, repeated and journaled by itself.

After a crash the finished rounds come back from the journal. They are gone through again without asking: the functions run once more,
and must therefore be repeatable, and the first round that has no reply yet is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pipeline.client.send import conformed
from pipeline.cost.tokens import request_weight
from pipeline.events import FunctionCalled
from pipeline.records import Reply, Request, Status, Turn
from pipeline.wire.decode import decode
from pipeline.wire.tools import names_of
from pipeline.wire.turns import ANSWERABLE, after_calls, after_mistake

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.client.tools import Toolbox
    from pipeline.records import Post, ToolCall
    from pipeline.spec.fields import Fields
    from pipeline.wire.dialect import Dialect

ROUND_LIMIT = "round_limit"
"""Error code of a request whose model calls functions in more rounds than the job allows."""

_FINISHED = frozenset({Status.OK, Status.TOOL_CALLS, Status.INVALID})  # a reply cut off may have half a call


@dataclass(frozen=True, slots=True)
class Rules:
    """What makes a further round, and how many of each kind there may be; ``functions`` are the names of those that can be run here."""

    functions: frozenset[str]
    limits: Mapping[Turn, int]
    timeout_s: float
    fields: Fields | None
    dialect: Dialect
    extra_body: Mapping[str, object]

    def turn_after(self, request: Request, reply: Reply) -> Turn | None:
        """Return what a further round would be for, whatever the limits; None where the reply is the last word."""
        if not reply.tool_calls:
            return Turn.REPAIR if reply.status is Status.INVALID else None
        if not self.functions or reply.status not in _FINISHED:
            return None
        others = names_of(request.body.get("tools")) - self.functions
        return Turn.TOOLS if all(_answerable(call, others) for call in reply.tool_calls) else None


def _answerable(call: ToolCall, others: frozenset[str]) -> bool:
    """Say whether a call can be answered here. One that names no tool at all can: the model is told that there is none."""
    return call.kind in ANSWERABLE and call.name not in others


def judging(post: Post, rules: Rules) -> Post:
    """Return a layer that marks replies that want another round, as long as there may be one."""

    if not rules.functions and not rules.limits[Turn.REPAIR]:
        return post  # there is no other round

    async def judge(request: Request) -> Reply:
        reply = await post(request)
        turn = rules.turn_after(request, reply)
        if turn is not None and request.turns.count(turn) < rules.limits[turn]:
            return _marked(reply, turn)
        if turn is Turn.TOOLS:
            reply = _beyond(reply, request.turns.count(turn))
        return replace(reply, tool_calls=(*request.called, *reply.tool_calls)) if request.called else reply

    return judge


def _marked(reply: Reply, turn: Turn) -> Reply:
    if turn is Turn.REPAIR:
        return replace(reply, turn=turn)
    return replace(reply, turn=turn, status=Status.TOOL_CALLS, error_code=None, error_message=None)


def _beyond(reply: Reply, ran: int) -> Reply:
    message = f"functions ran in {ran} rounds, tools.rounds allows no more, and the model calls again"
    return replace(reply, status=Status.TOOL_CALLS, error_code=ROUND_LIMIT, error_message=message)


def in_rounds(
    post: Post,
    rules: Rules,
    toolbox: Toolbox,
    *,
    announce: Callable[[FunctionCalled], None] = lambda _event: None,
) -> Post:
    """Return the layer that carries a request through its rounds; its reply has the usage of all rounds that it asked.

    ``announce`` is told of every call that has ended. Raises ``FunctionsHang`` instead of asking a round when no function can start.
    """

    async def follow(request: Request, reply: Reply, turn: Turn) -> Request:
        """Return the request of the next round."""
        if turn is Turn.REPAIR:
            body = after_mistake(request.body, reply, rules.dialect, rules.extra_body)
            return _grown(request, reply, turn, body)
        ended = await toolbox.call_all(reply.tool_calls, rules.timeout_s)
        for each in ended:
            announce(FunctionCalled(request.row, each.function, each.error))
        outputs = [each.output for each in ended]
        called = tuple(replace(call, output=output) for call, output in zip(reply.tool_calls, outputs, strict=True))
        body = after_calls(request.body, reply, outputs, rules.dialect, rules.extra_body)
        return _grown(request, reply, turn, body, called)

    async def replayed(request: Request) -> Request:
        """Return the request of the first round that the journal has no reply of."""
        finished, request = request.rounds, replace(request, rounds=())
        for body in finished:
            reply = conformed(decode(body), rules.fields)
            if (turn := rules.turn_after(request, reply)) is not None:
                request = await follow(request, reply, turn)
        return request

    async def ask(request: Request) -> Reply:
        if request.rounds:
            request = await replayed(request)
        reply = await post(request)
        spent = reply.usage
        while (turn := reply.turn) is not None:
            request = await follow(request, reply, turn)
            reply = await post(request)
            spent += reply.usage
        return reply if spent is reply.usage else replace(reply, usage=spent)

    return ask


def _grown(
    request: Request, reply: Reply, turn: Turn, body: Mapping[str, object], called: tuple[ToolCall, ...] = ()
) -> Request:
    """Return the next round's request, heavier by what was said and by what the functions gave."""
    said = reply.usage.output_tokens
    texts = [call.output or "" for call in called]
    if said is None:
        texts += [reply.text, *(call.arguments for call in called)]
    added = request_weight(sum(len(text.encode()) for text in texts), (), 0)
    return replace(
        request,
        body=body,
        content=None,
        shown=(),
        rounds=(*request.rounds, reply.raw),
        turns=(*request.turns, turn),
        called=(*request.called, *called),
        weight=request.weight + (said or 0) + added,
    )
