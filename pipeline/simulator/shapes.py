"""Replies in each shape the documents show: Responses, chat style, bare and in an envelope."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.simulator.answers import Answer, Usage
from pipeline.simulator.dialects import Dialect
from pipeline.simulator.reading import Asked
from pipeline.simulator.seals import seal

__all__ = ["FINISH", "SHAPES", "Reply", "chat_usage", "plain_body", "response_object", "shape_of", "usage_object"]

FINISH: Mapping[str | None, str] = {"max_output_tokens": "length", "content_filter": "content_filter"}

SEARCH_URL = "https://example.com/simulated"


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer on its way out: what is said, to which request, under which ids and times."""

    answer: Answer
    asked: Asked
    body: Mapping[str, Any]
    dialect: Dialect
    id: str
    created: int
    output: tuple[dict[str, Any], ...]

    @classmethod
    def make(cls, answer: Answer, asked: Asked, body: Mapping[str, Any], dialect: Dialect, created: int) -> Reply:
        """Give the answer its ids; they are new for each execution, as a provider's are."""
        stem = secrets.token_hex(16)
        return cls(answer, asked, body, dialect, f"resp_{stem}", created, tuple(_items(answer, asked, stem)))


def _items(answer: Answer, asked: Asked, stem: str) -> list[dict[str, Any]]:
    """The output items, in the order a model makes them: thoughts, searches, calls or words."""
    if answer.status in ("failed", "in_progress", "queued", "cancelled"):
        return []
    items: list[dict[str, Any]] = []
    if answer.usage.reasoning:
        items.append(_reasoning(asked, stem))
    items += [_search(kind, asked, f"{stem}{index}") for index, kind in enumerate(answer.searches)]
    for index, call in enumerate(answer.calls):
        common = {"call_id": f"call_{stem[:20]}{index}", "name": call.name}
        if call.custom:
            items.append({"type": "custom_tool_call", "id": f"ctc_{stem}{index}", **common, "input": call.arguments})
        else:
            made = {"type": "function_call", "id": f"fc_{stem}{index}", **common, "arguments": call.arguments}
            items.append({**made, "status": "completed"})
    if not answer.calls and (answer.text or answer.refusal or answer.status == "completed"):
        items.append(_message(answer, stem))
    return items


def _reasoning(asked: Asked, stem: str) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": "Looked at what was sent."}] if asked.summary else []
    item: dict[str, Any] = {"type": "reasoning", "id": f"rs_{stem}", "summary": summary}
    if "reasoning.encrypted_content" in asked.include:
        item["encrypted_content"] = seal(item["id"])
    return item


def _search(kind: str, asked: Asked, stem: str) -> dict[str, Any]:
    query = asked.text.strip().rpartition("\n")[2][:80]
    if kind == "file_search":
        return {
            "type": "file_search_call",
            "id": f"fs_{stem}",
            "status": "completed",
            "queries": [query],
            "results": None,
        }
    action: dict[str, Any] = {"type": "search", "query": query}
    if "web_search_call.action.sources" in asked.include:
        action["sources"] = [{"type": "url", "url": SEARCH_URL}]
    return {"type": "web_search_call", "id": f"ws_{stem}", "status": "completed", "action": action}


def _message(answer: Answer, stem: str) -> dict[str, Any]:
    content: list[dict[str, Any]]
    if answer.refusal is not None:
        content = [{"type": "refusal", "refusal": answer.refusal}]
    else:
        notes = [_citation(answer.text)] if any(kind.startswith("web_search") for kind in answer.searches) else []
        content = [{"type": "output_text", "text": answer.text, "annotations": notes}]
    status = "incomplete" if answer.status == "incomplete" else "completed"
    return {"type": "message", "id": f"msg_{stem}", "status": status, "role": "assistant", "content": content}


def _citation(text: str) -> dict[str, Any]:
    return {
        "type": "url_citation",
        "start_index": 0,
        "end_index": len(text),
        "url": SEARCH_URL,
        "title": "A simulated source",
    }


def usage_object(usage: Usage, form: str = "whole") -> dict[str, Any] | None:
    """Usage under the names of the Responses shape."""
    if form == "null":
        return None
    bare = form == "null_details"
    return {
        "input_tokens": usage.input,
        "input_tokens_details": None if bare else {"cached_tokens": usage.cached},
        "output_tokens": usage.output,
        "output_tokens_details": None if bare else {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }


def chat_usage(usage: Usage, form: str = "whole") -> dict[str, Any] | None:
    """Usage under the names of the chat shape, which has no details."""
    if form == "null":
        return None
    counts: dict[str, Any] = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.total,
    }
    if form == "null_details":
        counts |= {"prompt_tokens_details": None, "completion_tokens_details": None}
    return counts


