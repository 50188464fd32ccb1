"""Which input columns are worth a breakdown, and their values: a few different ones over many rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from pipeline.report.text import clipped
from pipeline.rows.columns import to_python

if TYPE_CHECKING:
    from pipeline.rows.source import Source

MOST_COLUMNS = 6
MOST_VALUES = 50
MOST_CANDIDATES = 100
"""Columns that are read to the end to see whether they have few values."""

_LONGEST = 80  # characters of a value
NULL = "(null)"
_LOOKED_BYTES = 1024 * 1024

_KINDS: Sequence[Callable[[pa.DataType], bool]] = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_dictionary,
)


def few_valued(source: Source, asked: Sequence[str]) -> dict[str, pl.DataFrame]:
    """Return the columns that are ``asked``, then others that have from 2 to 50 values, at most six: each row's number and value.

    A column that differs in more than half of the rows tells nothing of groups, and is left out unless it is asked. Blocking: one pass over
    the columns that still may have few values. Raises ``DataError``.
    """
    left = {name: _Coded() for name in [*asked, *(name for name in _candidates(source) if name not in asked)]}
    numbers: list[pl.Series] = []
    rows = 0
    for batch in source.batches(list(left)) if left else ():
        rows += batch.table.num_rows
        numbers.append(pl.Series("row", list(batch.numbers), dtype=pl.Int64))
        for name, coded in list(left.items()):
            coded.take(batch.table.column(name))
            if len(coded.codes) > MOST_VALUES and name not in asked:
                del left[name]
    telling = [name for name, coded in left.items() if name in asked or 2 <= len(coded.codes) <= rows / 2]
    return {
        name: pl.DataFrame({"row": pl.concat(numbers), "group": left[name].texts()})
        for name in (telling[: max(MOST_COLUMNS, len(asked))] if numbers else ())
    }


class _Coded:
    """A column as a small number for each row: a text for each would take gigabytes. ``codes`` are the numbers of its values."""

    def __init__(self) -> None:
        self.codes: dict[str, int] = {}
        self._rows: list[pl.Series] = []

    def take(self, column: pa.Array) -> None:
        """Take in the next cells, of which only different ones become Python values where the type allows."""
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if pa.types.is_string_view(column.type):
            column = column.cast(pa.large_string())  # else Arrow would encode a null as an empty text
        if any(fits(column.type) for fits in _KINDS):
            encoded = column.dictionary_encode(null_encoding="encode")
            values, places = to_python(encoded.dictionary), pl.Series(values=encoded.indices)
        else:
            values = to_python(column)
            places = pl.Series(range(len(values)), dtype=pl.Int64)
        codes = [self.codes.setdefault(_shown(value), len(self.codes)) for value in values]
        kind = pl.UInt8 if len(self.codes) <= MOST_VALUES else pl.UInt32
        self._rows.append(pl.Series(codes, dtype=pl.UInt32).gather(places).cast(kind))

    def texts(self) -> pl.Series:
        """Return the value of each row as text."""
        rows = pl.concat([codes.cast(pl.UInt32) for codes in self._rows])
        return pl.Series(list(self.codes), dtype=pl.String).gather(rows)


def _candidates(source: Source) -> list[str]:
    """Return the columns of simple types that have few values in the first rows: long texts are not read to the end for nothing."""
    simple = [field.name for field in source.schema if any(fits(field.type) for fits in _KINDS)]
    first = next(source.batches(simple, target_bytes=_LOOKED_BYTES), None) if simple else None
    if first is None:
        return []
    few = (name for name in simple if len(set(to_python(first.table.column(name)))) <= MOST_VALUES)
    return list(islice(few, MOST_CANDIDATES))


def _shown(cell: object) -> str:
    """Return a cell as text, true and false as JSON has them."""
    text = cell if isinstance(cell, str) else NULL if cell is None else str(cell).lower()
    return clipped(text, _LONGEST)
