"""Replies in each shape the documents show: Responses, chat style, bare and in an envelope."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.simulator.answers import Answer, Usage
from pipeline.simulator.dialects import Dialect
from pipeline.simulator.items import output_items
from pipeline.simulator.reading import Asked

__all__ = [
    "FINISH",
    "SHAPES",
    "Reply",
    "chat_usage",
    "plain_body",
    "response_object",
    "shape_of",
    "unfinished",
    "usage_object",
]

FINISH: Mapping[str | None, str] = {"max_output_tokens": "length", "content_filter": "content_filter"}


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
    tier: str = "default"
    """The service tier that served it."""

    @classmethod
    def make(
        cls, answer: Answer, asked: Asked, body: Mapping[str, Any], dialect: Dialect, created: int, tier: str
    ) -> Reply:
        """Give the answer its ids; they are new for each execution, as a provider's are."""
        stem = secrets.token_hex(16)
        output = tuple(output_items(answer, asked, stem))
        return cls(answer, asked, body, dialect, f"resp_{stem}", created, output, tier)


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
        **_echo(body, dialect, reply.tier),
        "usage": usage_object(answer.usage, answer.usage_form),
    }
    if answer.usage_form == "absent":
        del made["usage"]
    if dialect.completed_at and answer.status == "completed":
        made["completed_at"] = reply.created
    return made


def unfinished(reply: Reply, status: str) -> dict[str, Any]:
    """The response while there is nothing to read in it, or after it was cancelled."""
    whole = {**response_object(reply), "status": status, "output": []}
    whole.pop("completed_at", None)
    return whole | {"usage": None, "error": None, "incomplete_details": None}


def _echo(body: Mapping[str, Any], dialect: Dialect, tier: str) -> dict[str, Any]:
    """The request's settings with their defaults, as the documents' replies echo them."""
    reasoning = body.get("reasoning") or {}
    text = body.get("text") or {}
    echo = ECHOED | {name: value for name, value in body.items() if name in ECHOED}
    echo["background"] = bool(body.get("background"))
    echo["max_output_tokens"] = body.get("max_output_tokens")
    echo["metadata"] = body.get("metadata") or {}
    echo["reasoning"] = {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")}
    echo["service_tier"] = tier
    echo["text"] = {**text, "format": text.get("format") or {"type": "text"}}
    echo["tools"] = [_echoed_tool(tool) for tool in body.get("tools") or ()]
    conversation = body.get("conversation")
    echo["conversation"] = {"id": conversation} if isinstance(conversation, str) else conversation
    echo |= {name: body[name] for name in ECHOED_WHEN_SENT if body.get(name) is not None}
    echo.update(dialect.extra_echo)
    if not dialect.reads_instructions:
        echo["instructions"] = None
    return echo


ECHOED_WHEN_SENT = ("context_management", "prompt", "prompt_cache_retention")

SECRETS = frozenset({"authorization", "headers", "auth_token", "domain_secrets"})


def _echoed_tool(node: Any) -> Any:
    """A tool as it was sent, without what must not be told again."""
    if isinstance(node, Mapping):
        return {key: _echoed_tool(value) for key, value in node.items() if key not in SECRETS}
    return [_echoed_tool(member) for member in node] if isinstance(node, list) else node


ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_tool_calls": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "safety_identifier": None,
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}


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
