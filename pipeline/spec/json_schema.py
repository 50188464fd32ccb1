"""Column types and JSON Schema: each way, and what of a schema strict mode takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from pipeline.spec.columns import Column, Enum, FieldType, Kind, ListOf, Scalar, Struct

Schema = Mapping[str, Any]
JSON_TEXT = Scalar("json", nullable=True)

_NAMES: dict[Kind, str] = {"string": "string", "int": "integer", "float": "number", "bool": "boolean"}
_SCALARS = {name: Scalar(kind) for kind, name in _NAMES.items()}
_COMBINERS = ("anyOf", "oneOf", "allOf", "if", "not", "patternProperties", "dependentSchemas")

_NAMES_A_TYPE = {"type", "anyOf", "$ref", "enum", "const"}
_SAYS = {"title", "description", "format", "pattern", "multipleOf"}
_BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems"}
_NESTS = {"properties", "required", "additionalProperties", "items", "$defs", "definitions"}
# Whether a schema qualifies is decided in `wire`, which knows the vendor's subset; this is only to name what stands outside of it.
STRICT_KEYWORDS = _NAMES_A_TYPE | _SAYS | _BOUNDS | _NESTS


def schema_of(type_: FieldType) -> dict[str, Any]:
    """Return the strict JSON Schema of a type: every property required, no other ones, null as one of the types."""
    match type_:
        case Scalar(kind):
            schema: dict[str, Any] = {"type": _NAMES[kind]}
        case Enum(values):
            schema = {"type": "string", "enum": [*values, None] if type_.nullable else [*values]}
        case ListOf(item):
            schema = {"type": "array", "items": schema_of(item)}
        case Struct(fields):
            schema = {
                "type": "object",
                "properties": {field.name: _described(field) for field in fields},
                "required": [field.name for field in fields],
                "additionalProperties": False,
            }
    if type_.nullable:
        schema["type"] = [schema["type"], "null"]
    return schema


def _described(field: Column) -> dict[str, Any]:
    schema = schema_of(field.type)
    return schema if field.description is None else {**schema, "description": field.description}


def columns_of(schema: Schema) -> tuple[Column, ...]:
    """Return the columns of a schema whose root is an object; none if the root is something else."""
    root, _ = _resolved(schema, schema, frozenset())
    if root.get("type") != "object" or not isinstance(root.get("properties"), Mapping):
        return ()
    return _members(root, schema, frozenset())


def _members(node: Schema, root: Schema, above: frozenset[str]) -> tuple[Column, ...]:
    required = node.get("required", ())
    columns = []
    for name, member in node["properties"].items():
        type_ = _type_of(member, root, above)
        columns.append(Column(name, type_ if name in required else replace(type_, nullable=True), _description(member)))
    return tuple(columns)


def _description(node: object) -> str | None:
    description = node.get("description") if isinstance(node, Mapping) else None
    return description if isinstance(description, str) else None


def _type_of(node: object, root: Schema, above: frozenset[str]) -> FieldType:
    """Return the narrowest type that holds whatever ``node`` allows; JSON text where that is no column type."""
    if not isinstance(node, Mapping):
        return JSON_TEXT
    node, above = _resolved(node, root, above)
    branches = node.get("anyOf", node.get("oneOf"))
    if branches is not None and "type" not in node:
        return _only_branch(branches, root, above)
    if "enum" in node or "const" in node:
        return _enum(node.get("enum", [node.get("const")]))
    kinds = _type_names(node)
    wanted = [kind for kind in kinds if kind != "null"]
    type_ = _plain_type(wanted, node, root, above)
    return replace(type_, nullable=True) if "null" in kinds else type_


def _plain_type(wanted: list[str], node: Schema, root: Schema, above: frozenset[str]) -> FieldType:
    if sorted(wanted) == ["integer", "number"]:
        return Scalar("float")
    if len(wanted) != 1:
        return JSON_TEXT
    if wanted[0] == "array" and "items" in node and "prefixItems" not in node:
        return ListOf(_type_of(node["items"], root, above))
    if wanted[0] == "object" and _closed(node):
        return Struct(_members(node, root, above))
    return _SCALARS.get(wanted[0], JSON_TEXT)


def _closed(node: Schema) -> bool:
    """Tell whether an object has named members and no others, as far as its author says so."""
    return (
        bool(node.get("properties"))
        and not node.get("additionalProperties")
        and not any(key in node for key in _COMBINERS)
    )


def _only_branch(branches: list[object], root: Schema, above: frozenset[str]) -> FieldType:
    others = [branch for branch in branches if not (isinstance(branch, Mapping) and branch.get("type") == "null")]
    if len(others) != 1:
        return JSON_TEXT
    type_ = _type_of(others[0], root, above)
    return type_ if len(others) == len(branches) else replace(type_, nullable=True)


def _enum(values: list[object]) -> FieldType:
    some = [value for value in values if value is not None]
    nullable = len(some) < len(values)
    if some and all(isinstance(value, str) for value in some):
        return Enum(tuple(str(value) for value in some), nullable)
    kinds = {type(value) for value in some}
    for kinds_held, kind in _HOLDS:
        if kinds and kinds <= kinds_held:
            return Scalar(kind, nullable)
    return JSON_TEXT


_HOLDS: tuple[tuple[set[type], Kind], ...] = (({bool}, "bool"), ({int}, "int"), ({int, float}, "float"))


def _resolved(node: Schema, root: Schema, above: frozenset[str]) -> tuple[Schema, frozenset[str]]:
    """Follow ``$ref`` inside the document. A type that contains itself has no end as columns: it becomes an empty schema, JSON text."""
    while isinstance(reference := node.get("$ref"), str):
        found = _pointed(root, reference)
        if reference in above or not isinstance(found, Mapping):
            return {}, above
        node, above = found, above | {reference}
    return node, above


def _pointed(root: Schema, reference: str) -> object:
    found: object = root
    for part in reference.removeprefix("#").split("/")[1:]:
        found = found.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(found, Mapping) else None
    return found


def strict_obstacles(schema: Schema) -> list[str]:
    """Say why strict mode does not take a schema that ``strict_qualifies`` turned down: one reason or more."""
    found = [] if schema.get("type") == "object" and "anyOf" not in schema else ["the root is not of type object"]
    for path, node in nodes(schema):
        where = "/".join(path) or "the root"
        found.extend(f"{where} uses {keyword}" for keyword in node if keyword not in STRICT_KEYWORDS)
        if not node.keys() & _NAMES_A_TYPE:
            found.append(f"{where} has no type")
        if "$ref" in node:
            found.extend(f"{where} has {keyword} beside $ref" for keyword in node if keyword != "$ref")
        if "object" in _type_names(node) or "properties" in node:
            found.extend(f"{where} {reason}" for reason in _openings(node))
    return found or ["it is nested more deeply than strict mode takes"]


def _openings(node: Schema) -> Iterator[str]:
    if node.get("additionalProperties") is not False:
        yield "lacks additionalProperties: false"
    properties, required = node.get("properties", {}), node.get("required", ())
    yield from (f"does not require {name}" for name in properties if name not in required)
    yield from (f"requires {name}, which is none of its properties" for name in required if name not in properties)


def _type_names(node: Schema) -> list[str]:
    names = node.get("type", [])
    return [names] if isinstance(names, str) else list(names)


def nodes(node: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """Walk over a schema and every schema in it, each with its path."""
    if not isinstance(node, Mapping):
        return
    yield path, node
    for group in ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas"):
        members = node.get(group)
        for name, member in members.items() if isinstance(members, Mapping) else ():
            yield from nodes(member, (*path, group, name))
    for key in ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"):
        yield from nodes(node.get(key), (*path, key))
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        branches = node.get(key)
        for index, branch in enumerate(branches if isinstance(branches, list) else ()):
            yield from nodes(branch, (*path, key, str(index)))
