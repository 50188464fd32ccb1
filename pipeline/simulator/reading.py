"""What a request asks, read into one form for all three dialects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pipeline.simulator.dialects import Dialect
from pipeline.simulator.seals import unseal

__all__ = ["Asked", "Medium", "Tool", "input_items", "read"]

_CALLS = frozenset({"function_call", "custom_tool_call"})
_OUTPUTS = frozenset(f"{call}_output" for call in _CALLS)


@dataclass(frozen=True, slots=True)
class Medium:
    """One image, file or video that came with the request."""

    kind: str
    source: str
    """A data URI, a URL, a file id, or base64."""
    place: str
    name: str = ""
    detail: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What is the same for the same medium, wherever it stands."""
        return self.kind, self.source


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool, flat, whatever form it came in."""

    type: str
    name: str = ""
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    server: str = ""
    """The label of a remote server; gateways have none, so its host serves."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The tool as it was sent."""


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
    rounds: int = 0
    """How many rounds of outputs those were."""
    called: list[str] = field(default_factory=list)
    """The functions called in the whole conversation."""
    called_last: list[str] = field(default_factory=list)
    """The functions called since the last user message."""
    approvals: dict[str, bool] = field(default_factory=dict)
    """What the client said to requests for approval, by their ids."""
    requested: dict[str, str] = field(default_factory=dict)
    """The servers those requests are about."""
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
    temperature: float | None = None
    top_logprobs: int = 0
    max_tool_calls: int | None = None
    include: frozenset[str] = frozenset()

    @property
    def text(self) -> str:
        """The words that count: those of the system and of the user."""
        return "\n".join([*self.system, *self.user])

    @property
    def last(self) -> str:
        """What the user said last."""
        return next((text for text in reversed(self.user) if text.strip()), "")


def input_items(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The request's input as items; a string is one user message."""
    given = body.get("input")
    if given is None:
        return []
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    return list(given)


def read(
    body: Mapping[str, Any], history: Sequence[Mapping[str, Any]], items: Sequence[Mapping[str, Any]], dialect: Dialect
) -> Asked:
    """Read a checked body: the items of the conversation it continues, then its own."""
    asked = _settings(body, dialect)
    if dialect.reads_instructions and body.get("instructions"):
        asked.system.append(body["instructions"])
        asked.messages += 1
    if dialect.stores:  # others know no stored prompts, and overlook the parameter
        _read_prompt(body.get("prompt") or {}, asked)
    for item in history:
        _read_item(item, asked, "input")
    for index, item in enumerate(items):
        _read_item(item, asked, f"input[{index}]")
    _count_rounds([*history, *items], asked)
    return asked


def _read_prompt(prompt: Mapping[str, Any], asked: Asked) -> None:
    """A stored template's words are not known here: its id and its variables count in their place."""
    if not prompt:
        return
    asked.messages += 1
    told = [str(prompt["id"])]
    for name, value in (prompt.get("variables") or {}).items():
        told.append(_read_content(value if isinstance(value, str) else [value], asked, f"prompt.variables.{name}"))
    asked.user.append(" ".join(told))


def _count_rounds(items: Sequence[Mapping[str, Any]], asked: Asked) -> None:
    """Outputs that come in a row are one round."""
    answering = False
    for item in items:
        if item.get("role") == "user":
            asked.rounds = 0
            asked.called_last.clear()
        is_output = item.get("role") == "tool" or item.get("type") in _OUTPUTS
        asked.rounds += is_output and not answering
        answering = is_output
        names = [item["name"]] if item.get("type") in _CALLS else [name for name, _ in _chat_calls(item)]
        asked.called += names
        asked.called_last += names


def _chat_calls(item: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The names and arguments of the calls of a chat-style message."""
    functions = [call.get("function") for call in item.get("tool_calls") or ()]
    return [(str(one.get("name")), str(one.get("arguments"))) for one in functions if isinstance(one, Mapping)]


def _settings(body: Mapping[str, Any], dialect: Dialect) -> Asked:
    reasoning = body.get("reasoning") or {}
    form = (body.get("text") or {}).get("format") or {}
    parallel = body.get("parallel_tool_calls")
    return Asked(
        model=body.get("model") or "gpt-5.4-mini",
        tools=tuple(_tool(tool) for tool in body.get("tools") or ()),
        tool_choice=body.get("tool_choice") or "auto",
        parallel=True if parallel is None else parallel,
        schema=form.get("schema") if form.get("type") == "json_schema" else None,
        json_object=form.get("type") == "json_object",
        max_tokens=body.get(dialect.max_tokens),
        effort=reasoning.get("effort") or ("medium" if reasoning.get("summary") else "none"),
        summary=bool(reasoning.get("summary")),
        temperature=body.get("temperature"),
        top_logprobs=body.get("top_logprobs") or 0,
        max_tool_calls=body.get("max_tool_calls"),
        include=frozenset(body.get("include") or ()),
    )


def _tool(tool: Mapping[str, Any]) -> Tool:
    inner = tool.get("function")
    flat = inner if isinstance(inner, Mapping) and "name" not in tool else tool
    remote = tool.get("remote_mcp")
    server = urlsplit(str(remote.get("url"))).hostname if isinstance(remote, Mapping) else tool.get("server_label")
    return Tool(
        tool["type"],
        flat.get("name") or "",
        flat.get("description") or "",
        flat.get("parameters") or {},
        str(server or ""),
        tool,
    )


def _read_item(item: Mapping[str, Any], asked: Asked, place: str) -> None:
    kind = item.get("type", "message")
    if kind == "message":
        _read_message(item, asked, place)
    elif kind in _CALLS:
        asked.history.append(f"{item['name']} {item.get('arguments') or item.get('input') or ''}")
    elif kind in _OUTPUTS:
        asked.outputs.append(_read_content(item["output"], asked, f"{place}.output"))
        asked.messages += 1
    elif kind == "mcp_approval_request":
        asked.requested[str(item.get("id"))] = str(item.get("server_label"))
    elif kind == "mcp_approval_response":
        asked.approvals[item["approval_request_id"]] = item["approve"]
    elif kind == "compaction":
        asked.history.append(unseal(item["encrypted_content"], str(item.get("id"))))


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
        asked.history.extend(f"{name} {arguments}" for name, arguments in _chat_calls(item))
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
