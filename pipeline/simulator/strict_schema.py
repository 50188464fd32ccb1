"""The part of JSON Schema that strict mode takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.simulator.problems import RequestError

__all__ = ["check_strict"]

_REFUSED_KEYWORDS = (
    "allOf",
    "not",
    "dependentRequired",
    "dependentSchemas",
    "if",
    "then",
    "else",
    "patternProperties",
    "oneOf",
)


def check_strict(schema: Mapping[str, Any], owner: str, place: str) -> None:
    """Every object is closed and requires all its properties, or the request is HTTP 400."""
    if schema.get("type") != "object":
        raise _bad(owner, place, f"schema must be a JSON Schema of 'type: object', got 'type: {schema.get('type')}'.")
    for context, node in _nodes(schema, ()):
        reason = _objection(node)
        if reason:
            raise _bad(owner, place, f"In context=({', '.join(map(repr, context))}), {reason}")


def _bad(owner: str, place: str, reason: str) -> RequestError:
    return RequestError(f"Invalid schema for {owner}: {reason}", code="invalid_json_schema", param=place)


def _objection(node: Mapping[str, Any]) -> str | None:
    for keyword in _REFUSED_KEYWORDS:
        if keyword in node:
            return f"'{keyword}' is not permitted."
    beside = [keyword for keyword in node if keyword != "$ref"]
    if "$ref" in node and beside:
        return f"$ref cannot have keywords {{{', '.join(map(repr, beside))}}}."
    kind = node.get("type")
    if kind != "object" and not (isinstance(kind, list) and "object" in kind):
        return None
    if node.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and to be false."
    missing = [name for name in node.get("properties") or {} if name not in (node.get("required") or ())]
    if missing:
        return (
            "'required' is required to be supplied and to be an array including every key in properties. "
            f"Missing '{missing[0]}'."
        )
    return None


def _nodes(node: Any, context: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    if not isinstance(node, Mapping):
        return
    yield context, node
    for group in ("properties", "$defs", "definitions"):
        members = node.get(group)
        if isinstance(members, Mapping):
            for name, member in members.items():
                yield from _nodes(member, (*context, group, name))
    yield from _nodes(node.get("items"), (*context, "items"))
    for index, member in enumerate(node.get("anyOf") or ()):
        yield from _nodes(member, (*context, "anyOf", str(index)))
