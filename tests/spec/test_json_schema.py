"""Column types to JSON Schema and back."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.spec.columns import Column, Enum, FieldType, ListOf, Scalar, Struct
from pipeline.spec.json_schema import JSON_TEXT, STRICT_KEYWORDS, columns_of, schema_of, strict_obstacles
from pipeline.spec.shorthand import read_struct
from pipeline.wire.encode import strict_qualifies

STRUCT = read_struct(
    {
        "caption": {"type": "string", "description": "One sentence."},
        "score": "float?",
        "kind": "enum[a, b]?",
        "tags": "list[int?]",
        "sharp": "bool",
        "maker": {"name": "string"},
        "parts": [{"n": "int"}],
    }
)


def test_short_forms_become_a_strict_schema() -> None:
    """Every property is required, no other is allowed, and null is one of the types."""
    assert schema_of(STRUCT) == {
        "type": "object",
        "properties": {
            "caption": {"type": "string", "description": "One sentence."},
            "score": {"type": ["number", "null"]},
            "kind": {"type": ["string", "null"], "enum": ["a", "b", None]},
            "tags": {"type": "array", "items": {"type": ["integer", "null"]}},
            "sharp": {"type": "boolean"},
            "maker": {
                "type": "object",
                "properties": {"name": {"type": "string"}},
                "required": ["name"],
                "additionalProperties": False,
            },
            "parts": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {"n": {"type": "integer"}},
                    "required": ["n"],
                    "additionalProperties": False,
                },
            },
        },
        "required": ["caption", "score", "kind", "tags", "sharp", "maker", "parts"],
        "additionalProperties": False,
    }


def test_a_schema_of_ours_reads_back_as_the_same_columns() -> None:
    """What the short form means is what a raw schema of the same shape means, and strict mode takes it."""
    assert columns_of(schema_of(STRUCT)) == STRUCT.fields
    assert strict_qualifies(schema_of(STRUCT))


@pytest.mark.parametrize(
    ("node", "type_"),
    [
        ({"type": "string", "minLength": 3}, Scalar("string")),
        ({"type": ["null", "integer"]}, Scalar("int", nullable=True)),
        ({"type": ["integer", "number"]}, Scalar("float")),
        ({"type": ["string", "integer"]}, JSON_TEXT),
        ({"type": "null"}, JSON_TEXT),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, Scalar("string", nullable=True)),
        ({"oneOf": [{"type": "string"}]}, Scalar("string")),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, JSON_TEXT),
        ({"enum": ["a", "b"]}, Enum(("a", "b"))),
        ({"enum": ["a", None]}, Enum(("a",), nullable=True)),
        ({"const": "a"}, Enum(("a",))),
        ({"enum": [1, 2]}, Scalar("int")),
        ({"enum": [1, 2.5]}, Scalar("float")),
        ({"enum": [True]}, Scalar("bool")),
        ({"enum": [True, 1]}, JSON_TEXT),
        ({"enum": [None]}, JSON_TEXT),
        ({"enum": ["a", 1]}, JSON_TEXT),
        ({"type": "array", "items": {"type": "boolean"}}, ListOf(Scalar("bool"))),
        ({"type": "array"}, JSON_TEXT),
        ({"type": "array", "items": {}, "prefixItems": [{}]}, JSON_TEXT),
        ({"type": "object"}, JSON_TEXT),
        ({"type": "object", "additionalProperties": {"type": "string"}}, JSON_TEXT),
        (
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            Struct((Column("a", Scalar("int")),)),
        ),
        (
            {"type": "object", "properties": {"a": {"type": "integer"}}},
            Struct((Column("a", Scalar("int", nullable=True)),)),
        ),
        ({"type": "object", "properties": {"a": {}}, "allOf": [{}]}, JSON_TEXT),
        ({"$ref": "#/$defs/word"}, Scalar("string")),
        ({"$ref": "#/$defs/a~1b"}, Scalar("int")),
        ({"$ref": "#/$defs/list"}, ListOf(JSON_TEXT)),
        ({"$ref": "#/$defs/loop"}, JSON_TEXT),
        (True, JSON_TEXT),
        ({}, JSON_TEXT),
    ],
)
def test_a_raw_schema_has_the_narrowest_type_that_holds_it(node: Any, type_: FieldType) -> None:
    """What has no column type becomes JSON text; a type that contains itself ends as JSON text."""
    definitions = {
        "word": {"type": "string"},
        "a/b": {"type": "integer"},
        "list": {"type": "array", "items": {"$ref": "#/$defs/list"}},
        "loop": {"$ref": "#/$defs/loop"},
    }
    schema = {"type": "object", "properties": {"x": node}, "required": ["x"], "$defs": definitions}
    assert columns_of(schema) == (Column("x", type_),)


def test_descriptions_of_a_raw_schema_are_kept() -> None:
    """A property's description is its column's."""
    schema = {"type": "object", "properties": {"x": {"type": "string", "description": "Why."}}, "required": ["x"]}
    assert columns_of(schema) == (Column("x", Scalar("string"), "Why."),)


@pytest.mark.parametrize("schema", [{"type": "array"}, {"type": "object"}, {"anyOf": []}, {"$ref": "#/$defs/none"}])
def test_a_schema_without_properties_has_no_columns(schema: dict[str, Any]) -> None:
    """Only an object's properties can become columns."""
    assert columns_of(schema) == ()


CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
DEEP: dict[str, Any] = {"type": "string"}
for _ in range(12):
    DEEP = {"type": "array", "items": DEEP}


@pytest.mark.parametrize(
    ("change", "obstacle"),
    [
        ({"additionalProperties": True}, "the root lacks additionalProperties: false"),
        ({"required": []}, "the root does not require a"),
        ({"required": ["a", "b"]}, "the root requires b, which is none of its properties"),
        ({"allOf": []}, "the root uses allOf"),
        ({"type": "array"}, "the root is not of type object"),
        ({"properties": {"a": {"type": "string", "minLength": 1}}}, "properties/a uses minLength"),
        ({"properties": {"a": {}}}, "properties/a has no type"),
        (
            {"properties": {"a": {"type": "array", "items": {"type": ["object", "null"]}}}},
            "properties/a/items lacks additionalProperties: false",
        ),
        ({"properties": {"a": {"anyOf": [{"type": "string", "default": 1}]}}}, "properties/a/anyOf/0 uses default"),
        ({"$defs": {"b": {"type": "string", "oneOf": []}}}, "$defs/b uses oneOf"),
        ({"properties": {"a": {"$ref": "#/$defs/b", "description": "B"}}}, "properties/a has description beside $ref"),
        ({"properties": {"a": DEEP}}, "it is nested more deeply than strict mode takes"),
    ],
)
def test_what_strict_mode_does_not_take_is_named(change: dict[str, Any], obstacle: str) -> None:
    """Each obstacle says where it stands."""
    assert strict_qualifies(CLOSED)
    assert not strict_qualifies({**CLOSED, **change})
    assert strict_obstacles({**CLOSED, **change}) == [obstacle]


@pytest.mark.parametrize(
    "keyword", sorted(STRICT_KEYWORDS - {"properties", "required", "additionalProperties", "$ref"})
)
def test_no_keyword_is_named_that_strict_mode_takes(keyword: str) -> None:
    """The list here is the one that decides."""
    values: dict[str, Any] = {
        "items": {"type": "string"},
        "anyOf": [{"type": "string"}],
        "$defs": {},
        "definitions": {},
    }
    node = {"type": "string", keyword: values.get(keyword, "string")}
    assert strict_qualifies({**CLOSED, "properties": {"a": node}})
