"""How the cells of a typed CSV column are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

import pyarrow as pa


@dataclass(frozen=True, slots=True)
class CellType:
    """A column's Arrow type and what people call it; ``parse`` raises ValueError for a text that is none."""

    name: str
    arrow: pa.DataType
    parse: Callable[[str], object]


def datetime_type(first: str | None) -> CellType:
    """Return the type of a datetime column by its first cell: with an offset it becomes UTC, without one it stays."""
    try:
        zoned = first is not None and datetime.fromisoformat(first.strip()).tzinfo is not None
    except ValueError:
        zoned = False  # the cell is reported when its row is read
    return _ZONED if zoned else CELL_TYPES["datetime"]


def _int(text: str) -> int:
    value = int(_without_groups(text))
    if not -(2**63) <= value < 2**63:
        raise ValueError("beyond 64 bits")
    return value


def _float(text: str) -> float:
    return float(_without_groups(text))


def _without_groups(text: str) -> str:
    if "_" in text:
        raise ValueError("Python reads 1_000 as a number, but in data it is none")
    return text


def _bool(text: str) -> bool:
    value = {"true": True, "1": True, "false": False, "0": False}.get(text.strip().lower())
    if value is None:
        raise ValueError("neither true nor false")
    return value


def _date(text: str) -> date:
    return date.fromisoformat(text.strip())


def _naive(text: str) -> datetime:
    value = datetime.fromisoformat(text.strip())
    if value.tzinfo is not None:
        raise ValueError("an offset, which the cells above have not")
    return value


def _zoned(text: str) -> datetime:
    value = datetime.fromisoformat(text.strip())
    if value.tzinfo is None:
        raise ValueError("no offset, which the cells above have")
    return value


CELL_TYPES: Mapping[str, CellType] = {
    "string": CellType("string", pa.string(), str),
    "int": CellType("64-bit int", pa.int64(), _int),
    "float": CellType("float", pa.float64(), _float),
    "bool": CellType("bool (true, false, 1, 0)", pa.bool_(), _bool),
    "date": CellType("date (2024-12-31)", pa.date32(), _date),
    "datetime": CellType("datetime without offset (2024-12-31T23:59:59)", pa.timestamp("us"), _naive),
}
_ZONED = CellType("datetime with offset (2024-12-31T23:59:59+00:00)", pa.timestamp("us", "UTC"), _zoned)
