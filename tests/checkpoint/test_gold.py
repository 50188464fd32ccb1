"""Answers are held against the known ones as values of the field's type, however the input writes them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checkpoint.gold import Tally, plain, spelled
from pipeline.spec.columns import Enum, FieldType, Scalar

FLOAT, INT, BOOL, TEXT, JSON = (Scalar(kind) for kind in ("float", "int", "bool", "string", "json"))


@pytest.mark.parametrize(
    ("known", "answer", "type_"),
    [
        ("0.50", 0.5, FLOAT),
        ("2.0", 2.0, FLOAT),
        ("1e3", 1000.0, FLOAT),
        (Decimal("0.50"), 0.5, FLOAT),
        ("0.3", 0.1 + 0.2, FLOAT),
        ("2.0", 2, INT),
        ("9007199254740993", 9007199254740993, INT),
        (10**400, 10**400, INT),
        ("TRUE", True, BOOL),
        ("False", False, BOOL),
        ("0", False, BOOL),
        (1, True, BOOL),
        (1.0, True, BOOL),
        ("No", False, BOOL),
        (" yes ", "yes", TEXT),
        (1, "1", TEXT),
        ('{"b": 1, "a": [2]}', '{"a":[2],"b":1}', JSON),
        (["a", "b"], '["a","b"]', JSON),
        ("a", "a", Enum(("a", "b"))),
    ],
)
def test_a_right_answer_is_right_however_the_input_writes_it(known: object, answer: object, type_: FieldType) -> None:
    """The cells of a CSV file are texts; what they say counts."""
    tally = Tally("field", "gold", type_)
    tally.count(0, known, answer)
    assert (tally.right, tally.rows) == (1, 1)


@pytest.mark.parametrize(
    ("known", "answer", "type_"),
    [
        ("0.51", 0.5, FLOAT),
        ("9007199254740993", 9007199254740992, INT),
        ("1e999999999", 1.0, FLOAT),
        ("many", 1, INT),
        ("TRUE", False, BOOL),
        ("maybe", True, BOOL),
        ("2.0", "2", TEXT),
        ("[1, 2", "[1,2]", JSON),
    ],
)
def test_a_wrong_answer_stays_wrong(known: object, answer: object, type_: FieldType) -> None:
    """What is no value of the field's type is its own, and is never an error."""
    tally = Tally("field", "gold", type_)
    tally.count(0, known, answer)
    assert (tally.right, tally.rows, tally.wrong) == (0, 1, [0])


@pytest.mark.parametrize("known", [None, "", " ", float("nan")])
def test_what_is_missing_is_no_known_answer(known: object) -> None:
    """Rows without a known answer count nowhere."""
    tally = Tally("field", "gold", FLOAT)
    tally.count(0, known, 1.0)
    assert (tally.rows, tally.unanswered) == (0, 0)


def test_objects_are_the_same_whatever_the_order_of_their_keys() -> None:
    """Two runs may write the fields of an object in another order."""
    assert plain({"a": 1, "b": [{"c": 2, "d": 3}]}) == plain({"b": [{"d": 3, "c": 2}], "a": 1})


@given(st.tuples(st.floats() | st.integers(), st.just(FLOAT)) | st.tuples(st.integers(), st.just(INT)))
def test_a_number_is_spelled_as_its_text_is(given_: tuple[float, FieldType]) -> None:
    """A CSV file holds the same table as text: the two tell the same."""
    value, type_ = given_
    assert spelled(str(value), type_) == spelled(value, type_)
