"""How each vendor speaks, as data.

A dialect is one row of facts; ``encode`` reads the facts and never the name. Replies need no facts: they are led by
their own shape. Each fact comes from the vendor's page "Create a model response" or its gateway twin, unless a comment
says otherwise, and a job can override it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Literal, get_args, get_origin, get_type_hints

from pipeline.wire.parameters import PARAMETERS
from pipeline.wire.shape import closest, shown
from pipeline.wire.tool_shapes import DOCUMENTED_TOOLS


class UnknownFact(ValueError):
    """An override names no fact of a dialect, or gives it a value that it cannot have."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """The facts of one dialect of ``POST /v1/responses``."""

    name: str
    """What messages call the vendor; no decision hangs on it."""
    base_url: str
    """The vendor's own address, up to and including ``/v1``."""
    path: str
    """What follows the address; begins with a slash."""
    input_tokens_path: str | None
    """What follows the address of the requests where their input tokens are counted without an answer; None: nowhere."""
    key_env: str
    """Variable that holds the key for the vendor's own address.

    One per vendor: apimart's page shows OpenAI's name, which would hand it that key.
    """
    max_tokens_field: Literal["max_output_tokens", "max_tokens"]
    """What the output cap is called. Both gateways document ``max_tokens`` and echo the other name."""
    function_tool: Literal["flat", "nested"]
    """Whether a function's name stands in the tool itself or below ``function``."""
    mcp_tool: Literal["mcp", "remote_mcp"]
    """Which form a remote MCP server takes."""
    instructions: Literal["field", "system_message"]
    """Whether ``instructions`` is sent as such, or as a system message before the input."""
    expand_string_input: bool
    """Whether plain text, as input or as content, is sent as a list of parts: the form that both gateways document."""
    deliveries: frozenset[str]
    """The ways in which answers can come, as the job's ``delivery`` calls them."""
    explicit_stream_false: bool
    """Whether ``stream: false`` is said. A client of apimart reports streams when the field is left out."""
    undocumented: Literal["send", "warn", "refuse"]
    """What becomes of parameters that the vendor's page does not list.

    Gateways claim full compatibility, so they are sent, with a warning.
    """
    documented: frozenset[str]
    """The top-level parameters that the vendor's page lists, by their OpenAI names."""
    parts: frozenset[str]
    """The input parts that messages may hold."""
    tools: frozenset[str]
    """Of the tools that the vendors' pages name, those that this one's does. A kind that no page names passes, for it may be newer."""
    roles: frozenset[str]
    """The roles that messages may have. qingbo shows only ``user``; it is taken to be like apimart."""
    image_formats: frozenset[str]
    """The mime types of pictures that are taken."""
    max_image_bytes: int
    """The largest picture, in bytes before base64.

    "20 MB" is read as binary, so that nothing is refused that the vendor would take.
    """
    video_formats: frozenset[str]
    """The mime types of videos that are taken."""
    max_video_bytes: int
    """The largest video, in bytes before base64."""
    max_video_s: int
    """The longest video, in seconds."""
    max_file_bytes: int
    """The largest file, in bytes before base64."""
    file_ids: bool
    """Whether parts may name what was uploaded to the provider, by its id."""
    image_detail: bool
    """Whether the vendor's page lists ``detail`` of pictures."""
    tool_results: Literal["items", "messages"]
    """How the outputs of functions go back: as items of the Responses API, or as chat messages.

    No gateway's page says; their claim of compatibility makes items the first choice.
    """
    encrypted_reasoning: bool
    """Whether reasoning can be asked for in the form in which it may come back in a later round of a response not stored."""
    store_by_default: bool | None
    """``store`` where the job does not set it and nothing it uses needs a stored response; None sends nothing."""
    reports_cost: bool
    """Whether usage says what a call cost, in the vendor's own unit. qingbo's does, by its newer pages: 500,000 to the dollar."""

    def overridden(self, overrides: Mapping[str, object]) -> Dialect:
        """Return the dialect with some facts replaced; lists stand for sets. Raises ``UnknownFact``."""
        hints = get_type_hints(Dialect)
        changes: dict[str, object] = {}
        for name, value in overrides.items():
            if name in _NOT_OVERRIDABLE:
                raise UnknownFact(f"{name} is not overridden here: {_NOT_OVERRIDABLE[name]}")
            if name not in hints:
                raise UnknownFact(_unknown(name))
            changes[name] = _fact(name, hints[name], value)
        return replace(self, **changes)  # type: ignore[arg-type]  # each value was checked against its field's type


# An address changed here would be sent the vendor's key; the provider's own settings keep the two together.
_NOT_OVERRIDABLE: Mapping[str, str] = {
    "name": "it follows from the provider's dialect",
    "base_url": "set the provider's base_url",
    "key_env": "set the provider's api_key_env",
}


def _unknown(name: str) -> str:
    known = [fact.name for fact in fields(Dialect) if fact.name not in _NOT_OVERRIDABLE]
    meant = closest(str(name), known)
    return f"{name!r} is no fact of a dialect" + (
        f" - did you mean {meant!r}?" if meant else f"; known: {_listed(known)}"
    )


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names))


