"""The type of a JSON value, and the one type that holds two of them.

A type is a word (``integer``), ``("list", type)`` or ``("object", ((name, type), ...))``: hashable, so that a file
whose rows all look alike costs one set look-up per row. Nothing is widened at a loss: integers and fractions meet as
floats only while floats hold the integers exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

JsonType = str | tuple[str, Any]
Place = tuple[str, ...]
"""The names that lead to a value from its row."""

NULL = "null"
BOOL = "boolean"
STRING = "string"
INTEGER = "integer"
LARGE = "integer beyond 2**53"
FLOAT = "number with a fraction"
# orjson makes a float of 1e30, which is one, and of an integer of 31 digits, which is none: only the text can tell.
HUGE = "number beyond 2**63"
EMPTY_OBJECT: JsonType = ("object", ())

_SCALARS: Mapping[type, str] = {type(None): NULL, bool: BOOL, str: STRING}
_MERGED: Mapping[frozenset[JsonType], str] = {
    frozenset((INTEGER, LARGE)): LARGE,
    frozenset((INTEGER, FLOAT)): FLOAT,
    frozenset((INTEGER, HUGE)): HUGE,
    frozenset((FLOAT, HUGE)): HUGE,
}
_ARROW: Mapping[str, pa.DataType] = {
    NULL: pa.null(),
    BOOL: pa.bool_(),
    STRING: pa.string(),
    INTEGER: pa.int64(),
    LARGE: pa.int64(),
    FLOAT: pa.float64(),
    HUGE: pa.float64(),
}


class UntypableError(ValueError):
    """No single type of a column can hold the values without a loss."""


def json_type(value: object, place: Place = ()) -> JsonType:
    """Return the type of the value at ``place``. Raises ``UntypableError`` for unlike items or a long integer."""
    scalar = _SCALARS.get(type(value))
    if scalar is not None:
        return scalar
    if isinstance(value, dict):
        return ("object", tuple([(name, json_type(member, (*place, name))) for name, member in value.items()]))
    if isinstance(value, list):
        place = (*place, "[]")
        kind: JsonType = NULL
        for item in dict.fromkeys([json_type(item, place) for item in value]):
            kind = merged(kind, item, place)
        return ("list", kind)
    if isinstance(value, float):
        return FLOAT if -(2**63) < value < 2**63 else HUGE
    assert isinstance(value, int)
    if -(2**53) <= value <= 2**53:
        return INTEGER
    if -(2**63) <= value < 2**63:
        return LARGE
    raise UntypableError(f"{_dotted(place)!r} is an integer beyond 64 bits")


def merged(known: JsonType, found: JsonType, place: Place = ()) -> JsonType:
    """Return the type that holds both. Raises ``UntypableError`` with the column's name, or a place within it."""
    if found in (known, NULL):
        return known
    if known == NULL:
        return found
    if isinstance(known, tuple) and isinstance(found, tuple) and known[0] == found[0]:
        if known[0] == "list":
            return ("list", merged(known[1], found[1], (*place, "[]")))
        members = dict(known[1])
        for name, kind in found[1]:
            members[name] = merged(members.get(name, NULL), kind, (*place, name))
        return ("object", tuple(members.items()))
    both = _MERGED.get(frozenset((known, found)))
    if both is None:
        raise UntypableError(f"{_dotted(place)!r} is {_article(found)} here, and was {_article(known)} before")
    return both


def mentions(kind: JsonType, word: str) -> bool:
    """Say whether ``word`` is the type, or part of it."""
    if isinstance(kind, str):
        return kind == word
    parts = [kind[1]] if kind[0] == "list" else [member for _, member in kind[1]]
    return any(mentions(part, word) for part in parts)


def arrow_type(kind: JsonType) -> pa.DataType:
    """Return the Arrow type that holds the values."""
    if isinstance(kind, str):
        return _ARROW[kind]
    if kind[0] == "list":
        return pa.list_(arrow_type(kind[1]))
    if kind == EMPTY_OBJECT:
        return pa.map_(pa.string(), pa.null())  # Parquet has no struct without members
    return pa.struct([(name, arrow_type(member)) for name, member in kind[1]])


def arrow_schema(rows: JsonType) -> pa.Schema:
    """Return the schema of a table whose rows are such objects."""
    assert isinstance(rows, tuple)
    return pa.schema([(name, arrow_type(kind)) for name, kind in rows[1]])


def _dotted(place: Place) -> str:
    return ".".join(place).replace(".[]", "[]")


def _article(kind: JsonType) -> str:
    word = kind if isinstance(kind, str) else kind[0]
    return word if word == NULL else f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
