"""The strict checks of a request body, one dialect's documented rules at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.simulator.dialects import Dialect
from pipeline.simulator.parameters import check_parameters
from pipeline.simulator.problems import RequestError
from pipeline.simulator.strict_schema import check_strict

__all__ = ["check_request"]

ASSISTANT_PARTS = frozenset({"output_text", "refusal"})
TOOL_ROLE = "tool"
PROMPT_PARTS = frozenset({"input_text", "input_image", "input_file"})

ITEM_TYPES = frozenset(
    [
        "message",
        "file_search_call",
        "computer_call",
        "computer_call_output",
        "web_search_call",
        "function_call",
        "function_call_output",
        "tool_search_call",
        "tool_search_output",
        "reasoning",
        "compaction",
        "image_generation_call",
        "code_interpreter_call",
        "local_shell_call",
        "local_shell_call_output",
        "shell_call",
        "shell_call_output",
        "apply_patch_call",
        "apply_patch_call_output",
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "custom_tool_call_output",
        "custom_tool_call",
        "item_reference",
    ]
)

_FORMAT_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_JSON_WORD = re.compile(r"json", re.IGNORECASE)


def check_request(body: Mapping[str, Any], dialect: Dialect) -> None:
    """Refuse what the dialect's page does not allow."""
    check_parameters(body, dialect)
    check_sources(body, dialect)
    items = body.get("input")
    if isinstance(items, list):
        for index, item in enumerate(items):
            check_item(item, f"input[{index}]", dialect)
    for index, tool in enumerate(body.get("tools") or ()):
        check_tool(tool, f"tools[{index}]", dialect)
    text = body.get("text")
    if isinstance(text, Mapping) and text.get("format") is not None:
        check_format(text["format"], body)


_SOURCES = ("input", "prompt", "previous_response_id", "conversation")


def check_sources(body: Mapping[str, Any], dialect: Dialect) -> None:
    """There must be something to answer, and only one kind of history."""
    if not dialect.stores:
        if body.get("input") is None:
            raise _missing("input")
        return
    if all(body.get(name) is None for name in _SOURCES):  # the first one is nearly always there
        raise RequestError(
            "One of 'input' or 'previous_response_id' or 'prompt' or 'conversation' must be provided.",
            code="missing_required_parameter",
            param="input",
        )
    if body.get("previous_response_id") and body.get("conversation"):
        raise RequestError(
            "Mutually exclusive parameters: 'previous_response_id' and 'conversation'.",
            code="mutually_exclusive_parameters",
        )
    check_ids(body)
    if body.get("background") and body.get("store") is False:
        raise RequestError(
            "Invalid 'background': a background response must be stored, so 'store' cannot be false.",
            code="invalid_value",
            param="background",
        )


def check_ids(body: Mapping[str, Any]) -> None:
    """What continues a history is named by an id of its kind, and so is a stored prompt."""
    conversation, prompt = body.get("conversation"), body.get("prompt")
    named = conversation.get("id") if isinstance(conversation, Mapping) else conversation
    for place, given, prefix in (
        ("conversation", named if conversation else None, "conv"),
        ("previous_response_id", body.get("previous_response_id"), "resp"),
    ):
        if given is not None and not str(given).startswith(prefix):
            message = f"Invalid '{place}': '{given}'. Expected an ID that begins with '{prefix}'."
            raise RequestError(message, code="invalid_value", param=place)
    if prompt is not None and not isinstance(prompt.get("id"), str):
        raise _missing("prompt.id")
    variables = (prompt or {}).get("variables") or {}
    if not isinstance(variables, Mapping):
        raise _type("prompt.variables", "an object")
    for name, value in variables.items():
        if not isinstance(value, str):
            check_part(value, f"prompt.variables.{name}", PROMPT_PARTS)


def check_item(item: Any, place: str, dialect: Dialect) -> None:
    """An input item has a known type and that type's required fields."""
    if not isinstance(item, Mapping):
        raise _type(place, "an object")
    kind = str(item.get("type", "message"))
    if kind == "message":
        check_message(item, place, dialect)
        return
    if kind not in ITEM_TYPES:
        raise _value(f"{place}.type", kind, sorted(ITEM_TYPES))
    for field in _ITEM_FIELDS.get(kind, ()):
        if item.get(field) is None:
            raise _missing(f"{place}.{field}")
        if not isinstance(item[field], _FIELD_TYPES.get(field, str)):
            raise _type(f"{place}.{field}", "a string")
    if not isinstance(item.get("encrypted_content"), str | None):
        raise _type(f"{place}.encrypted_content", "a string")
    output = item.get("output")
    if kind.endswith("_call_output") and "output" in _ITEM_FIELDS.get(kind, ()) and isinstance(output, list):
        for index, part in enumerate(output):
            check_part(part, f"{place}.output[{index}]", dialect.parts)


