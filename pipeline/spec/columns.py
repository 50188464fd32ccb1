"""What the columns of an answer hold: a small tree of types, and how a JSON value becomes a cell of one.

Others derive Arrow types from this tree; nothing here knows Arrow. A ``json`` scalar is JSON text, for values that have no better type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from pipeline.spec.paths import Path, dotted
from pipeline.wire.shape import Complaint

Kind = Literal["string", "int", "float", "bool", "json"]
LARGEST_INT = 2**63 - 1
_EXACT = 2**53
"""Up to here a double is the whole number that was written; the parser makes doubles of digits beyond 64 bits."""

LONGEST_REASON = 300
"""Characters of an error's message, at most."""
_LONGEST_QUOTE = 60


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value. An ``int`` has 64 bits, a ``float`` is a double, ``json`` is the value's JSON text."""

    kind: Kind
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Enum:
    """One of a few texts."""

    values: tuple[str, ...]
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class ListOf:
    """Any number of items of one type."""

    item: FieldType
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Struct:
    """Named values, in this order."""

    fields: tuple[Column, ...]
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A named value. ``description`` tells the model what it means."""

    name: str
    type: FieldType
    description: str | None = None


FieldType = Scalar | Enum | ListOf | Struct


class FieldsError(ValueError):
    """``output.fields`` is wrong, or an answer does not fit it. ``complaints`` holds each mistake with its path inside the fields."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        self.complaints = tuple(complaints)
        super().__init__("; ".join(_sentence(complaint) for complaint in complaints))


def misfit(path: Path, message: str, suggestion: str | None = None) -> FieldsError:
    """Return the error for one mistake at ``path``."""
    return FieldsError([Complaint(path, message, suggestion)])


def fit(type_: FieldType, value: object, path: Path = ()) -> object:
    """Return the JSON value as a cell of ``type_``; raise ``FieldsError`` where it is something else.

    A number without a fraction fits ``int`` however it is written (``3.0``), as JSON Schema has it, unless it is too large to be exact;
    ``true`` is no number.
    """
    return _fit(type_, value, (path, None))


_Trail = tuple[Any, str | int | None]
"""A path as its beginning and its last step, which costs less to go along; only a complaint needs it whole."""


def _fit(type_: FieldType, value: object, trail: _Trail) -> object:
    if value is None and type_.nullable:
        return None
    if isinstance(type_, Scalar):
        if (cell := _scalar(type_.kind, value)) is not None:
            return cell
    elif isinstance(type_, Enum):
        if isinstance(value, str) and value in type_.values:
            return value
    elif isinstance(type_, ListOf):
        if isinstance(value, list):
            return [_fit(type_.item, each, (trail, index)) for index, each in enumerate(value)]
    elif isinstance(value, dict):
        return {field.name: _fit_member(field, value, trail) for field in type_.fields}
    raise misfit(_whole_path(trail), f"expected {_expected(type_)}, got {_came(value)}")


def _fit_member(field: Column, members: dict[str, object], trail: _Trail) -> object:
    name = field.name
    if name not in members and not field.type.nullable:
        raise misfit((*_whole_path(trail), name), f"expected {_expected(field.type)}, but it is missing")
    return _fit(field.type, members.get(name), (trail, name))


def _whole_path(trail: _Trail) -> Path:
    before, step = trail
    path: Path = before if step is None else (*_whole_path(before), step)
    return path


def _scalar(kind: Kind, value: object) -> object | None:
    if kind == "string":
        return value if isinstance(value, str) else None
    if kind == "json":
        return _json_text(value)
    if isinstance(value, bool):
        return value if kind == "bool" else None
    if kind == "bool" or not isinstance(value, int | float):
        return None
    return float(value) if kind == "float" else _whole(value)


def _whole(value: float) -> int | None:
    fits = (
        -LARGEST_INT - 1 <= value <= LARGEST_INT
        if isinstance(value, int)
        else abs(value) <= _EXACT and value.is_integer()
    )
    return int(value) if fits else None


def _json_text(value: object) -> str | None:
    try:
        return orjson.dumps(value).decode()
    except orjson.JSONEncodeError:  # nested more deeply than it writes
        return None


_WORDS: dict[Kind, str] = {
    "string": "text",
    "int": "a whole number of 64 bits",
    "float": "a number",
    "bool": "true or false",
    "json": "a value nested less deeply",
}


def _expected(type_: FieldType) -> str:
    match type_:
        case Scalar(kind):
            words = _WORDS[kind]
        case Enum(values):
            words = "one of " + ", ".join(values)
        case ListOf():
            words = "a list"
        case Struct():
            words = "an object"
    return f"{_cut(words, LONGEST_REASON // 2)} or null" if type_.nullable else _cut(words, LONGEST_REASON // 2)


def _came(value: object) -> str:
    match value:
        case None | bool():
            return str(value).lower() if value is not None else "null"
        case str():
            return f"the text {_cut(value, _LONGEST_QUOTE)!r}"
        case int() | float():
            return f"the number {value}"
        case list():
            return "a list"
    return "an object"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _sentence(complaint: Complaint) -> str:
    place = dotted(complaint.path)
    mend = f" - did you mean {complaint.suggestion!r}?" if complaint.suggestion else ""
    return _cut(f"{place}: {complaint.message}{mend}" if place else f"{complaint.message}{mend}", LONGEST_REASON)
