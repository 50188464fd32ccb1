"""Reading answers into typed columns."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.spec.columns import Column, Enum, FieldType, ListOf, Scalar, Struct
from pipeline.spec.fields import Fields, FieldsError
from pipeline.spec.json_schema import schema_of

FIELDS = Fields.parse({"n": "int", "x": "float?", "k": "enum[a, b]", "s": {"t": "string", "l": ["bool"]}})
GOOD: dict[str, Any] = {"n": 1, "x": 0.5, "k": "a", "s": {"t": "é", "l": [True]}}


def test_an_answer_that_fits_becomes_its_columns() -> None:
    """Values come in the order of the columns, each of its column's Python type."""
    assert FIELDS.read(json.dumps(dict(reversed(GOOD.items())))) == GOOD
    assert list(FIELDS.read(json.dumps(dict(reversed(GOOD.items()))))) == ["n", "x", "k", "s"]


@pytest.mark.parametrize("fence", ["```json\n{}\n```", "```\n{}```", "\n ```JSON\r\n{}\r\n```  ", "\ufeff{}", " {}\n"])
def test_a_code_fence_around_the_answer_is_taken_off(fence: str) -> None:
    """Models without structured output like to add one; a byte order mark and blanks go too."""
    assert FIELDS.read(fence.replace("{}", json.dumps(GOOD))) == GOOD


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"n": True}, "n: expected a whole number of 64 bits, got true"),
        ({"n": "1"}, "n: expected a whole number of 64 bits, got the text '1'"),
        ({"n": 1.5}, "n: expected a whole number of 64 bits, got the number 1.5"),
        ({"n": 2**63}, "n: expected a whole number of 64 bits, got the number 9223372036854775808"),
        ({"n": -(2**63) - 1}, "n: expected a whole number of 64 bits, got the number -9.223372036854776e+18"),
        ({"n": 2.0**60}, "n: expected a whole number of 64 bits, got the number 1.152921504606847e+18"),
        ({"n": 10**30}, "n: expected a whole number of 64 bits, got the number 1e+30"),
        ({"n": None}, "n: expected a whole number of 64 bits, got null"),
        ({"x": "high"}, "x: expected a number or null, got the text 'high'"),
        ({"x": False}, "x: expected a number or null, got false"),
        ({"k": "c"}, "k: expected one of a, b, got the text 'c'"),
        ({"k": ["a"]}, "k: expected one of a, b, got a list"),
        ({"s": {"t": 5, "l": []}}, "s.t: expected text, got the number 5"),
        ({"s": {"l": []}}, "s.t: expected text, but it is missing"),
        ({"s": {"t": "", "l": [True, 1]}}, "s.l[1]: expected true or false, got the number 1"),
        ({"s": {"t": "", "l": {}}}, "s.l: expected a list, got an object"),
        ({"s": []}, "s: expected an object, got a list"),
        ({"z": 1}, "Additional properties are not allowed ('z' was unexpected)"),
    ],
)
def test_an_answer_that_does_not_fit_says_where_and_why(change: dict[str, Any], reason: str) -> None:
    """The reason names the field, what was expected and what came."""
    with pytest.raises(FieldsError) as caught:
        FIELDS.read(json.dumps({**GOOD, **change}))
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("", "the answer is empty"),
        (" \n", "the answer is empty"),
        ("The photo shows a house.", "the answer is not JSON: "),
        ('Sure! {"n": 1}', "the answer is not JSON: "),
        ('{"n": NaN}', "the answer is not JSON: "),
        ('{"x": 1e999}', "the answer is not JSON: "),
        ('{"k": "\\ud800"}', "the answer is not JSON: "),
        ("\ud800", "the answer is not JSON: "),
        ("[" * 5000, "the answer is not JSON: "),
        ("[]", "expected an object, got a list"),
        ("null", "expected an object, got null"),
    ],
)
def test_an_answer_that_is_no_json_object_is_told(answer: str, reason: str) -> None:
    """Prose, NaN, numbers beyond a double, half characters and bottomless nesting are not JSON here."""
    with pytest.raises(FieldsError) as caught:
        FIELDS.read(answer)
    assert str(caught.value).startswith(reason)


