"""Which rows of the table belong to the job: ``where``, then ``sample`` of those, then the first ``limit`` of those."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import DataError
from pipeline.rows.door import translated
from pipeline.rows.table import require_columns

if TYPE_CHECKING:
    from collections.abc import Iterable

_PRUNE_AT = 2**18
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
        with translated(self._place, hint=_HINT):
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
        with translated(self._place, hint=_HINT):
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


def sampled(numbers: Iterable[pa.Int64Array], count: int, seed: int) -> list[int]:
    """Choose ``count`` of the row numbers at random, or all where they are fewer, and return them in order.

    A row's rank depends on its number and the seed alone, so the choice is the same at every run, and memory grows with
    ``count`` only.
    """
    kept = pa.table({"number": pa.array([], pa.int64()), "rank": pa.array([], pa.uint64())})
    for chunk in numbers:
        kept = pa.concat_tables([kept, pa.table({"number": chunk, "rank": _ranks(chunk, seed)})])
        if kept.num_rows > _PRUNE_AT + 2 * count:
            kept = _lowest(kept, count)
    chosen: list[int] = _lowest(kept, count)["number"].to_pylist()
    return sorted(chosen)


def _lowest(table: pa.Table, count: int) -> pa.Table:
    best = pc.select_k_unstable(table, k=min(count, table.num_rows), sort_keys=[("rank", "ascending")])
    return table.take(best)


def _ranks(numbers: pa.Int64Array, seed: int) -> pa.UInt64Array:
    """Scatter the numbers over 64 bits by splitmix64, which never gives two of them the same rank."""
    start = int.from_bytes(blake2b(str(seed).encode(), digest_size=8).digest(), "big")
    z = pc.add(pc.multiply(numbers.cast(pa.uint64()), _u64(0x9E3779B97F4A7C15)), _u64(start))
    z = pc.multiply(pc.bit_wise_xor(z, pc.shift_right(z, _u64(30))), _u64(0xBF58476D1CE4E5B9))
    z = pc.multiply(pc.bit_wise_xor(z, pc.shift_right(z, _u64(27))), _u64(0x94D049BB133111EB))
    return pc.bit_wise_xor(z, pc.shift_right(z, _u64(31)))


def _u64(value: int) -> pa.UInt64Scalar:
    return pa.scalar(value, pa.uint64())
