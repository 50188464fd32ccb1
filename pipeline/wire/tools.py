"""Tools, translated between the forms that the dialects take.

Functions are flat (``{type, name, ...}``) or nested (``{type, function: {name, ...}}``), MCP servers are ``mcp`` or
``remote_mcp``. A job may write either form for either dialect. Every other tool passes untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pipeline.wire.dialect import Dialect

Tool = Mapping[str, object]

# Which field of one MCP form is which field of the other.
_MCP_NAMES: Mapping[str, str] = {
    "url": "server_url",
    "auth_token": "authorization",
    "auth_token_env": "authorization_env",
    "timeout": "timeout",
}
# What an `mcp` tool may hold and lose nothing by as `remote_mcp`: labels are only for reading, and without approval
# nobody is asked there.
_EXPENDABLE = frozenset({"type", "server_label", "server_description", *_MCP_NAMES.values()})


def translated(tools: object, dialect: Dialect) -> object:
    """Return a list of tools in the form that the dialect takes; what is no list comes back as it is."""
    if not isinstance(tools, list | tuple):
        return tools
    return [_tool(tool, index, dialect) for index, tool in enumerate(tools, start=1)]


def untranslatable(tool: Tool) -> list[str]:
    """Return the fields of an ``mcp`` tool that ``remote_mcp`` has no place for, and that are missed when left out."""
    if tool.get("type") != "mcp":
        return []
    said = {name: value for name, value in tool.items() if value is not None and name not in _EXPENDABLE}
    return [name for name, value in said.items() if (name, value) != ("require_approval", "never")]


def has_timeout(tool: Tool) -> bool:
    """Say whether a tool is an MCP server with a timeout, in either form."""
    inner = tool.get("remote_mcp")
    return "timeout" in tool if tool.get("type") == "mcp" else isinstance(inner, Mapping) and "timeout" in inner


def names_of(tools: object) -> frozenset[str]:
    """Return the names under which a model calls the tools of a list: those of functions, flat or nested, and of custom tools."""
    return frozenset(name for tool in members(tools) if (name := _name(tool)) is not None)


def members(value: object) -> Iterator[Tool]:
    """Yield the mappings in a list; of what is no list there are none."""
    if isinstance(value, list | tuple):
        yield from (member for member in value if isinstance(member, Mapping))


def _name(tool: Tool) -> str | None:
    inner = tool.get(str(tool.get("type")))
    name = (inner if isinstance(inner, Mapping) else tool).get("name")
    return name if isinstance(name, str) else None


def strict_qualifies(schema: object) -> bool:
    """Say whether a JSON Schema may go with ``strict: true``: every object closed, every property required.

    The keywords are OpenAI's published subset of JSON Schema; a schema outside of it would make every row fail.
    """
    root = isinstance(schema, Mapping) and schema.get("type") == "object" and "anyOf" not in schema
    return root and _strict(schema, depth=10)


def _tool(tool: object, index: int, dialect: Dialect) -> object:
    if not isinstance(tool, Mapping):
        return tool
    translate = _TRANSLATIONS.get(str(tool.get("type")))
    return tool if translate is None else translate(tool, index, dialect)


def _function(tool: Tool, _index: int, dialect: Dialect) -> Tool:
    inner = tool.get("function")
    given = inner if isinstance(inner, Mapping) else tool
    said = {name: value for name, value in given.items() if value is not None and name != "type"}
    facts = {"parameters": {"type": "object", "properties": {}}, **said}
    if dialect.function_tool == "nested":
        return {"type": "function", "function": {"description": "", **facts}}
    # Left out, `strict` would mean true, and a schema that does not qualify would be refused.
    return {"type": "function", "strict": strict_qualifies(facts["parameters"]), **facts}


def _mcp(tool: Tool, _index: int, dialect: Dialect) -> Tool:
    if dialect.mcp_tool == "remote_mcp":
        return {
            "type": "remote_mcp",
            "remote_mcp": {there: tool[here] for there, here in _MCP_NAMES.items() if tool.get(here) is not None},
        }
    # Nobody is there to approve a call in a batch; and the form has no field for a timeout.
    return {"require_approval": "never", **{name: value for name, value in tool.items() if name != "timeout"}}


def _remote_mcp(tool: Tool, index: int, dialect: Dialect) -> Tool:
    inner = tool.get("remote_mcp")
    if dialect.mcp_tool == "remote_mcp" or not isinstance(inner, Mapping):
        return tool
    neutral = {here: inner[there] for there, here in _MCP_NAMES.items() if inner.get(there) is not None}
    return _mcp({"type": "mcp", "server_label": f"mcp_{index}", **neutral}, index, dialect)


_TRANSLATIONS: Mapping[str, Callable[[Tool, int, Dialect], Tool]] = {
    "function": _function,
    "mcp": _mcp,
    "remote_mcp": _remote_mcp,
}

_SAID = frozenset({"title", "description", "type", "enum", "const", "$ref", "format", "pattern"})
_BOUNDS = frozenset(
    {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"}
)
_NESTING = frozenset({"properties", "required", "additionalProperties", "items", "anyOf", "$defs", "definitions"})
_STRICT_KEYWORDS = _SAID | _BOUNDS | _NESTING


def _strict(schema: object, depth: int) -> bool:
    """Say whether a schema and all below it qualify; ten levels is the most that strict mode takes."""
    if depth == 0 or not isinstance(schema, Mapping) or not _STRICT_KEYWORDS.issuperset(schema):
        return False
    if not schema.keys() & {"type", "anyOf", "$ref", "enum", "const"}:
        return False
    if "$ref" in schema and len(schema) > 1:
        return False  # a description beside a reference is refused, too
    below = [schema["items"]] if "items" in schema else []
    alternatives = schema.get("anyOf", [])
    below += alternatives if isinstance(alternatives, list) else [None]
    for name in ("properties", "$defs", "definitions"):
        members = schema.get(name, {})
        below += members.values() if isinstance(members, Mapping) else [None]
    return _closed(schema) and all(_strict(member, depth - 1) for member in below)


def _closed(schema: Mapping[str, object]) -> bool:
    kind = schema.get("type")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind) and "properties" not in schema:
        return True
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, Mapping) or not isinstance(required, list):
        return False
    names = {name for name in required if isinstance(name, str)}
    return names == set(properties) and schema.get("additionalProperties") is False
