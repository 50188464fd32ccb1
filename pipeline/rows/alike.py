"""When several files count as one table: the same columns with the same types, in whatever order and layout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.rows.table import Reader


def require_alike(one: Reader, other: Reader) -> None:
    """Raise ``DataError`` with the difference unless both files have the same columns."""
    mine, theirs = ({field.name: field.type for field in reader.schema} for reader in (one, other))
    for name in dict.fromkeys((*mine, *theirs)):
        here, there = theirs.get(name), mine.get(name)
        if here is None or there is None or _plain(here) != _plain(there):
            difference = f"column {name!r} is {here or 'missing'} here and {there or 'missing'} in {one.path.name}"
            hint = "files that are read as one table need the same columns with the same types"
            raise DataError(f"{other.path}: {difference}", hint=hint)


def conformed(table: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Return the table with the layouts that ``schema`` has for its columns."""
    names = table.schema.names
    types = [schema.field(name).type for name in names]
    if types == table.schema.types:
        return table
    return pa.record_batch([column.cast(kind) for column, kind in zip(table.columns, types, strict=True)], names=names)


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type without the choices that libraries make differently: long offsets, views, dictionaries."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _plain(field.type)) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(_plain(kind.value_type))
    return _LAYOUTS.get(kind, kind)


_LAYOUTS: Mapping[pa.DataType, pa.DataType] = {
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
}
