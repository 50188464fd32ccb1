"""The calls in a reply that wait for an answer from us, in one form for every kind of tool."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pipeline.records import ToolCall
from pipeline.wire.tolerant import NotJsonError, mapping_at, mappings_at, parse, tamed, text_at


class _CallItem(NamedTuple):
    """How an output item says what it asks: the kind of call, and the fields of its arguments and of its id."""

    kind: str
    arguments: str
    call_id: str = "call_id"


# Hosted tools (web search, file search, MCP calls, code interpreter) are not here: they ran at the provider.
_CALL_ITEMS: Mapping[str, _CallItem] = {
    "function_call": _CallItem("function", "arguments"),
    "custom_tool_call": _CallItem("custom", "input"),
    "mcp_approval_request": _CallItem("mcp_approval", "arguments", "id"),
    "computer_call": _CallItem("computer", "action"),
    "local_shell_call": _CallItem("local_shell", "action"),
    "shell_call": _CallItem("shell", "action"),
    "apply_patch_call": _CallItem("apply_patch", "operation"),
    "tool_search_call": _CallItem("tool_search", "arguments"),
}


def call_of_item(item: Mapping[str, object]) -> ToolCall | None:
    """Return the call that an output item asks of us, or None."""
    row = _CALL_ITEMS.get(str(item.get("type")))
    if row is None or _ran_at_the_provider(item):
        return None
    return _call(row.kind, text_at(item, row.call_id), item, row.arguments)


def _ran_at_the_provider(item: Mapping[str, object]) -> bool:
    in_container = text_at(mapping_at(item, "environment"), "type") == "container_reference"
    return in_container or item.get("execution") == "server"


def calls_of_message(message: Mapping[str, object]) -> Iterator[ToolCall]:
    """Yield the calls of a chat-style message: ``tool_calls``, and the older ``function_call``."""
    for call in mappings_at(message, "tool_calls"):
        if custom := mapping_at(call, "custom"):
            yield _call("custom", text_at(call, "id"), custom, "input")
        else:
            yield _call("function", text_at(call, "id"), mapping_at(call, "function"), "arguments")
    if function := mapping_at(message, "function_call"):
        yield _call("function", None, function, "arguments")


def _call(kind: str, call_id: str | None, source: Mapping[str, object], field: str) -> ToolCall:
    given = "" if source.get(field) is None else source[field]
    # Some servers decode the arguments; the column holds JSON text for all of them.
    arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, separators=(",", ":"))
    return ToolCall(call_id, text_at(source, "name"), arguments, _parsed(arguments), kind)


def _parsed(arguments: str) -> object:
    # Arguments are model text: cut off or simply wrong often enough.
    try:
        return tamed(parse(arguments))
    except NotJsonError:
        return None
