"""The short way to write typed columns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.spec.columns import Column, Enum, FieldsError, FieldType, ListOf, Scalar, Struct
from pipeline.spec.json_schema import schema_of
from pipeline.spec.shorthand import DEEPEST, read_struct
from pipeline.wire.encode import strict_qualifies

TEXT = Scalar("string")


@pytest.mark.parametrize(
    ("written", "type_"),
    [
        ("string", TEXT),
        ("int", Scalar("int")),
        ("float?", Scalar("float", nullable=True)),
        (" bool ? ", Scalar("bool", nullable=True)),
        ("enum[a]", Enum(("a",))),
        ("enum[a, b]?", Enum(("a", "b"), nullable=True)),
        ("enum[Sci-Fi, two words, \"c, d\", 'e]', 1]", Enum(("Sci-Fi", "two words", "c, d", "e]", "1"))),
        ("list[string]", ListOf(TEXT)),
        ("list[ list[int?] ? ] ?", ListOf(ListOf(Scalar("int", nullable=True), nullable=True), nullable=True)),
        ("list[enum[a, b]]", ListOf(Enum(("a", "b")))),
        (["string"], ListOf(TEXT)),
        ([{"a": "int"}], ListOf(Struct((Column("a", Scalar("int")),)))),
        (
            {"a": "int", "b": {"c": "string"}},
            Struct((Column("a", Scalar("int")), Column("b", Struct((Column("c", TEXT),))))),
        ),
        ({"type": "string"}, Struct((Column("type", TEXT),))),
        ({"type": "string", "description": "string"}, Struct((Column("type", TEXT), Column("description", TEXT)))),
        (
            {"type": "string", "description": "int?", "x": "int"},
            Struct(
                (Column("type", TEXT), Column("description", Scalar("int", nullable=True)), Column("x", Scalar("int")))
            ),
        ),
    ],
)
def test_a_type_is_read_as_it_is_written(written: Any, type_: FieldType) -> None:
    """Scalars, enums, lists, nested maps and `?` after any of them."""
    assert read_struct({"x": written}) == Struct((Column("x", type_),))


@pytest.mark.parametrize("type_", ["float?", {"a": "int"}, ["string"]])
def test_type_and_description_are_one_field_with_words_for_the_model(type_: object) -> None:
    """A map of exactly these two describes one field, unless the description is a type itself."""
    (column,) = read_struct({"x": {"type": type_, "description": "The colour of the roof."}}).fields
    assert column.description == "The colour of the roof."
    assert column.type == read_struct({"x": type_}).fields[0].type


@pytest.mark.parametrize(
    ("written", "message", "suggestion"),
    [
        ("text", "'text' is not a type", "string"),
        ("integer", "'integer' is not a type", "int"),
        ("Boolean", "'Boolean' is not a type", "bool"),
        ("list", "'list' is not a type", "list[string]"),
        ("enum", "'enum' is not a type", "enum[a, b]"),
        ("", "'' is not a type", None),
        ("?", "'?' is not a type", None),
        ("int int", "'int int' is not a type", None),
        ("int]", "'int]' has ']' behind the type", None),
        ("int??", "'int??' has '?' behind the type", None),
        ("list[int", "'list[int' misses a ]", None),
        ("list[]", "'list[]' is not a type", None),
        ("enum[]", "'enum[]' misses a value", None),
        ("enum[a,]", "'enum[a,]' misses a value", None),
        ("enum[a b?]", "'enum[a b?]' misses a ]", None),
        ("enum[a, a]", "'enum[a, a]' names 'a' twice", None),
        ("enum['a]", "misses a value", None),
        ({}, "needs at least one field", None),
        (None, "is not a type", None),
        (5, "is not a type", None),
        ([], "is not a type", None),
        (["int", "int"], "is not a type", None),
        ("list[" * 20 + "int" + "]" * 20, "lies more than 9 levels deep", None),
    ],
)
def test_what_is_no_type_is_told_with_what_was_meant(written: object, message: str, suggestion: str | None) -> None:
    """The mistake quotes what was written, and guesses at names from other languages."""
    with pytest.raises(FieldsError) as caught:
        read_struct({"x": written})
    (complaint,) = caught.value.complaints
    assert complaint.path[0] == "x"
    assert message in complaint.message
    if suggestion is not None:
        assert complaint.suggestion == suggestion


def test_every_mistake_is_told_with_its_path() -> None:
    """One wrong field does not hide the next."""
    with pytest.raises(FieldsError) as caught:
        read_struct({"a": "itn", "b": {"c": ["x"], "d": "int"}, "e": {"type": "y", "description": "Why?"}})
    assert [complaint.path for complaint in caught.value.complaints] == [("a",), ("b", "c", 0), ("e", "type")]


@pytest.mark.parametrize("nest", [lambda type_: {"a": type_}, lambda type_: [type_], lambda type_: f"list[{type_}]"])
def test_the_deepest_fields_are_the_deepest_that_strict_mode_takes(nest: Callable[[Any], Any]) -> None:
    """One level more is a mistake, so the short form is always strict."""
    type_: Any = "int"
    for _ in range(DEEPEST - 1):
        type_ = nest(type_)
    assert strict_qualifies(schema_of(read_struct({"x": type_})))
    with pytest.raises(FieldsError, match="lies more than 9 levels deep"):
        read_struct({"x": nest(type_)})


@pytest.mark.parametrize("name", ["", " a", "a\n", "a\x1b", 5, None])
def test_a_name_is_printable_text(name: object) -> None:
    """A column's name can be shown and written anywhere."""
    with pytest.raises(FieldsError, match="is no name for a field"):
        read_struct({name: "int"})


@given(st.text(alphabet="enumlist[]?, \"'ab", max_size=30) | st.text(max_size=30))
def test_any_text_is_a_type_or_a_fields_error(text: str) -> None:
    """No text whatever makes the reader stumble."""
    with contextlib.suppress(FieldsError):
        assert len(read_struct({"x": text, "y": {"type": "int", "description": text}}).fields) == 2
