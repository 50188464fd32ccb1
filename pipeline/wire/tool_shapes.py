"""The 15 kinds of tools, the gateways' MCP form, and the ways to choose one: what each takes.

Fields that are not listed pass, and so do kinds that are newer than this list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline.wire.shape import (
    Complaint,
    Path,
    Shape,
    anything,
    boolean,
    choice,
    either,
    integer,
    items,
    number,
    pairs,
    record,
    tagged,
    text,
)

__all__ = ["DOCUMENTED_TOOLS", "TOOL", "TOOL_CHOICE"]

# OpenAI's reference has these 15 kinds, some under two names. `mcp` and `remote_mcp` are two names of one, translated into each other.
DOCUMENTED_TOOLS = frozenset(
    {
        *(
            "function",
            "custom",
            "namespace",
            "tool_search",
            "mcp",
            "file_search",
            "code_interpreter",
            "image_generation",
        ),
        *("web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"),
        *("computer", "computer_use", "computer_use_preview", "shell", "local_shell", "apply_patch"),
    }
)
"""Every kind of tool that a vendor's page names, as this package calls it."""


def _some(fields: Mapping[str, Shape], *required: str) -> Shape:
    """Return the shape of a mapping to which the vendor keeps adding."""
    return record(fields, required=required, extensible=True)


_FUNCTION = _some(
    {
        "name": text(),
        "description": text(),
        "parameters": _some({}),
        "strict": boolean(),
        "defer_loading": boolean(),
    },
    "name",
)
_NESTED_FUNCTION = _some({"function": _FUNCTION})


def _form(value: object) -> Shape:
    return _NESTED_FUNCTION if isinstance(value, Mapping) and "function" in value else _FUNCTION


_ANY_FUNCTION = Shape(
    "a function, flat or nested",
    (Mapping,),
    lambda value, path: _form(value).complaints(value, path),
    lambda value, key: _form(value).below(value, key),
)
_CUSTOM = _some(
    {
        "name": text(),
        "description": text(),
        "defer_loading": boolean(),
        "format": tagged(
            {
                "text": _some({}),
                "grammar": _some({"definition": text(), "syntax": choice("lark", "regex")}, "definition", "syntax"),
            },
            closed=True,
        ),
    },
    "name",
)

_CONTEXT_SIZE = choice("low", "medium", "high")
_LOCATION = _some(
    {
        "type": choice("approximate"),
        "city": text(),
        "country": text(pattern="[A-Za-z]{2}", says="a country's code of two letters"),
        "region": text(),
        "timezone": text(),
    }
)
_WEB_SEARCH = _some(
    {
        "filters": _some({"allowed_domains": items(text())}),
        "search_context_size": _CONTEXT_SIZE,
        "user_location": _LOCATION,
    }
)
_WEB_SEARCH_PREVIEW = _some(
    {
        "search_content_types": items(choice("text", "image")),
        "search_context_size": _CONTEXT_SIZE,
        "user_location": _LOCATION,
    }
)

_VALUE = Shape("text, a number, true, false or a list", (str, int, float, bool, list, tuple))
_COMPARISON = _some({"key": text(), "value": _VALUE}, "key", "value")
_COMPOUND = _some({"filters": items(anything("a filter"))}, "filters")
_FILTER = tagged(
    {
        **dict.fromkeys(("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"), _COMPARISON),  # codespell:ignore nin
        **dict.fromkeys(("and", "or"), _COMPOUND),
    },
    closed=True,
)
_FILE_SEARCH = _some(
    {
        "vector_store_ids": items(text()),
        "max_num_results": integer(1, 50),
        "filters": _FILTER,
        "ranking_options": _some(
            {
                "ranker": text(),
                "score_threshold": number(0, 1),
                "hybrid_search": _some({"embedding_weight": number(0), "text_weight": number(0)}),
            }
        ),
    }
)

_TOOL_NAMES = _some({"read_only": boolean(), "tool_names": items(text())})
_MCP = _some(
    {
        "server_label": text(),
        "server_url": text(),
        "connector_id": text(),
        "server_description": text(),
        "headers": pairs(text()),
        "allowed_tools": either(items(text()), _TOOL_NAMES),
        "require_approval": either(choice("always", "never"), record({"always": _TOOL_NAMES, "never": _TOOL_NAMES})),
        "defer_loading": boolean(),
        "timeout": number(0),
    },
    "server_label",
)


