"""What each of the three dialects accepts and how it answers, one row per dialect."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DIALECTS", "Dialect", "dialect_of"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """The facts that steer how requests are read and how replies are shaped."""

    name: str
    prefix: str
    max_tokens: str
    """The name of the output cap."""
    max_tokens_refused: str
    """The other vendors' name for it, answered with HTTP 400."""
    nested_tools: bool
    mcp_tool: str
    tool_types: frozenset[str] | None
    """None: any type but `foreign_tools` is let through."""
    foreign_tools: frozenset[str]
    parts: frozenset[str]
    file_ids: bool
    """Whether parts may name what was uploaded before."""
    roles: frozenset[str]
    parameters_closed: bool
    """Whether an unknown top-level parameter is an error, or silently ignored."""
    reads_instructions: bool
    model_required: bool
    pairs_calls: bool
    """Whether each call must have its output and each output its call."""
    stores: bool
    """Whether responses can be fetched, cancelled and deleted later."""
    shape: str
    tool_shape: str
    stream_done: bool
    """Whether a stream ends with `data: [DONE]`."""
    sequence_numbers: bool
    completed_at: bool
    extra_echo: tuple[tuple[str, object], ...]
    error_shape: str


_OPENAI_TOOLS = frozenset(
    [
        "function",
        "custom",
        "namespace",
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
        "file_search",
        "mcp",
        "code_interpreter",
        "image_generation",
        "shell",
        "local_shell",
        "apply_patch",
        "computer",
        "computer_use_preview",
        "tool_search",
        "programmatic_tool_calling",
    ]
)

_OPENAI = Dialect(
    name="openai",
    prefix="/v1",
    max_tokens="max_output_tokens",
    max_tokens_refused="max_tokens",
    nested_tools=False,
    mcp_tool="mcp",
    tool_types=_OPENAI_TOOLS,
    foreign_tools=frozenset({"remote_mcp"}),
    parts=frozenset({"input_text", "input_image", "input_file"}),
    file_ids=True,
    roles=frozenset({"user", "assistant", "system", "developer"}),
    parameters_closed=True,
    reads_instructions=True,
    model_required=False,
    pairs_calls=True,
    stores=True,
    shape="responses",
    tool_shape="responses",
    stream_done=False,
    sequence_numbers=True,
    completed_at=True,
    extra_echo=(),
    error_shape="openai",
)

_QINGBO = Dialect(
    name="qingbo",
    prefix="/qingbo/v1",
    max_tokens="max_tokens",
    max_tokens_refused="max_output_tokens",
    nested_tools=True,
    mcp_tool="remote_mcp",
    tool_types=frozenset({"web_search", "file_search", "function", "remote_mcp"}),
    foreign_tools=frozenset({"mcp"}),
    parts=frozenset({"input_text", "input_image", "input_video"}),
    file_ids=False,
    roles=frozenset({"user", "assistant", "system"}),
    parameters_closed=False,
    reads_instructions=False,
    model_required=True,
    pairs_calls=False,
    stores=False,
    shape="responses",
    tool_shape="chat_without_usage",
    stream_done=True,
    sequence_numbers=False,
    completed_at=False,
    extra_echo=(("content_filters", None),),
    error_shape="qingbo",
)

_APIMART = Dialect(
    name="apimart",
    prefix="/apimart/v1",
    max_tokens="max_tokens",
    max_tokens_refused="max_output_tokens",
    nested_tools=True,
    mcp_tool="remote_mcp",
    tool_types=frozenset({"web_search", "file_search", "function", "remote_mcp"}),
    foreign_tools=frozenset({"mcp"}),
    parts=frozenset({"input_text", "input_image"}),
    file_ids=False,
    roles=frozenset({"user", "assistant", "system"}),
    parameters_closed=False,
    reads_instructions=False,
    model_required=True,
    pairs_calls=False,
    stores=False,
    shape="envelope",
    tool_shape="chat_without_usage",
    stream_done=True,
    sequence_numbers=False,
    completed_at=False,
    extra_echo=(),
    error_shape="apimart",
)

DIALECTS: dict[str, Dialect] = {d.name: d for d in (_OPENAI, _QINGBO, _APIMART)}


def dialect_of(path: str) -> tuple[Dialect, str] | None:
    """The dialect whose prefix the path carries, and the rest of the path."""
    for dialect in DIALECTS.values():
        if path.startswith(dialect.prefix + "/"):
            return dialect, path[len(dialect.prefix) :]
    return None