_ITEM_FIELDS: Mapping[str, tuple[str, ...]] = {
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "custom_tool_call": ("call_id", "name", "input"),
    "custom_tool_call_output": ("call_id", "output"),
    "reasoning": ("id", "summary"),
    "item_reference": ("id",),
    "compaction": ("encrypted_content",),
    "mcp_approval_response": ("approval_request_id", "approve"),
}

_FIELD_TYPES: Mapping[str, type | tuple[type, ...]] = {"summary": list, "output": (str, list), "approve": bool}


def check_message(item: Mapping[str, Any], place: str, dialect: Dialect) -> None:
    """A message has a role of the dialect and content of that role's parts."""
    role = str(item.get("role"))
    if role == TOOL_ROLE and dialect.nested_tools:
        if item.get("tool_call_id") is None:
            raise _missing(f"{place}.tool_call_id")
    elif role not in dialect.roles:
        raise _value(f"{place}.role", role, sorted(dialect.roles))
    content, calls = item.get("content"), item.get("tool_calls")
    if calls is not None and not (isinstance(calls, list) and all(isinstance(call, Mapping) for call in calls)):
        raise _type(f"{place}.tool_calls", "an array of objects")
    if isinstance(content, str) or (content is None and calls and dialect.nested_tools):
        return
    if content is None:
        raise _missing(f"{place}.content")
    if not isinstance(content, list):
        raise _type(f"{place}.content", "one of an array of objects or string")
    allowed = ASSISTANT_PARTS if role == "assistant" else dialect.parts
    for index, part in enumerate(content):
        check_part(part, f"{place}.content[{index}]", allowed)


def check_part(part: Any, place: str, allowed: frozenset[str]) -> None:
    """A content part has a type allowed here and something in it."""
    if not isinstance(part, Mapping):
        raise _type(place, "an object")
    kind = str(part.get("type"))
    if kind not in allowed:
        raise _value(f"{place}.type", kind, sorted(allowed))
    _PARTS[kind](part, place)


def _text_part(part: Mapping[str, Any], place: str) -> None:
    if not isinstance(part.get("text"), str):
        raise _type(f"{place}.text", "a string") if "text" in part else _missing(f"{place}.text")


def _refusal_part(part: Mapping[str, Any], place: str) -> None:
    if not isinstance(part.get("refusal"), str):
        raise _missing(f"{place}.refusal")


def _image_part(part: Mapping[str, Any], place: str) -> None:
    _check_detail(part, place, ("low", "high", "auto", "original"))
    url = part.get("image_url")
    if url is not None:
        _check_url(url, f"{place}.image_url", "image")
    elif not isinstance(part.get("file_id"), str):
        raise _missing(f"{place}.image_url")


def _check_detail(part: Mapping[str, Any], place: str, details: Sequence[str]) -> None:
    if part.get("detail") is not None and part["detail"] not in details:
        raise _value(f"{place}.detail", part["detail"], details)


def _check_url(url: Any, place: str, noun: str) -> None:
    if not isinstance(url, str):
        raise _type(place, "a string")
    if not url.startswith(("data:", "http://", "https://")):
        raise RequestError(
            f"Invalid '{place}'. Expected a valid URL, but got a value with an invalid format.",
            code=f"invalid_{noun}_url",
            param=place,
        )


def _file_part(part: Mapping[str, Any], place: str) -> None:
    given = [name for name in ("file_data", "file_id", "file_url") if part.get(name) is not None]
    if len(given) != 1:
        raise RequestError(
            f"Invalid '{place}': exactly one of 'file_data', 'file_id' or 'file_url' must be given.",
            code="missing_required_parameter",
            param=place,
        )
    if not isinstance(part[given[0]], str):
        raise _type(f"{place}.{given[0]}", "a string")
    if given == ["file_data"] and not part.get("filename"):
        raise _missing(f"{place}.filename")
    _check_detail(part, place, ("low", "high", "auto"))


def _video_part(part: Mapping[str, Any], place: str) -> None:
    if part.get("video_url") is None:
        raise _missing(f"{place}.video_url")
    _check_url(part["video_url"], f"{place}.video_url", "video")


