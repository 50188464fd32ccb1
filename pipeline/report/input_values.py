"""Which input columns are worth a breakdown, and their values: a few different ones over many rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from pipeline.rows.columns import to_python

if TYPE_CHECKING:
    from pipeline.rows.source import Source

MOST_COLUMNS = 6
MOST_VALUES = 50
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
    left = [*asked, *(name for name in _candidates(source) if name not in asked)]
    pieces: dict[str, list[pl.DataFrame]] = {name: [] for name in left}
    seen: dict[str, set[str]] = {name: set() for name in left}
    rows = 0
    for batch in source.batches(left) if left else ():
        rows += batch.table.num_rows
        numbers = pl.Series("row", list(batch.numbers), dtype=pl.Int64)
        for name in [name for name in left if name in pieces]:
            values = [_shown(cell) for cell in to_python(batch.table.column(name))]
            seen[name].update(values)
            if len(seen[name]) > MOST_VALUES and name not in asked:
                del pieces[name]
                continue
            pieces[name].append(pl.DataFrame({"row": numbers, "group": pl.Series(values, dtype=pl.String)}))
    telling = [name for name in pieces if name in asked or 2 <= len(seen[name]) <= rows / 2]
    return {name: pl.concat(pieces[name]) for name in telling[: max(MOST_COLUMNS, len(asked))] if pieces[name]}


def _candidates(source: Source) -> list[str]:
    """Return the columns of simple types that have few values in the first rows: long texts are not read to the end for nothing."""
    simple = [field.name for field in source.schema if any(fits(field.type) for fits in _KINDS)]
    first = next(source.batches(simple, target_bytes=_LOOKED_BYTES), None) if simple else None
    if first is None:
        return []
    return [name for name in simple if len(set(to_python(first.table.column(name)))) <= MOST_VALUES]


def _shown(cell: object) -> str:
    """Return a cell as text, true and false as JSON has them."""
    text = cell if isinstance(cell, str) else NULL if cell is None else str(cell).lower()
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