def response_object(reply: Reply) -> dict[str, Any]:
    """The whole response in the Responses shape."""
    answer, body, dialect = reply.answer, reply.body, reply.dialect
    code_message = answer.error
    made: dict[str, Any] = {
        "id": reply.id,
        "object": "response",
        "created_at": reply.created,
        "status": answer.status,
        "error": {"code": code_message[0], "message": code_message[1]} if code_message else None,
        "incomplete_details": {"reason": answer.reason} if answer.reason else None,
        "model": reply.asked.model,
        "output": list(reply.output),
        **_echo(body, dialect),
        "usage": usage_object(answer.usage, answer.usage_form),
    }
    if answer.usage_form == "absent":
        del made["usage"]
    if dialect.completed_at and answer.status == "completed":
        made["completed_at"] = reply.created
    return made


def _echo(body: Mapping[str, Any], dialect: Dialect) -> dict[str, Any]:
    """The request's settings with their defaults, as the documents' replies echo them."""
    reasoning = body.get("reasoning") or {}
    text = body.get("text") or {}
    tier = body.get("service_tier")
    echo = {name: body.get(name, default) for name, default in ECHOED}
    echo["background"] = bool(body.get("background"))
    echo["max_output_tokens"] = body.get("max_output_tokens")
    echo["metadata"] = body.get("metadata") or {}
    echo["reasoning"] = {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")}
    echo["service_tier"] = "default" if tier in (None, "auto") else tier
    echo["text"] = {**text, "format": text.get("format") or {"type": "text"}}
    echo["tools"] = body.get("tools") or []
    echo.update(dialect.extra_echo)
    if not dialect.reads_instructions:
        echo["instructions"] = None
    return echo


ECHOED: tuple[tuple[str, Any], ...] = (
    ("instructions", None),
    ("max_tool_calls", None),
    ("parallel_tool_calls", True),
    ("previous_response_id", None),
    ("prompt_cache_key", None),
    ("safety_identifier", None),
    ("store", True),
    ("temperature", 1.0),
    ("tool_choice", "auto"),
    ("top_logprobs", 0),
    ("top_p", 1.0),
    ("truncation", "disabled"),
    ("user", None),
)


def chat_object(reply: Reply) -> dict[str, Any]:
    """The whole response in the chat style, with usage."""
    made = _chat_without_usage(reply)
    if reply.answer.usage_form != "absent":
        made["usage"] = chat_usage(reply.answer.usage, reply.answer.usage_form)
    return made


def _chat_without_usage(reply: Reply) -> dict[str, Any]:
    answer = reply.answer
    message: dict[str, Any] = {"role": "assistant", "content": answer.text}
    finish = FINISH.get(answer.reason, "stop")
    calls = tool_calls(reply)
    if calls:
        message |= {"content": None, "tool_calls": calls}
        finish = "tool_calls"
    elif answer.refusal is not None:
        message |= {"content": None, "refusal": answer.refusal}
    return {
        "id": reply.id.replace("_", "-", 1),
        "object": "response",
        "created": reply.created,
        "model": reply.asked.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }


def tool_calls(reply: Reply) -> list[dict[str, Any]]:
    """The calls in the chat nesting."""
    return [
        {"id": item["call_id"], "type": "function", "function": {"name": item["name"], "arguments": item["arguments"]}}
        for item in reply.output
        if item["type"] == "function_call"
    ]


def _in_envelope(shape: Callable[[Reply], dict[str, Any]]) -> Callable[[Reply], dict[str, Any]]:
    def wrapped(reply: Reply) -> dict[str, Any]:
        return {"code": 200, "data": shape(reply)}

    return wrapped


SHAPES: Mapping[str, Callable[[Reply], dict[str, Any]]] = {
    "responses": response_object,
    "chat": chat_object,
    "chat_without_usage": _chat_without_usage,
    "envelope": _in_envelope(chat_object),
    "envelope_responses": _in_envelope(response_object),
}


def shape_of(answer: Answer, dialect: Dialect, forced: str) -> str:
    """The shape this answer takes: its own, else the script's, else what the dialect's page documents."""
    if answer.shape is not None:
        return answer.shape
    if forced != "documented":
        return forced
    if answer.calls:
        return dialect.tool_shape
    if answer.status in ("failed", "in_progress") and dialect.shape == "envelope":
        return "envelope_responses"  # the chat style has no words for these states
    return dialect.shape


def plain_body(reply: Reply, shape: str) -> bytes:
    """The reply as the one JSON body of a plain answer."""
    return orjson.dumps(SHAPES[shape](reply), option=orjson.OPT_NON_STR_KEYS)
