"""Parquet, batch by batch, with memory that depends on neither the table's length nor the size of its row groups."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import DataError
from pipeline.rows.door import translated
from pipeline.rows.table import Reading, Span, reject_duplicates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_DAMAGED = "write the file again; it is damaged or was cut off"
_BUFFER_BYTES = 64 * 2**10
_PROBE_ROWS = 16


class ParquetReader:
    """One Parquet file; row groups without a wanted row are not read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with translated(path, hint=_DAMAGED), _open(path) as file:
            self.schema: pa.Schema = file.schema_arrow.remove_metadata()
            self.count: int = file.metadata.num_rows
        reject_duplicates(path, self.schema.names)

    def spans(self, reading: Reading, first: int) -> Iterator[Span]:
        """Yield the rows of one row group after the other."""
        with translated(self.path, hint=_DAMAGED), _open(self.path) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if rows and reading.wanted(first, rows):
                    yield from self._group(file, group, reading, first)
                else:
                    yield Span(first, rows, None)
                first += rows

    def _group(self, file: pq.ParquetFile, group: int, reading: Reading, first: int) -> Iterator[Span]:
        end = first + file.metadata.row_group(group).num_rows
        weight = _weight(file, group, reading.columns)
        size = max(1, min(reading.most, int(reading.target_bytes / max(weight, 1))))
        for table in _batches(file, group, reading.columns, size):
            wanted = reading.wanted(first, table.num_rows)
            yield Span(first, table.num_rows, _verified(table.select(reading.columns)) if wanted else None)
            first += table.num_rows
        if first != end:
            raise DataError(f"{self.path}: row group {group} misses {end - first} of its rows", hint=_DAMAGED)


def _open(path: Path) -> pq.ParquetFile:
    # By default pyarrow fetches whole column chunks. A row group of 400 MB (2,000 images of 200 KB in pages of 1 MB) then
    # peaks at 470 MB over a bare import, with or without pre_buffer; with a buffer at 90 MB. What remains is a page,
    # packed and unpacked, and the batch. A page is read as a whole, so pages of 200 MB, which pyarrow itself writes for
    # such images unless told otherwise, cost three times their size; no option of the reader changes that.
    return pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES)


def _batches(file: pq.ParquetFile, group: int, columns: Sequence[str], size: int) -> Iterator[pa.RecordBatch]:
    # Threads would hold a page of every column at once.
    batches = file.iter_batches(size, row_groups=[group], columns=list(columns), use_threads=False)
    return (batch for batch in batches if batch.num_rows)


def _verified(table: pa.RecordBatch) -> pa.RecordBatch:
    """Raise pyarrow's error if a cell refers to an entry that its dictionary lacks; other layouts are checked by reading."""
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            column.validate(full=True)
    return table


def _weight(file: pq.ParquetFile, group: int, columns: Sequence[str]) -> float:
    """Return what a row of the row group weighs in memory, in bytes: by its first rows, or by the metadata if that is more.

    The first rows may be small ones. The metadata count a value that a dictionary repeats only once: a thousand questions
    about one image look as light as one.
    """
    # The rows come first: reading reports damaged metadata as an error, while a look at them may abort the process.
    probe = next(_batches(file, group, columns, _PROBE_ROWS), None)
    decoded = probe.nbytes / probe.num_rows if probe is not None else 0.0
    facts = file.metadata.row_group(group)
    names = frozenset(columns)
    indices = [index for index in range(facts.num_columns) if _belongs(file.schema.column(index).path, names)]
    stored: float = sum(facts.column(index).total_uncompressed_size for index in indices) / facts.num_rows
    return max(decoded, stored)


def _belongs(path: str, names: frozenset[str]) -> bool:
    """Say whether a stored column, such as ``image.bytes``, is part of one of these, whose names may have dots too."""
    return any(path[:end] in names for end in range(len(path) + 1) if path[end : end + 1] in ("", "."))


def footer(path: Path) -> bytes:
    """Return a digest of the file's footer, which holds the place, size and range of every column chunk."""
    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-8 - length, os.SEEK_END)
        return blake2b(file.read(length), digest_size=16).digest()
