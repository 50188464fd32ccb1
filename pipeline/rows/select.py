"""Which rows of the table belong to the job beside ``where``: ``sample`` of those that it leaves, then the first ``limit`` of those."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable

_PRUNE_AT = 2**18


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
