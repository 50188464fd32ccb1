"""What fills a schema is valid by that schema, plausible, and the same every time."""

from __future__ import annotations

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.simulator.filling import Filler
from pipeline.simulator.problems import RequestError

SENTENCE = "A 640x427 JPEG, mostly red (ref 0123abcd)."


def fill(schema, asked="", digest="0123abcd"):
    """One filled value."""
    return Filler(schema, SENTENCE, asked, digest).fill()


def bounded(kind, numbers):
    """Schemas of numbers with sensible bounds."""
    return st.builds(
        lambda low, span, strict: {
            "type": kind,
            **({"exclusiveMinimum": low} if strict else {"minimum": low}),
            "maximum": low + span,
        },
        numbers,
        st.integers(2, 50),
        st.booleans(),
    )


LEAVES = st.one_of(
    st.just({"type": "string"}),
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({"type": ["integer", "null"]}),
    st.builds(lambda value: {"const": value}, st.integers() | st.text(max_size=3)),
    st.builds(lambda values: {"enum": values}, st.lists(st.text(max_size=5), min_size=1, unique=True)),
    st.builds(
        lambda low, more: {"type": "string", "minLength": low, "maxLength": low + more}, *[st.integers(0, 90)] * 2
    ),
    st.builds(lambda step: {"type": "integer", "multipleOf": step, "minimum": 1}, st.integers(1, 20)),
    bounded("integer", st.integers(-50, 50)),
    bounded("number", st.integers(-50, 50) | st.floats(-5, 5)),
    st.sampled_from(["date", "date-time", "email", "uuid", "uri", "ipv4"]).map(
        lambda f: {"type": "string", "format": f}
    ),
    st.sampled_from([r"^\d{4}$", r"^[A-Z]{2}\d+$", r"^#[0-9a-f]{6}$", r"^[a-z]+$"]).map(
        lambda p: {"type": "string", "pattern": p}
    ),
)
NAMES = st.sampled_from(["caption", "score", "kind", "count", "confidence", "tags", "a b", "é"])


def closed(properties):
    """An object of exactly these properties."""
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.dictionaries(NAMES, inner, max_size=4).map(closed),
        st.builds(lambda items, low: {"type": "array", "items": items, "minItems": low}, inner, st.integers(0, 4)),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
        st.lists(inner, min_size=1, max_size=1).map(lambda members: {"allOf": members}),
    ),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None)
@given(SCHEMAS, st.text(max_size=8))
def test_what_is_filled_is_valid(schema, digest):
    """The schema's own validator has no objection, formats included, whatever chance decides."""
    value = fill(schema, digest=digest)

    jsonschema_rs.validator_for(schema, validate_formats=True).validate(value)
    assert value == fill(schema, digest=digest)


def test_a_schema_that_names_itself_comes_to_an_end():
    """Recursion stops at a null or an empty list."""
    node = closed({"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}})
    link = closed({"next": {"anyOf": [{"$ref": "#/$defs/link"}, {"type": "null"}]}})
    schema = {
        "$defs": {"node": node, "link": link},
        **closed({"a": {"$ref": "#/$defs/node"}, "b": {"$ref": "#/$defs/link"}}),
    }

    jsonschema_rs.validate(schema, fill(schema))


def test_a_schema_that_requires_itself_without_end_is_refused():
    """No finite value exists, so there is an error."""
    schema = closed({"next": {"$ref": "#"}})
    with pytest.raises(RequestError, match="without end"):
        fill(schema)


def test_names_decide_what_is_plausible():
    """Prose gets the sentence, other strings a word, shares lie between 0 and 1, unique members differ."""
    schema = closed(
        {
            "description": {"type": "string"},
            "city": {"type": "string"},
            "probability": {"type": "number"},
            "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 3},
            "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
        }
    )
    value = fill(schema)

    assert value["description"] == SENTENCE
    assert " " not in value["city"]
    assert 0 <= value["probability"] <= 1
    assert len(set(value["tags"])) == len(value["tags"]) == 3
    assert all(isinstance(count, int) for count in value["counts"].values())


def test_nullable_values_are_now_and_then_null():
    """About one in eight nullable values is null."""
    schema = {"type": ["string", "null"]}
    nulls = sum(fill(schema, digest=str(n)) is None for n in range(800))

    assert 50 < nulls < 150


def test_chance_spreads_over_an_enum():
    """Every value is drawn when the question names none."""
    schema = {"enum": ["a1", "b2", "c3"]}

    assert {fill(schema, digest=str(n)) for n in range(60)} == {"a1", "b2", "c3"}
    assert fill(schema, asked="it is b2!".casefold()) == "b2"
