"""Parquet, batch by batch, with memory that depends on neither the table's length nor the size of its row groups."""

from __future__ import annotations

import os
from hashlib import blake2b
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from pipeline.errors import DataError
from pipeline.rows.door import translated
from pipeline.rows.table import MAX_ROWS, Reading, Span, reject_duplicates

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

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
            weight = 0.0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if rows and reading.wanted(first, rows):
                    weight = yield from self._group(file, group, reading, first, weight)
                else:
                    yield Span(first, rows, None)
                first += rows

    def _group(
        self, file: pq.ParquetFile, group: int, reading: Reading, first: int, weight: float
    ) -> Generator[Span, None, float]:
        """Yield the spans of a row group, given what a row weighed lately, and return what a row weighs now, in bytes."""
        end = first + file.metadata.row_group(group).num_rows
        weight = max(weight or _probed(file, group, reading.columns), _stored(file, group, reading.columns))
        size = max(1, min(MAX_ROWS, int(reading.target_bytes / max(weight, 1))))
        for table in _batches(file, group, reading.columns, size):
            wanted = reading.wanted(first, table.num_rows)
            yield Span(first, table.num_rows, table.select(reading.columns) if wanted else None)
            first += table.num_rows
            weight = table.nbytes / table.num_rows
        if first != end:
            raise DataError(f"{self.path}: row group {group} misses {end - first} of its rows", hint=_DAMAGED)
        return weight


def _open(path: Path) -> pq.ParquetFile:
    # pyarrow's default fetches a whole row group ahead. One of 400 MB (2,000 images of 200 KB in pages of 1 MB) then peaks at 910 MB
    # over a bare import, read like this at 90 MB. What remains is a page, packed and unpacked, and the batch; so a writer that puts
    # 200 MB into one page (pyarrow's own default for such images) costs that much here.
    return pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER_BYTES)


def _batches(file: pq.ParquetFile, group: int, columns: Sequence[str], size: int) -> Iterator[pa.RecordBatch]:
    # Threads would hold a page of every column at once.
    batches: Iterator[pa.RecordBatch] = file.iter_batches(
        size, row_groups=[group], columns=list(columns), use_threads=False
    )
    return (batch for batch in batches if batch.num_rows)


def _stored(file: pq.ParquetFile, group: int, columns: Sequence[str]) -> float:
    """Return what a row of the row group weighs by its metadata, in bytes."""
    facts = file.metadata.row_group(group)
    names = frozenset(columns)
    chunks = (facts.column(index) for index in range(facts.num_columns))
    size = sum(chunk.total_uncompressed_size for chunk in chunks if _belongs(chunk.path_in_schema, names))
    return float(size / facts.num_rows)


def _belongs(path: str, names: frozenset[str]) -> bool:
    """Say whether a stored column, such as ``image.bytes``, is part of one of the table's columns, whose names may have dots too."""
    return any(path[:end] in names for end in range(len(path) + 1) if path[end : end + 1] in ("", "."))


def _probed(file: pq.ParquetFile, group: int, columns: Sequence[str]) -> float:
    """Return what the first rows weigh once read, in bytes per row.

    The metadata count a value that a dictionary repeats only once: a thousand questions about one image look as light as one.
    """
    probe = next(_batches(file, group, columns, _PROBE_ROWS), None)
    return probe.nbytes / probe.num_rows if probe is not None else 0.0


def footer(path: Path) -> bytes:
    """Return a digest of the file's footer, which holds the place, size and range of every column chunk."""
    with path.open("rb") as file:
        file.seek(-8, os.SEEK_END)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-8 - length, os.SEEK_END)
        return blake2b(file.read(length), digest_size=16).digest()
