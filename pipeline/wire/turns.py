"""A further round of a request: its body, made from the round before and what was said there.

There are two exchanges. A response that the provider keeps is gone on from by its id, and only what is new is sent. In all other cases the
whole conversation is sent again: the input so far, what the model said, unchanged and in order, and what is new. Outputs of functions
go back as items of the Responses API or as chat messages, as the dialect has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.records import Reply, ToolCall
from pipeline.wire.dialect import Dialect
from pipeline.wire.encode import NEEDS_STORING
from pipeline.wire.tolerant import mappings_at

__all__ = ["ANSWERABLE", "after_calls", "after_mistake", "first_round"]

Body = Mapping[str, object]
Item = Mapping[str, object]

# For each kind of call that a function can answer: the item that calls, its field for what is sent, and the item that answers.
_ITEMS: Mapping[str, tuple[str, str, str]] = {
    "function": ("function_call", "arguments", "function_call_output"),
    "custom": ("custom_tool_call", "input", "custom_tool_call_output"),
}
ANSWERABLE = frozenset(_ITEMS)
"""The kinds of call that a function can answer; all others wait for somebody or something else."""

_ENCRYPTED = "reasoning.encrypted_content"
# Models that do not reason refuse to be asked for their reasoning. The families are finished, so the list is, too.
_NO_REASONING = re.compile(r"(ft:)?(gpt-4|gpt-3\.5|chatgpt-)|.*-chat-latest$")

_MISTAKE = (
    "Your answer does not fit the format that was asked for: {reason}\nGive the corrected answer and nothing else."
)


def first_round(body: Body, dialect: Dialect, extra_body: Body) -> dict[str, object]:
    """Return the body of a request that may take further rounds.

    Where the provider keeps nothing, reasoning is asked for in the form in which it can be sent back.
    """
    asked = {**body, **extra_body}
    if not dialect.encrypted_reasoning or _kept(asked, dialect) or _NO_REASONING.match(str(asked.get("model"))):
        return dict(body)
    include = body.get("include")
    wanted = list(include) if isinstance(include, list | tuple) else []
    return {**body, "include": [*wanted, *([] if _ENCRYPTED in wanted else [_ENCRYPTED])]}


def after_calls(
    body: Body, reply: Reply, outputs: Sequence[str], dialect: Dialect, extra_body: Body
) -> dict[str, object]:
    """Return the body of the round that gives the model the ``outputs`` of its calls, in the order of the calls."""
    calls = _named(reply.tool_calls, body)
    results = [_result(call, output, dialect) for call, output in zip(calls, outputs, strict=True)]
    return _continued(body, reply, [*_calling(reply, calls, dialect)], results, dialect, extra_body)


def _result(call: ToolCall, output: str, dialect: Dialect) -> Item:
    if dialect.tool_results == "messages":
        return {"role": "tool", "tool_call_id": call.call_id, "content": output}
    return {"type": _ITEMS[call.kind][2], "call_id": call.call_id, "output": output}


def after_mistake(body: Body, reply: Reply, dialect: Dialect, extra_body: Body) -> dict[str, object]:
    """Return the body of the round that tells the model what is wrong with its answer: the reply's ``error_message``."""
    text = _MISTAKE.format(reason=reply.error_message)
    complaint = {"role": "user", "content": [{"type": "input_text", "text": text}]}
    return _continued(body, reply, [*_speaking(reply)], [complaint], dialect, extra_body)


def _continued(
    body: Body, reply: Reply, retold: Sequence[Item], new: Sequence[Item], dialect: Dialect, extra_body: Body
) -> dict[str, object]:
    """Return the body that goes on after a reply with what is ``new``; ``retold`` is the reply where it has no items to be sent back."""
    further = dict(body)
    if "tool_choice" in further:
        further["tool_choice"] = _freed(further["tool_choice"])
    asked = {**body, **extra_body}
    as_items = _has_items(reply, dialect)
    if as_items and reply.response_id and _kept(asked, dialect):
        further["input"] = list(new)
        if not asked.get("conversation"):  # which has grown by the response already, and excludes the other way
            further["previous_response_id"] = reply.response_id
        return further
    said = _replayed(list(mappings_at(reply.raw, "output"))) if as_items else retold
    further["input"] = [*_items(body.get("input")), *said, *new]
    return further


def _kept(asked: Body, dialect: Dialect) -> bool:
    """Say whether the provider keeps the responses to a request, as far as the request decides it."""
    store = asked.get("store")
    if store is None:
        return any(asked.get(name) for name in NEEDS_STORING) or dialect.store_by_default is True
    return store is True


def _has_items(reply: Reply, dialect: Dialect) -> bool:
    """Say whether what a reply said can go back as the items that it came in, and its calls be answered by their ids."""
    in_items = isinstance(reply.raw.get("output"), list)
    return dialect.tool_results == "items" and in_items and all(call.call_id for call in reply.tool_calls)


def _freed(choice: object) -> object:
    """Return the choice of tools for a further round: a model that must call would call for ever."""
    if isinstance(choice, Mapping) and choice.get("type") == "allowed_tools":
        return {**choice, "mode": "auto"}
    return choice if choice in ("none", "auto", None) else "auto"


def _items(given: object) -> list[object]:
    if isinstance(given, str):
        return [{"role": "user", "content": [{"type": "input_text", "text": given}]}]
    return list(given) if isinstance(given, list | tuple) else []


def _named(calls: Sequence[ToolCall], body: Body) -> tuple[ToolCall, ...]:
    """Return the calls with an id each; those of some chat-style servers have none."""
    stem = f"call_{len(_items(body.get('input')))}"
    return tuple(call if call.call_id else replace(call, call_id=f"{stem}_{index}") for index, call in enumerate(calls))


# What refers to the reasoning before it by its own id.
_REFERRING = frozenset({"message", *(call for call, _, _ in _ITEMS.values())})


def _replayed(output: Sequence[Item]) -> list[Item]:
    """Return the items of a response as they go back: unchanged and in order.

    Reasoning that came without its encrypted content is refused, and so are the ids of items that lead to it: both are left out.
    """
    lost = [item for item in output if item.get("type") == "reasoning" and not item.get("encrypted_content")]
    if not lost:
        return list(output)
    return [
        {name: value for name, value in item.items() if name != "id"} if item.get("type") in _REFERRING else item
        for item in output
        if item not in lost
    ]


def _speaking(reply: Reply) -> Iterator[Item]:
    """Yield what a reply said in words."""
    if reply.text:
        yield {"role": "assistant", "content": [{"type": "output_text", "text": reply.text}]}


def _calling(reply: Reply, calls: Sequence[ToolCall], dialect: Dialect) -> Iterator[Item]:
    """Yield what a reply said in words and in calls."""
    if dialect.tool_results == "messages":
        called = [_chat_call(call) for call in calls]
        yield {"role": "assistant", "content": reply.text or None, "tool_calls": called}
        return
    yield from _speaking(reply)
    for call in calls:
        kind, field, _ = _ITEMS[call.kind]
        yield {"type": kind, "call_id": call.call_id, "name": call.name, field: call.arguments}


def _chat_call(call: ToolCall) -> Item:
    field = _ITEMS[call.kind][1]
    return {"id": call.call_id, "type": call.kind, call.kind: {"name": call.name, field: call.arguments}}
