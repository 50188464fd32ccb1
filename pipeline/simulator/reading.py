"""What a request asks, read into one form for all three dialects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.simulator.dialects import Dialect

__all__ = ["Asked", "Medium", "Tool", "input_items", "read"]


@dataclass(frozen=True, slots=True)
class Medium:
    """One image, file or video that came with the request."""

    kind: str
    source: str
    """A data URI, a URL, a file id, or base64."""
    place: str
    name: str = ""
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, flat, whatever form it came in."""

    type: str
    name: str = ""
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Asked:
    """Everything of a request that its answer depends on."""

    model: str
    system: list[str] = field(default_factory=list)
    user: list[str] = field(default_factory=list)
    history: list[str] = field(default_factory=list)
    """Earlier words of the model: they cost tokens, and answers do not quote them."""
    outputs: list[str] = field(default_factory=list)
    """Tool outputs since the last user message."""
    media: list[Medium] = field(default_factory=list)
    messages: int = 0
    tools: tuple[Tool, ...] = ()
    tool_choice: Any = "auto"
    parallel: bool = True
    schema: Mapping[str, Any] | None = None
    json_object: bool = False
    max_tokens: int | None = None
    effort: str = "none"
    summary: bool = False
    encrypted: bool = False
    sources: bool = False

    @property
    def text(self) -> str:
        """The words that count: those of the system and of the user."""
        return "\n".join([*self.system, *self.user])


def input_items(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The request's input as items; a string is one user message."""
    given = body.get("input")
    if given is None:
        return []
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    return list(given)


def read(body: Mapping[str, Any], history: Iterable[Mapping[str, Any]], dialect: Dialect) -> Asked:
    """Read a checked body, after the items of the conversation it continues."""
    asked = _settings(body, dialect)
    if dialect.reads_instructions and body.get("instructions"):
        asked.system.append(body["instructions"])
        asked.messages += 1
    for item in history:
        _read_item(item, asked, "input")
    for index, item in enumerate(input_items(body)):
        _read_item(item, asked, f"input[{index}]")
    return asked


def _settings(body: Mapping[str, Any], dialect: Dialect) -> Asked:
    reasoning = body.get("reasoning") or {}
    form = (body.get("text") or {}).get("format") or {}
    include = body.get("include") or ()
    parallel = body.get("parallel_tool_calls")
    return Asked(
        model=body.get("model") or "gpt-5.4-mini",
        tools=tuple(_tool(tool) for tool in body.get("tools") or ()),
        tool_choice=body.get("tool_choice") or "auto",
        parallel=True if parallel is None else parallel,
        schema=form.get("schema") if form.get("type") == "json_schema" else None,
        json_object=form.get("type") == "json_object",
        max_tokens=body.get(dialect.max_tokens),
        effort=reasoning.get("effort") or "none",
        summary=bool(reasoning.get("summary")),
        encrypted="reasoning.encrypted_content" in include,
        sources="web_search_call.action.sources" in include,
    )


def _tool(tool: Mapping[str, Any]) -> Tool:
    inner = tool.get("function")
    flat = inner if isinstance(inner, Mapping) and "name" not in tool else tool
    return Tool(tool["type"], flat.get("name") or "", flat.get("description") or "", flat.get("parameters") or {})


def _read_item(item: Mapping[str, Any], asked: Asked, place: str) -> None:
    kind = item.get("type", "message")
    if kind == "message":
        _read_message(item, asked, place)
    elif kind in ("function_call", "custom_tool_call"):
        asked.history.append(f"{item['name']} {item.get('arguments') or item.get('input') or ''}")
    elif kind in ("function_call_output", "custom_tool_call_output"):
        asked.outputs.append(_read_content(item["output"], asked, f"{place}.output"))
        asked.messages += 1


def _read_message(item: Mapping[str, Any], asked: Asked, place: str) -> None:
    asked.messages += 1
    text = _read_content(item.get("content"), asked, f"{place}.content")
    role = item["role"]
    if role == "user":
        asked.history.extend(asked.outputs)  # an earlier round's outputs are history once the user speaks again
        asked.outputs.clear()
        asked.user.append(text)
    elif role == "tool":
        asked.outputs.append(text)
    elif role == "assistant":
        asked.history.append(text)
        for call in item.get("tool_calls") or ():
            function = call.get("function")
            if isinstance(function, Mapping):
                asked.history.append(f"{function.get('name')} {function.get('arguments')}")
    else:
        asked.system.append(text)


def _read_content(content: Any, asked: Asked, place: str) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for index, part in enumerate(content):
        if "text" in part or "refusal" in part:
            texts.append(part.get("text") or part.get("refusal") or "")
        else:
            asked.media.append(_medium(part, f"{place}[{index}]"))
    return "\n".join(texts)


def _medium(part: Mapping[str, Any], place: str) -> Medium:
    kind = part["type"].removeprefix("input_")
    for field_name in (f"{kind}_url", "file_data", "file_id"):
        if part.get(field_name):
            return Medium(
                kind, part[field_name], f"{place}.{field_name}", part.get("filename") or "", part.get("detail")
            )
    return Medium(kind, "", place)
