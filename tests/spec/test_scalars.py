"""Unquoted values mean what YAML 1.2 says, not what YAML 1.1 said."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.spec.scalars import is_text, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("0", 0),
        ("-12", -12),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
    ],
)
def test_the_core_schema_is_resolved(text: str, value: object) -> None:
    """Each form of the core schema has its value, of the right type."""
    resolved = resolve(text)
    assert resolved == value
    assert type(resolved) is type(value)


def test_nan_is_a_number() -> None:
    """`.nan` is the float."""
    nan = resolve(".nan")
    assert isinstance(nan, float)
    assert math.isnan(nan)


@pytest.mark.parametrize(
    "text",
    [
        "no",
        "yes",
        "on",
        "off",
        "y",
        "12:30",
        "1:1:1",
        "2024-01-31",
        "1_000",
        "0b11",
        "nULL",
        "tRUE",
        "+.nan",
        "0o8",
        "1e",
        "<<",
        "=",
    ],
)
def test_surprises_of_yaml_1_1_are_text(text: str) -> None:
    """What only YAML 1.1 takes for something else stays as it is written."""
    assert resolve(text) == text


def test_a_number_of_thousands_of_digits_is_text() -> None:
    """Python can't write such a number back, and nobody means one."""
    assert resolve("9" * 5000) == "9" * 5000


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_reads_back(number: float) -> None:
    """What Python writes for a number is that number."""
    assert resolve(repr(number)) == number


@pytest.mark.parametrize(("text", "expected"), [("Zoë 🦉\n\t\x1f", True), ("a\0b", False), ("Zo\udce9", False)])
def test_text_has_no_nul_and_no_undecoded_bytes(text: str, expected: bool) -> None:
    """A NUL and a byte that was no UTF-8 can't be written everywhere; other control characters can."""
    assert is_text(text) is expected