def _one_server(value: object, path: Path) -> Iterator[Complaint]:
    assert isinstance(value, Mapping)
    yield from _MCP.inside(value, path)
    if (value.get("server_url") is None) == (value.get("connector_id") is None):
        yield Complaint(path, "needs either 'server_url' or 'connector_id'")


_REMOTE_MCP = _some({"remote_mcp": _some({"url": text(), "timeout": number(0)}, "url")}, "remote_mcp")

_POLICY = tagged(
    {
        "disabled": _some({}),
        "allowlist": _some(
            {
                "allowed_domains": items(text()),
                "domain_secrets": items(_some({"domain": text(), "name": text()}, "domain", "name")),
            },
            "allowed_domains",
        ),
    },
    closed=True,
)
_CONTAINER = _some(
    {
        "file_ids": items(text()),
        "memory_limit": choice("1g", "4g", "16g", "64g"),
        "network_policy": _POLICY,
        "skills": items(tagged({"skill_reference": _some({"skill_id": text()}, "skill_id")}, closed=False)),
    }
)

_IMAGE_GENERATION = _some(
    {
        "action": choice("generate", "edit", "auto"),
        "background": choice("transparent", "opaque", "auto"),
        "input_fidelity": choice("high", "low"),
        "input_image_mask": _some({"file_id": text(), "image_url": text()}),
        "model": text(),
        "moderation": choice("auto", "low"),
        "output_compression": integer(0, 100),
        "output_format": choice("png", "webp", "jpeg"),
        "partial_images": integer(0, 3),
        "quality": text(),
        "size": text(),
    }
)

TOOL = tagged(
    {
        "function": _ANY_FUNCTION,
        "custom": _CUSTOM,
        "namespace": _some(
            {
                "name": text(),
                "description": text(),
                "tools": items(tagged({"function": _ANY_FUNCTION, "custom": _CUSTOM}, closed=True)),
            },
            *("name", "description", "tools"),
        ),
        **dict.fromkeys(("web_search", "web_search_2025_08_26"), _WEB_SEARCH),
        **dict.fromkeys(("web_search_preview", "web_search_preview_2025_03_11"), _WEB_SEARCH_PREVIEW),
        "file_search": _FILE_SEARCH,
        "mcp": Shape(_MCP.says, (Mapping,), _one_server, _MCP.below),
        "remote_mcp": _REMOTE_MCP,
        "code_interpreter": _some(
            {"container": either(text(), tagged({"auto": _CONTAINER}, closed=True))}, "container"
        ),
        "image_generation": _IMAGE_GENERATION,
        "shell": _some(
            {
                "environment": tagged(
                    {
                        "container_auto": _CONTAINER,
                        "local": _some({}),
                        "container_reference": _some({"container_id": text()}, "container_id"),
                    },
                    closed=True,
                )
            }
        ),
        "computer_use_preview": _some(
            {
                "display_height": integer(1),
                "display_width": integer(1),
                "environment": choice("windows", "mac", "linux", "ubuntu", "browser"),
            },
            *("display_height", "display_width", "environment"),
        ),
        "tool_search": _some({"execution": choice("server", "client"), "description": text(), "parameters": _some({})}),
    },
    closed=False,
)
"""A tool. ``local_shell``, ``apply_patch`` and ``computer`` have no fields, so there is nothing to check."""

TOOL_CHOICE = either(
    choice("none", "auto", "required"),
    tagged(
        {
            "allowed_tools": _some(
                {"mode": choice("auto", "required"), "tools": items(anything("a tool"))}, "mode", "tools"
            ),
            "function": _ANY_FUNCTION,
            "custom": _some({"name": text()}, "name"),
            "mcp": _some({"server_label": text(), "name": text()}, "server_label"),
        },
        closed=False,
    ),
)
"""What may be forced, allowed or forbidden; a hosted tool is forced by its type, which passes unseen."""
