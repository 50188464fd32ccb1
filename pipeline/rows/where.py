"""``where``: a condition in polars' SQL on each row. A module of its own, because polars takes a third of a second to import."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from polars.exceptions import PanicException, PolarsError

from pipeline.errors import DataError
from pipeline.rows.door import translated
from pipeline.rows.table import require_columns

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_HINT = "it is a polars SQL expression, such as width > 100; a CSV column is text until input.columns gives it a type"

# Names of polars' expression nodes. These see more rows than their own, which in a batch are arbitrary ones.
_ACROSS_ROWS = frozenset((
    "Agg", "Correlation", "DropNulls", "Explode", "Filter", "Gather", "Len", "NullCount", "Over",
    "Quantile", "Rank", "Rolling", "Shift", "Slice", "Sort", "SortBy", "SubPlan"
))  # fmt: skip
# And what stands below these is no expression.
_LEAVES = frozenset(("Column", "Literal", "StringExpr", "ListExpr", "ArrayExpr", "StructExpr", "TemporalExpr"))


class Where:
    """A polars SQL expression that is true or not for each row by itself; null counts as not true."""

    def __init__(self, text: str, schema: pa.Schema) -> None:
        """Raise ``DataError`` unless ``text`` is a condition on columns of ``schema``."""
        self._place = f"input.where: {text}"
        with _translated(self._place):
            self._expression = pl.sql_expr(text)
            self.columns: tuple[str, ...] = tuple(dict.fromkeys(self._expression.meta.root_names()))
            tree = json.loads(self._expression.meta.serialize(format="json"))
        require_columns(self._place, self.columns, schema.names)
        if not self.columns or _across_rows(tree):
            raise DataError(
                f"{self._place}: it does not ask about each row by itself",
                hint="compare cells of the row, such as width > 100",
            )
        dtype = self._evaluated(schema.empty_table()).dtype
        if dtype != pl.Boolean:
            raise DataError(f"{self._place}: it gives {dtype}, neither true nor false", hint=_HINT)

    def holds(self, table: pa.RecordBatch) -> pa.BooleanArray:
        """Say of each row whether the expression is true."""
        return pc.fill_null(self._evaluated(table).to_arrow(), fill_value=False)

    def _evaluated(self, table: pa.Table | pa.RecordBatch) -> pl.Series:
        with _translated(self._place):
            frame = pl.from_arrow(table.select(self.columns))
            assert isinstance(frame, pl.DataFrame)
            return frame.select(self._expression.alias("holds")).to_series()


def _across_rows(tree: object) -> bool:
    if isinstance(tree, dict):
        return any(
            name in _ACROSS_ROWS or (name not in _LEAVES and _across_rows(below)) for name, below in tree.items()
        )
    if isinstance(tree, list):
        return any(map(_across_rows, tree))
    return tree in _ACROSS_ROWS


def _translated(place: str) -> AbstractContextManager[None]:
    return translated(place, hint=_HINT, also=(PolarsError, PanicException))
