"""``output.gold``: which input columns hold known answers, and to which fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pipeline.spec.columns import Enum, Scalar

if TYPE_CHECKING:
    from pipeline.spec.columns import FieldType
    from pipeline.spec.fields import Fields

_CHOICES = ("bool", "int")
_COMPARABLE = ("string", "float", *_CHOICES)


def check_gold(gold: str | Mapping[str, str] | None, fields: Fields | None) -> None:
    """Refuse known answers that no field can be compared with. Raises ``ValueError``."""
    if gold is None:
        return
    if fields is None:
        raise ValueError("gold is compared with output.fields, and there are none")
    if isinstance(gold, str):
        if len(_choices(fields)) != 1:
            raise ValueError(f"gold does not say which field it answers; write gold: {{FIELD: {gold}}}")
        return
    types = {column.name: column.type for column in fields.columns}
    for field in gold:
        if field not in types:
            raise ValueError(f"gold has no field {field!r}; output.fields has {', '.join(types)}")
        if not _is_comparable(types[field]):
            raise ValueError(f"gold can be compared with texts, numbers, choices and bools, which {field!r} is not")


def known_answers(gold: str | Mapping[str, str] | None, fields: Fields | None) -> Mapping[str, str]:
    """Return the columns that hold known answers, by the fields that they answer."""
    if gold is None or fields is None:
        return {}
    return {_choices(fields)[0]: gold} if isinstance(gold, str) else gold


def _choices(fields: Fields) -> list[str]:
    """Return the fields that a column alone can mean: choices, or where there are none, whatever is comparable."""
    choices = [column.name for column in fields.columns if _is_choice(column.type)]
    return choices or [column.name for column in fields.columns if _is_comparable(column.type)]


def _is_choice(type_: FieldType) -> bool:
    return isinstance(type_, Enum) or (isinstance(type_, Scalar) and type_.kind in _CHOICES)


def _is_comparable(type_: FieldType) -> bool:
    return isinstance(type_, Enum) or (isinstance(type_, Scalar) and type_.kind in _COMPARABLE)