_PARTS: Mapping[str, Callable[[Mapping[str, Any], str], None]] = {
    "input_text": _text_part,
    "output_text": _text_part,
    "refusal": _refusal_part,
    "input_image": _image_part,
    "input_file": _file_part,
    "input_video": _video_part,
}


def check_tool(tool: Any, place: str, dialect: Dialect) -> None:
    """A tool is of a type the dialect names and in its form, flat or nested."""
    if not isinstance(tool, Mapping):
        raise _type(place, "an object")
    kind = str(tool.get("type"))
    if dialect.tool_types is not None and kind not in dialect.tool_types:
        raise _value(f"{place}.type", kind, sorted(dialect.tool_types))
    if kind == "custom" and not isinstance(tool.get("name"), str):
        raise _missing(f"{place}.name")
    if kind == "function":
        _check_function(tool, place, dialect)
    elif kind == dialect.mcp_tool:
        _check_mcp(tool, place, dialect)
    elif kind == "file_search" and not dialect.nested_tools and not tool.get("vector_store_ids"):
        raise _missing(f"{place}.vector_store_ids")


def _check_function(tool: Mapping[str, Any], place: str, dialect: Dialect) -> None:
    function: Any = tool
    if dialect.nested_tools:
        function, place = tool.get("function"), f"{place}.function"
        if not isinstance(function, Mapping):
            raise _missing(place)
    needed = ("name", "description") if dialect.nested_tools else ("name",)
    for field in needed:
        if not isinstance(function.get(field), str):
            raise _missing(f"{place}.{field}")
    if not _FORMAT_NAME.match(function["name"]):
        raise RequestError(
            f"Invalid '{place}.name': string does not match pattern. Expected '^[a-zA-Z0-9_-]+$'.",
            code="invalid_value",
            param=f"{place}.name",
        )
    parameters = function.get("parameters")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise _type(f"{place}.parameters", "an object")
    if function.get("strict") is True and not dialect.nested_tools:
        check_strict(parameters or {}, f"function '{function['name']}'", f"{place}.parameters")


def _check_mcp(tool: Mapping[str, Any], place: str, dialect: Dialect) -> None:
    if dialect.nested_tools:
        inner = tool.get("remote_mcp")
        if not isinstance(inner, Mapping) or not isinstance(inner.get("url"), str):
            raise _missing(f"{place}.remote_mcp.url")
        return
    if not tool.get("server_label"):
        raise _missing(f"{place}.server_label")
    if not tool.get("server_url") and not tool.get("connector_id"):
        raise _missing(f"{place}.server_url")


def check_format(shape: Any, body: Mapping[str, Any]) -> None:
    """The output format is text, json_object (which the prompt must name) or a named schema."""
    if not isinstance(shape, Mapping):
        raise _type("text.format", "an object")
    kind = shape.get("type")
    if kind == "json_object":
        if not _JSON_WORD.search(f"{body.get('instructions')} {body.get('input')}"):
            raise RequestError(
                "Response input messages must contain the word 'json' in some form to use "
                "'text.format' of type 'json_object'.",
                param="input",
            )
    elif kind == "json_schema":
        _check_json_schema(shape)
    elif kind != "text":
        raise _value("text.format.type", kind, ["json_object", "json_schema", "text"])


def _check_json_schema(shape: Mapping[str, Any]) -> None:
    name, schema = shape.get("name"), shape.get("schema")
    if name is None:
        raise _missing("text.format.name")
    if not isinstance(name, str) or not _FORMAT_NAME.match(name):
        raise RequestError(
            "Invalid 'text.format.name': string does not match pattern. Expected '^[a-zA-Z0-9_-]+$'.",
            code="invalid_value",
            param="text.format.name",
        )
    if not isinstance(schema, Mapping):
        raise _missing("text.format.schema") if schema is None else _type("text.format.schema", "an object")
    if shape.get("strict") is True:
        check_strict(schema, f"response_format '{name}'", "text.format.schema")


def _missing(place: str) -> RequestError:
    return RequestError(f"Missing required parameter: '{place}'.", code="missing_required_parameter", param=place)


def _type(place: str, expected: str) -> RequestError:
    return RequestError(f"Invalid type for '{place}': expected {expected}.", code="invalid_type", param=place)


def _value(place: str, got: object, allowed: Sequence[str]) -> RequestError:
    names = ", ".join(f"'{name}'" for name in allowed)
    return RequestError(f"Invalid value: '{got}'. Supported values are: {names}.", code="invalid_value", param=place)