def test_a_whole_number_may_be_written_with_a_fraction() -> None:
    """`3.0` is a whole number to JSON Schema, and becomes an int; a whole number becomes a float where one is asked."""
    row = FIELDS.read(json.dumps({**GOOD, "n": 3.0, "x": 2}))
    assert (type(row["n"]), type(row["x"])) == (int, float)


def test_the_largest_64_bit_numbers_fit() -> None:
    """The bounds are those of a signed 64-bit integer."""
    for number in (2**63 - 1, -(2**63)):
        assert FIELDS.read(json.dumps({**GOOD, "n": number}))["n"] == number


def test_a_reason_is_never_longer_than_300_characters() -> None:
    """A model's essay in place of a number stays out of the error column."""
    fields = Fields.parse({"a" * 200: "enum[" + ",".join(f"value {n}" for n in range(100)) + "]"})
    with pytest.raises(FieldsError) as caught:
        fields.read(json.dumps({"a" * 200: "x" * 1000}))
    assert len(str(caught.value)) <= 300
    pattern = Fields.parse({"type": "object", "properties": {"a": {"type": "string", "pattern": "^y$"}}})
    with pytest.raises(FieldsError) as caught:
        pattern.read(json.dumps({"a": "x" * 1000}))
    assert len(str(caught.value)) == 300


RAW = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "A label!",
    "type": "object",
    "properties": {
        "label": {"type": "string", "maxLength": 5},
        "extra": {},
        "year": {"type": "integer", "minimum": 1900},
    },
    "required": ["label"],
}


def test_a_raw_schema_is_sent_as_it_is_and_says_why_it_is_not_strict() -> None:
    """What strict mode does not take goes with `strict: false` and a warning."""
    fields = Fields.parse(RAW)
    sent = {key: value for key, value in RAW.items() if key != "$schema"}
    assert fields.text_format() == {"type": "json_schema", "name": "A_label", "schema": sent, "strict": False}
    assert fields.warnings == (
        "output.fields is sent with strict: false, so answers may not fit it: the root lacks additionalProperties: false, "
        "the root does not require extra, the root does not require year and 2 more",
    )
    assert [(column.name, column.type) for column in fields.columns] == [
        ("label", Scalar("string")),
        ("extra", Scalar("json", nullable=True)),
        ("year", Scalar("int", nullable=True)),
    ]


def test_a_raw_schema_that_qualifies_is_strict() -> None:
    """The same rules as for the short form, without a warning."""
    fields = Fields.parse(schema_of(Struct((Column("a", Scalar("int")),))))
    assert (fields.strict, fields.warnings) == (True, ())
    assert fields.text_format()["name"] == "fields"


@pytest.mark.parametrize(
    ("answer", "row"),
    [
        ({"label": "a"}, {"label": "a", "extra": None, "year": None}),
        (
            {"label": "a", "extra": {"b": [1, None]}, "year": 2000},
            {"label": "a", "extra": '{"b":[1,null]}', "year": 2000},
        ),
        ({"label": "a", "more": 1}, {"label": "a", "extra": None, "year": None}),
    ],
)
def test_answers_to_a_raw_schema_become_its_columns(answer: object, row: object) -> None:
    """What is absent is null, what has no type is JSON text, what no column asks for is dropped."""
    assert Fields.parse(RAW).read(json.dumps(answer)) == row


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"label": "too long"}, 'label: "too long" is longer than 5 characters'),
        ({"label": "a", "year": 12}, "year: 12 is less than the minimum of 1900"),
        (
            {"label": "a", "extra": json.loads("[" * 300 + "]" * 300)},
            "extra: expected a value nested less deeply or null, got a list",
        ),
    ],
)
def test_the_rules_of_a_raw_schema_are_held(answer: object, reason: str) -> None:
    """A raw schema may ask for more than types."""
    with pytest.raises(FieldsError) as caught:
        Fields.parse(RAW).read(json.dumps(answer))
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("int", "must be a map of column names to types"),
        (["int"], "must be a map of column names to types"),
        ({}, "needs at least one field"),
        ({"$schema": "https://example.org/unknown"}, "is not a valid JSON Schema: Unknown meta-schema"),
        ({"type": "object", "properties": {"a": {"type": "words"}}}, "properties.a.type: is not a valid JSON Schema"),
        ({"type": "object", "properties": {"a": {"pattern": "("}}}, "properties.a.pattern: is not a valid JSON Schema"),
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}},
            "is not a valid JSON Schema: Pointer '/$defs/b' does not exist",
        ),
        (
            {"type": "object", "properties": {"a": {"$ref": "http://localhost:9/x"}}},
            "properties.a.$ref: points outside the schema",
        ),
        (
            {"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}},
            "properties.a.$ref: points outside the schema",
        ),
        ({"type": "object", "properties": {}}, "the schema's root must be an object with properties"),
        (
            {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "array"},
            "the schema's root must be an object",
        ),
    ],
)
def test_what_is_no_description_of_columns_is_refused(value: object, message: str) -> None:
    """A wrong schema is found before anything is sent, and nothing outside it is fetched."""
    with pytest.raises(FieldsError) as caught:
        Fields.parse(value)
    assert message in str(caught.value)


