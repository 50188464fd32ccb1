"""From Arrow to Python: values as templates and requests can use them, with nothing lost on the way.

Integers, decimals and dates stay exact, NaN stays NaN, null is None, structs are dicts, lists are lists. A map is a
dict, or a list of pairs where a key repeats. Python's own date types end at microseconds and at the year 9999; what
lies beyond arrives as text.
"""

from __future__ import annotations

import difflib
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_UNITS = {pa.date32(): "days", pa.date64(): "ms"}


def cells(batch: pa.RecordBatch) -> Iterator[dict[str, object]]:
    """Yield each row of ``batch`` as a dict from column name to Python value."""
    names = batch.schema.names
    if not names:
        yield from ({} for _ in range(batch.num_rows))
    for values in zip(*map(to_python, batch.columns), strict=True):
        yield dict(zip(names, values, strict=True))


def to_python(column: pa.Array) -> list[Any]:
    """Return the cells of an Arrow array as Python values."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType) and pa.types.is_nested(kind.storage_type):
        return to_python(column.storage)
    if pa.types.is_dictionary(kind):
        return to_python(column.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return to_python(pc.run_end_decode(column))
    if pa.types.is_map(kind):
        pairs = pa.list_(pa.struct([("key", kind.key_type), ("value", kind.item_type)]))
        return [None if cell is None else _mapping(cell) for cell in to_python(column.cast(pairs))]
    if pa.types.is_struct(kind):
        return _structs(column)
    if pa.types.is_nested(kind) and not pa.types.is_union(kind):
        return _lists(column)
    return _scalars(column)


def _structs(column: pa.StructArray) -> list[dict[str, Any] | None]:
    names = [field.name for field in column.type]
    fields = [to_python(field) for field in column.flatten()]
    rows: Iterable[tuple[Any, ...]] = zip(*fields, strict=True) if fields else ((),) * len(column)
    return [
        dict(zip(names, row, strict=True)) if valid else None
        for row, valid in zip(rows, column.is_valid().to_pylist(), strict=True)
    ]


def _lists(column: pa.Array) -> list[list[Any] | None]:
    items = iter(to_python(column.flatten()))
    return [
        None if length is None else list(islice(items, length)) for length in pc.list_value_length(column).to_pylist()
    ]


def _mapping(pairs: list[dict[str, Any]]) -> dict[Any, Any] | list[tuple[Any, Any]]:
    entries = [(pair["key"], pair["value"]) for pair in pairs]
    try:
        mapping = dict(entries)
    except TypeError:  # a key that is itself a list or a struct
        return entries
    return mapping if len(mapping) == len(entries) else entries


def _scalars(column: pa.Array) -> list[Any]:
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):  # one cell that Python's own types cannot hold spoils the whole column
        return [_scalar(cell) for cell in column]
    return values


def _scalar(cell: pa.Scalar) -> object:
    try:
        return cell.as_py()
    except (ValueError, OverflowError):
        if isinstance(cell, pa.BinaryScalar):  # a string that is no UTF-8, which a Parquet file may hold
            return cell.as_buffer().to_pybytes().decode(errors="backslashreplace")
        return _moment(cell.value, cell.type)


def _moment(value: int, kind: pa.DataType) -> str:
    """Write a date, time or duration that Python's types cannot hold: as text, in UTC, or beyond Arrow's calendar as a number."""
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        kind = pa.timestamp(kind.unit, "UTC")
    if not pa.types.is_duration(kind):
        text = str(pc.cast(pa.array([value], kind), pa.string())[0])
        if not text.startswith("<"):
            return text
    return f"{value} {_UNITS.get(kind) or kind.unit}"


def suggest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of ``names`` that was probably meant by ``name``, if any is close."""
    by_case = {known.casefold(): known for known in names}
    close = difflib.get_close_matches(name.casefold(), by_case, n=1)
    return by_case[close[0]] if close else None
