"""The same replies as server-sent events: OpenAI's event sequence, or the gateways' chat chunks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from pipeline.simulator.shapes import FINISH, Reply, chat_usage, response_object, tool_calls, unfinished

__all__ = ["DONE", "Events", "chat_chunks", "response_events"]

DONE = b"data: [DONE]\n\n"

_CALLS: Mapping[str, tuple[str, str]] = {
    "function_call": ("arguments", "function_call_arguments"),
    "custom_tool_call": ("input", "custom_tool_call_input"),
}
"""What a call holds, and how the events that bring it are called."""

_STEPS: Mapping[str, tuple[str, ...]] = {
    "web_search_call": ("in_progress", "searching"),
    "file_search_call": ("in_progress", "searching"),
    "code_interpreter_call": ("in_progress", "interpreting"),
    "image_generation_call": ("in_progress", "generating"),
    "mcp_call": ("in_progress",),
}
"""What a provider's tool goes through before its end."""

_PIECE = re.compile(r"\s*\S+\s*?")

Event = dict[str, Any]
Events = list[bytes]


def response_events(reply: Reply, *, cancelled: bool = False) -> Events:
    """The event sequence of the Responses stream; the last one (before any [DONE]) is the terminal event."""
    padded = (reply.body.get("stream_options") or {}).get(
        "include_obfuscation", True
    ) and reply.dialect.sequence_numbers
    encoded: Events = []
    for number, event in enumerate(_sequence(reply, cancelled)):
        if padded and "delta" in event:
            event["obfuscation"] = "x" * (number % 7 + 1)
        if reply.dialect.sequence_numbers:
            event["sequence_number"] = number
        name = event["type"].encode()
        encoded.append(b"event: " + name + b"\ndata: " + orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS) + b"\n\n")
    return encoded


def _sequence(reply: Reply, cancelled: bool) -> Iterator[Event]:
    whole = response_object(reply)
    opening = unfinished(reply, "in_progress")
    if reply.body.get("background") and reply.dialect.stores:
        queued = unfinished(reply, "queued")
        yield {"type": "response.created", "response": queued}
        yield {"type": "response.queued", "response": queued}
    else:
        yield {"type": "response.created", "response": opening}
    yield {"type": "response.in_progress", "response": opening}
    if cancelled:
        yield {"type": "response.cancelled", "response": unfinished(reply, "cancelled")}
        return
    for index, item in enumerate(reply.output):
        yield from _item_events(item, index)
    status = reply.answer.status
    if status in ("completed", "incomplete", "failed"):
        yield {"type": f"response.{status}", "response": whole}


def _item_events(item: Mapping[str, Any], index: int) -> Iterator[Event]:
    where: dict[str, Any] = {"output_index": index}
    kind = item["type"]
    if kind == "message":
        yield {"type": "response.output_item.added", **where, "item": {**item, "status": "in_progress", "content": []}}
        for number, part in enumerate(item["content"]):
            yield from _part_events(part, {"item_id": item["id"], **where, "content_index": number})
    elif kind in _CALLS:
        field, stem = _CALLS[kind]
        opened = {**item, field: ""} | ({"status": "in_progress"} if "status" in item else {})
        yield {"type": "response.output_item.added", **where, "item": opened}
        place = {"item_id": item["id"], **where}
        for piece in pieces(item[field]):
            yield {"type": f"response.{stem}.delta", **place, "delta": piece}
        yield {"type": f"response.{stem}.done", **place, "name": item["name"], field: item[field]}
    elif kind in _STEPS:
        hidden = {name: None for name in ("result", "output", "outputs", "results") if name in item}
        yield {"type": "response.output_item.added", **where, "item": {**item, **hidden, "status": "in_progress"}}
        for step in (*_STEPS[kind], item["status"]):
            yield {"type": f"response.{kind}.{step}", "item_id": item["id"], **where}
    else:
        yield {"type": "response.output_item.added", **where, "item": item}
    yield {"type": "response.output_item.done", **where, "item": item}


def _part_events(part: Mapping[str, Any], where: Mapping[str, Any]) -> Iterator[Event]:
    key, stem = ("text", "output_text") if part["type"] == "output_text" else ("refusal", "refusal")
    opened = {**part, key: ""}
    if "annotations" in part:
        opened["annotations"] = []
    yield {"type": "response.content_part.added", **where, "part": opened}
    for piece in pieces(part[key]):
        yield {"type": f"response.{stem}.delta", **where, "delta": piece}
    for number, note in enumerate(part.get("annotations") or ()):
        yield {"type": "response.output_text.annotation.added", **where, "annotation_index": number, "annotation": note}
    yield {"type": f"response.{stem}.done", **where, key: part[key]}
    yield {"type": "response.content_part.done", **where, "part": part}


def pieces(text: str) -> list[str]:
    """The text cut before each word, nothing lost."""
    found = _PIECE.findall(text)
    rest = text[sum(map(len, found)) :]
    return [*found, rest] if rest else found


def chat_chunks(reply: Reply, *, with_usage: bool) -> Events:
    """Chat-style chunks; the last one carries the usage and no choice."""
    finish = "tool_calls" if reply.answer.calls else FINISH.get(reply.answer.reason, "stop")
    deltas: list[tuple[Mapping[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    calls = tool_calls(reply)
    if calls:
        deltas += [({"tool_calls": [{"index": index, **call}]}, None) for index, call in enumerate(calls)]
    elif reply.answer.refusal is not None:
        deltas.append(({"refusal": reply.answer.refusal}, None))
    else:
        deltas += [({"content": piece}, None) for piece in pieces(reply.answer.text)]
    deltas.append(({}, finish))
    head = {
        "id": reply.id.replace("_", "-", 1),
        "object": "response.chunk",
        "created": reply.created,
        "model": reply.asked.model,
    }
    chunks = [_data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}) for delta, end in deltas]
    if with_usage and reply.answer.usage_form != "absent":
        usage = chat_usage(reply.answer.usage, reply.answer.usage_form)
        chunks.append(_data({**head, "choices": [], "usage": usage}))
    return chunks


def _data(value: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"