def test_fields_compare_and_hash_by_what_they_say() -> None:
    """Equal descriptions are equal, so a job with fields can be compared and kept in a set."""
    one, other = Fields.parse({"a": "int"}), Fields.parse({"a": "int"})
    assert one == other
    assert len({one, other}) == 1
    assert one != Fields.parse({"a": "int?"})


def _columns(types: dict[str, FieldType]) -> tuple[Column, ...]:
    return tuple(Column(name, type_) for name, type_ in types.items())


NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=5)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
TYPES: st.SearchStrategy[FieldType] = st.recursive(
    st.one_of(
        st.builds(Scalar, st.sampled_from(["string", "int", "float", "bool"]), st.booleans()),
        st.builds(Enum, st.lists(WORDS, min_size=1, max_size=3, unique=True).map(tuple), st.booleans()),
    ),
    lambda inner: st.one_of(
        st.builds(ListOf, inner, st.booleans()),
        st.builds(Struct, st.dictionaries(NAMES, inner, min_size=1, max_size=3).map(_columns), st.booleans()),
    ),
    max_leaves=6,
)


def _value(type_: FieldType) -> st.SearchStrategy[Any]:
    scalars: dict[str, st.SearchStrategy[Any]] = {
        "string": WORDS,
        "int": st.integers(-(2**63), 2**63 - 1),
        "float": st.floats(allow_nan=False, allow_infinity=False),
        "bool": st.booleans(),
    }
    match type_:
        case Scalar(kind):
            values = scalars[kind]
        case Enum(words):
            values = st.sampled_from(words)
        case ListOf(item):
            values = st.lists(_value(item), max_size=3)
        case Struct(fields):
            values = st.fixed_dictionaries({field.name: _value(field.type) for field in fields})
    return st.none() | values if type_.nullable else values


@given(st.dictionaries(NAMES, TYPES, min_size=1, max_size=4), st.data())
def test_every_value_of_a_schema_reads_back(types: dict[str, FieldType], data: st.DataObject) -> None:
    """Whatever fits the columns is read as it was, through the schema that is sent."""
    struct = Struct(_columns(types))
    fields = Fields.parse(schema_of(struct))
    assert fields.columns == struct.fields
    assert fields.strict
    value = data.draw(_value(struct))
    assert fields.read(json.dumps(value)) == value


ANSWERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner),
    max_leaves=8,
)


@given(ANSWERS)
def test_any_answer_is_a_row_or_a_fields_error(answer: object) -> None:
    """No JSON whatever makes the reader stumble, and no row holds a number that is none."""
    for text in (json.dumps(answer), json.dumps({**GOOD, "x": answer}), str(answer)):
        with contextlib.suppress(FieldsError):
            number = FIELDS.read(text)["x"]
            assert number is None or (isinstance(number, float) and math.isfinite(number))
