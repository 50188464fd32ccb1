"""How values are made: small classes of facts that nobody changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_Value = TypeVar("_Value")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[_Value]) -> type[_Value]:
    """Make a class a dataclass that is frozen for the type checker, which sees every line of ours, and for nobody else.

    Python's own ``frozen=True`` makes building a value five times slower: two microseconds for a reply, at every row.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)