def _fact(name: str, hint: object, value: object) -> object:
    """Return ``value`` as the fact's type, or raise ``UnknownFact``."""
    if get_origin(hint) is Literal:
        return _checked(name, value in get_args(hint), f"one of {_listed(get_args(hint))}", value)
    if get_origin(hint) is frozenset:
        listed = isinstance(value, list | tuple | set | frozenset) and all(isinstance(member, str) for member in value)
        return frozenset(_checked(name, listed, "a list of texts", value))  # type: ignore[call-overload]  # just checked
    if hint is int:
        positive = isinstance(value, int) and not isinstance(value, bool) and value > 0
        return _checked(name, positive, "a positive whole number", value)
    if str in (hint, *get_args(hint)):
        if value is None and hint is not str:
            return None
        is_path = isinstance(value, str) and re.fullmatch(r"/[^\s?#]*", value)
        return _checked(name, is_path, "a path that begins with a slash", value)
    optional = type(None) in get_args(hint)
    fits = isinstance(value, bool) or (optional and value is None)
    return _checked(name, fits, "true, false or null" if optional else "true or false", value)


def _checked(name: str, fits: object, says: str, value: object) -> object:
    if not fits:
        raise UnknownFact(f"{name} must be {says}, not {'null' if value is None else shown(value)}")
    return value


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests go."""

    url: str
    """The whole address that requests are posted to."""
    identity: str
    """What stands for the endpoint in a request's fingerprint."""
    key_env: str | None
    """The variable that holds the key; None sends none."""
    headers: Mapping[str, str]
    """Further request headers; never keys."""
    dialect: Dialect
    """How the endpoint speaks."""


_DELIVERIES = frozenset({"plain", "stream"})  # no gateway documents the calls by which a background answer is fetched
_IMAGE_FORMATS = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_VIDEO_FORMATS = frozenset({"video/mp4", "video/quicktime", "video/x-msvideo", "video/webm"})
_MEGABYTE = 1024 * 1024
_GATEWAY_PARAMETERS = frozenset({"model", "input", "tools", "temperature", "max_output_tokens", "stream"})
_GATEWAY_ROLES = frozenset({"user", "assistant", "system"})

_OPENAI = Dialect(
    name="openai",
    base_url="https://api.openai.com/v1",
    path="/responses",
    input_tokens_path="/input_tokens",
    key_env="OPENAI_API_KEY",
    max_tokens_field="max_output_tokens",
    function_tool="flat",
    mcp_tool="mcp",
    instructions="field",
    expand_string_input=False,
    deliveries=_DELIVERIES | {"background"},
    explicit_stream_false=False,
    undocumented="send",
    documented=frozenset(PARAMETERS),
    parts=frozenset({"input_text", "input_image", "input_file"}),
    tools=DOCUMENTED_TOOLS,
    roles=frozenset({"user", "assistant", "system", "developer"}),
    # The reference names neither formats nor sizes. Both are from OpenAI's older public guide on images: PNG, JPEG,
    # WebP and still GIF, 20 MB each.
    image_formats=_IMAGE_FORMATS,
    max_image_bytes=20 * _MEGABYTE,
    # qingbo's, for no page but its own speaks of videos.
    video_formats=_VIDEO_FORMATS,
    max_video_bytes=200 * _MEGABYTE,
    max_video_s=600,
    # From OpenAI's public guide on files; the reference names no size.
    max_file_bytes=50 * _MEGABYTE,
    file_ids=True,
    image_detail=True,
    tool_results="items",
    encrypted_reasoning=True,
    store_by_default=False,
    reports_cost=False,
)

_QINGBO = Dialect(
    name="qingbo",
    base_url="https://qingbo.dev/v1",
    path="/responses",
    input_tokens_path=None,
    key_env="QINGBO_API_KEY",
    max_tokens_field="max_tokens",
    function_tool="nested",
    mcp_tool="remote_mcp",
    instructions="system_message",
    expand_string_input=True,
    deliveries=_DELIVERIES,
    explicit_stream_false=True,
    undocumented="warn",
    documented=_GATEWAY_PARAMETERS,
    parts=frozenset({"input_text", "input_image", "input_video"}),
    tools=frozenset({"function", "web_search", "file_search", "remote_mcp"}),
    roles=_GATEWAY_ROLES,
    image_formats=_IMAGE_FORMATS,
    max_image_bytes=20 * _MEGABYTE,
    video_formats=_VIDEO_FORMATS,
    max_video_bytes=200 * _MEGABYTE,
    max_video_s=600,
    max_file_bytes=50 * _MEGABYTE,
    file_ids=False,
    image_detail=False,
    tool_results="items",
    encrypted_reasoning=False,
    store_by_default=None,
    reports_cost=True,
)

_APIMART = replace(
    _QINGBO,
    name="apimart",
    base_url="https://api.apimart.ai/v1",
    key_env="APIMART_API_KEY",
    documented=_GATEWAY_PARAMETERS | {"top_p"},
    parts=frozenset({"input_text", "input_image"}),
    reports_cost=False,
)

DIALECTS: Mapping[str, Dialect] = {dialect.name: dialect for dialect in (_OPENAI, _QINGBO, _APIMART)}
