"""From the neutral body, in OpenAI's names, to the body that a dialect takes.

Every step is steered by a fact of the dialect. Nothing the job names is lost on the way without a word: what a dialect
cannot say is a reason to refuse (``refused``), what its page does not list is worth a warning (``cautions``). Media
stand in the body as ``Media`` values; they are leaves here and come out as they went in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from pipeline.wire.dialect import DIALECTS, Dialect
from pipeline.wire.tool_shapes import DOCUMENTED_TOOLS
from pipeline.wire.tools import has_timeout, members, strict_qualifies, translated, untranslatable

__all__ = ["NEEDS_STORING", "Refusal", "cautions", "encode", "refusals", "refused", "strict_qualifies"]

Body = Mapping[str, object]
_NOTHING: Body = MappingProxyType({})

NEEDS_STORING = ("background", "previous_response_id", "conversation")
"""Using one of these needs a response that is stored, so ``store`` is left to the provider."""
# Who speaks where a function's output goes back.
_TOOL_ROLES: Mapping[str, frozenset[str]] = {"items": frozenset(), "messages": frozenset({"tool"})}
# Parts that belong to one dialect or another. What is on no page (`input_audio`, say) passes, for it may be newer than
# the pages.
_DOCUMENTED_PARTS = frozenset({"input_text", "input_image", "input_file", "input_video"})


def encode(body: Body, dialect: Dialect, extra_body: Body = _NOTHING) -> dict[str, object]:
    """Return the body to send; ``extra_body`` goes in verbatim and wins over everything.

    The given body is left as it is.
    """
    request = {name: value for name, value in body.items() if value is not None}
    if "input" in request:
        request["input"] = _input(request["input"], dialect)
    if "tools" in request:
        request["tools"] = translated(request["tools"], dialect)
    if dialect.instructions == "system_message" and "instructions" in request:
        request["input"] = _led_by(request.pop("instructions"), request.get("input"))
    if "max_output_tokens" in request:
        request[dialect.max_tokens_field] = request.pop("max_output_tokens")
    return {**_delivered(request, dialect, {**request, **extra_body}), **extra_body}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a dialect cannot take a body: what it is ``about``, which one of those as a spec calls it (``video``), and a sentence."""

    about: Literal["part", "role", "tools", "parameter"]
    name: str
    reason: str


def refused(body: Body, dialect: Dialect) -> list[Refusal]:
    """Return what this dialect cannot take of this body; nothing means that it can take it."""
    found = [Refusal("part", *_refused_part(part, dialect)) for part in _parts(body) if not _takes(dialect, part)]
    roles = [role for role in _roles(body) if role not in dialect.roles | _TOOL_ROLES[dialect.tool_results]]
    found += [
        Refusal("role", role, f"{dialect.name} has no role {role}; messages may be of {_listed(dialect.roles)}")
        for role in roles
    ]
    found += [
        Refusal("tools", kind, f"{dialect.name} takes no tool {kind}; it takes {_listed(dialect.tools)}")
        for kind in _kinds_of_tools(body, dialect)
        if kind in DOCUMENTED_TOOLS - dialect.tools
    ]
    if dialect.mcp_tool == "remote_mcp":
        lost = [name for tool in members(body.get("tools")) for name in untranslatable(tool)]
        found += [Refusal("tools", name, f"{dialect.name}'s remote_mcp tool has no place for {name}") for name in lost]
    if dialect.undocumented == "refuse":
        found += [
            Refusal("parameter", name, f"{dialect.name}'s page does not list {name}")
            for name in _undocumented(body, dialect)
        ]
    return list(dict.fromkeys(found))


def refusals(body: Body, dialect: Dialect) -> list[str]:
    """Return the reasons why this dialect cannot take this body, each once; none means that it can."""
    return [each.reason for each in refused(body, dialect)]


def cautions(body: Body, dialect: Dialect) -> list[str]:
    """Return a sentence for everything sent without the vendor's word for it, or left out for want of a place."""
    warnings = []
    if dialect.undocumented == "warn":
        names = _undocumented(body, dialect)
        warnings += [f"{dialect.name}'s page does not list {name}; it is sent as the job has it" for name in names]
    if dialect.mcp_tool == "mcp" and any(has_timeout(tool) for tool in members(body.get("tools"))):
        warnings.append(f"{dialect.name}'s mcp tool has no place for timeout; it is left out")
    return warnings


def _delivered(request: dict[str, object], dialect: Dialect, asked: Body) -> dict[str, object]:
    """Return the request with what the dialect wants said about streaming and storing.

    ``asked`` includes the extra body.
    """
    result = dict(request)
    if asked.get("stream") is not True:
        result.pop("stream_options", None)
        if dialect.explicit_stream_false:
            result.setdefault("stream", False)
    if dialect.store_by_default is not None and not any(asked.get(name) for name in NEEDS_STORING):
        result.setdefault("store", dialect.store_by_default)
    return result


def _input(given: object, dialect: Dialect) -> object:
    if isinstance(given, str):
        return [_message("user", given)] if dialect.expand_string_input else given
    return [_item(item, dialect) for item in given] if isinstance(given, list | tuple) else given


def _led_by(instructions: object, given: object) -> list[object]:
    rest = [_message("user", given)] if isinstance(given, str) else given
    return [_message("system", instructions), *(rest if isinstance(rest, list) else ())]


def _message(role: object, text: object) -> dict[str, object]:
    return {"role": role, "content": [{"type": "output_text" if role == "assistant" else "input_text", "text": text}]}


def _item(item: object, dialect: Dialect) -> object:
    if not isinstance(item, Mapping) or item.get("type", "message") != "message":
        return item
    role, content = item.get("role"), item.get("content")
    if role == "tool" or "tool_calls" in item:  # chat messages, whose content is plain text
        return item
    if isinstance(content, str) and dialect.expand_string_input:
        return {**item, **_message(role, content)}
    if role == "assistant" and isinstance(content, list | tuple):
        return {**item, "content": [_spoken(part) for part in content]}
    return item


def _spoken(part: object) -> object:
    """Return a part of an assistant's message: its text is output there, and refused under the name of input."""
    return {**part, "type": "output_text"} if isinstance(part, Mapping) and part.get("type") == "input_text" else part


def _undocumented(body: Body, dialect: Dialect) -> list[str]:
    # What the dialect says in another way of its own needs no word of the page.
    known = dialect.documented | {dialect.max_tokens_field}
    known |= {"instructions"} if dialect.instructions == "system_message" else set()
    names = [name for name, value in body.items() if value is not None and name not in known]
    detailed = not dialect.image_detail and any(part.get("detail") is not None for part in _parts(body))
    return [*names, "detail of pictures"] if detailed else names


def _parts(body: Body) -> Iterator[Mapping[str, object]]:
    for item in members(body.get("input")):
        for name in ("content", "output"):
            yield from members(item.get(name))


def _takes(dialect: Dialect, part: Body) -> bool:
    kind = str(part.get("type"))
    return kind not in _DOCUMENTED_PARTS or (
        kind in dialect.parts and (dialect.file_ids or part.get("file_id") is None)
    )


def _refused_part(part: Body, dialect: Dialect) -> tuple[str, str]:
    """Return what a spec calls a part (``image`` or, by its id, ``image_id``), and a sentence with the dialects that take it."""
    api_kind = str(part.get("type"))
    kind = api_kind.removeprefix("input_") + ("_id" if part.get("file_id") is not None else "")
    takers = [name for name, other in DIALECTS.items() if name != dialect.name and _takes(other, part)]
    does = f"; {' and '.join(takers)} {'does' if len(takers) == 1 else 'do'}" if takers else ""
    instead = "; give its URL or its bytes" if api_kind in dialect.parts else ""
    return kind, f"{dialect.name} takes no {kind}{does}{instead}"


def _kinds_of_tools(body: Body, dialect: Dialect) -> Iterator[str]:
    """Yield the kinds of a body's tools as they are sent."""
    yield from (str(tool.get("type")) for tool in members(translated(body.get("tools"), dialect)))


def _roles(body: Body) -> Iterator[str]:
    yield from (str(item["role"]) for item in members(body.get("input")) if "role" in item)


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
