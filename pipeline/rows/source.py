"""The input as one table: however many files it is, in whatever format, row by row in a fixed order.

A row's number is its position in the whole input, over all files and before ``where``, ``sample`` and ``limit``; it
never depends on what is asked of the table. ``where`` chooses rows, ``sample`` chooses among those, and ``limit`` keeps
the first of those.
"""

from __future__ import annotations

import os
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa

from pipeline.errors import DataError
from pipeline.rows.alike import conformed, require_alike
from pipeline.rows.csv import CsvReader
from pipeline.rows.door import translated
from pipeline.rows.find import Found, find
from pipeline.rows.images import ImageFolder, readable
from pipeline.rows.jsonl import open_jsonl
from pipeline.rows.parquet import ParquetReader, footer
from pipeline.rows.select import sampled
from pipeline.rows.table import MAX_ROWS, TARGET_BYTES, Reader, Reading, Span, Wanted, require_columns

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.rows.where import Where
    from pipeline.spec.input import Input


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of the job: their numbers in the whole input, and the columns asked for."""

    numbers: Sequence[int]
    table: pa.RecordBatch


_OPENERS: Mapping[str, Callable[[Found, Input], Sequence[Reader]]] = {
    "parquet": lambda found, _: [ParquetReader(path) for path in found.files],
    "csv": lambda found, spec: [CsvReader(path, spec) for path in found.files],
    "jsonl": lambda found, _: open_jsonl(found.files),
    "images": lambda found, _: [ImageFolder(found.root, found.files)],
}


def open_source(spec: Input, folder: Path) -> Source:
    """Open the input, with relative paths counted from ``folder``.

    Raises ``DataError`` if there is nothing to read, a file is damaged, files differ in their columns, or ``where`` is
    no condition on them.
    """
    found = find(spec, folder)
    if spec.columns and found.format != "csv":
        hint = f"remove it; the columns of {found.format} have types of their own"
        raise DataError("input.columns gives types to the columns of CSV files only", hint=hint)
    readers = _OPENERS[found.format](found, spec)
    for reader in readers[1:]:
        require_alike(readers[0], reader)
    return Source(spec, found, readers)


class Source:
    """The rows of a job. Reading blocks, so a running event loop reads in a thread.

    ``files`` are in order. ``schema`` is the table's as a user sees it. Relative paths in cells count from ``root``.
    """

    def __init__(self, spec: Input, found: Found, readers: Sequence[Reader]) -> None:
        """Made by ``open_source``."""
        self._spec = spec
        self._format = found.format
        self._readers = readers
        self.files: tuple[Path, ...] = found.files
        self.root: Path = found.root
        self.schema: pa.Schema = readers[0].schema
        self._where = _condition(spec.where, self.schema) if spec.where is not None else None

    @cached_property
    def _count(self) -> int | None:
        """The number of rows in the whole input, where every reader knows its own."""
        counts = [reader.count for reader in self._readers if reader.count is not None]
        return sum(counts) if len(counts) == len(self._readers) else None

    @property
    def whole(self) -> int | None:
        """The number of rows in the whole input, whichever of them are the job's; None where only a pass over it could tell."""
        return self._count

    @property
    def rows(self) -> int | None:
        """The number of the job's rows, or None where only a pass over the table could tell it."""
        if self._count is None or self._where is not None:
            return None
        sample, limit = self._spec.sample, self._spec.limit
        return min(self._count, sample.rows if sample else self._count, limit or self._count)

    def count(self) -> int:
        """Return the number of the job's rows; where it is not known, this takes a pass over what ``where`` needs of the input."""
        if self.rows is not None:
            return self.rows
        if self._chosen is not None and self._spec.sample is not None:
            return len(self._chosen)
        passing = sum(map(len, self._numbers()))
        return min(passing, self._spec.limit or passing)

    def signature(self) -> str:
        """Return a text that changes when the job's rows may have changed, and stays when their folder only moves.

        It covers each file's name below ``root``, size, modification time and, for Parquet, footer; and what the spec
        says about reading and choosing rows. Raises ``DataError`` if a file is gone.
        """
        rules = self._spec.model_dump(mode="json", exclude={"path"})
        digest = blake2b(orjson.dumps([self._format, rules]), digest_size=16)
        for file in self.files:
            with translated(file):
                facts = file.stat()
                name = readable(os.path.relpath(file, self.root))
                digest.update(orjson.dumps([name, facts.st_size, facts.st_mtime_ns]))
                digest.update(footer(file) if self._format == "parquet" else b"")
        return digest.hexdigest()

    def batches(
        self,
        columns: Sequence[str] | None = None,
        *,
        wanted: Wanted | None = None,
        target_bytes: int = TARGET_BYTES,
        most: int = MAX_ROWS,
    ) -> Iterator[Batch]:
        """Yield the job's rows in order, in batches of about ``target_bytes`` and ``most`` rows, with only ``columns`` (None: all).

        ``wanted(first, count)`` says whether any of ``count`` rows from number ``first`` is needed; spans without one
        are left out, and a Parquet row group without one is not read. Raises ``DataError``.
        """
        names = tuple(dict.fromkeys(self.schema.names if columns is None else columns))
        require_columns("the input", names, self.schema.names)
        chosen, where = self._chosen, self._filter
        needed = tuple(dict.fromkeys((*names, *(where.columns if where else ()))))
        for span in self._spans(Reading(needed, self._needed(wanted), target_bytes, most)):
            if span.table is not None:
                batch = _filtered(_picked(span.first, span.table, chosen), where)
                if batch.numbers:
                    yield Batch(batch.numbers, batch.table.select(names))
            if not chosen or span.end > chosen[-1]:
                return

    @cached_property
    def _chosen(self) -> Sequence[int]:
        """The row numbers, in order, that ``sample`` and ``limit`` leave."""
        sample, limit = self._spec.sample, self._spec.limit
        if sample is not None:
            return sampled(self._numbers(), sample.rows, sample.seed)[:limit]
        if limit is not None and self._where is not None:
            return list(islice((number for chunk in self._numbers() for number in chunk.to_pylist()), limit))
        return range(sys.maxsize if limit is None else limit)

    @property
    def _filter(self) -> Where | None:
        """The condition that rows must still meet; those that ``sample`` and ``limit`` left have met it."""
        return self._where if self._spec.sample is None and self._spec.limit is None else None

    def _numbers(self) -> Iterator[pa.Int64Array]:
        """Yield the numbers of the rows that meet ``where``."""
        if self._where is None and self._count is not None:
            for first in range(0, self._count, MAX_ROWS):
                yield pa.array(range(first, min(first + MAX_ROWS, self._count)), pa.int64())
            return
        columns = self._where.columns if self._where else ()
        for span in self._spans(Reading(columns, _every_row, TARGET_BYTES)):
            if span.table is not None:
                batch = _filtered(Batch(range(span.first, span.end), span.table), self._where)
                yield pa.array(batch.numbers, pa.int64())

    def _needed(self, wanted: Wanted | None) -> Wanted:
        chosen = self._chosen

        def needed(first: int, count: int) -> bool:
            any_chosen = bisect_left(chosen, first) < bisect_left(chosen, first + count)
            return any_chosen and (wanted is None or wanted(first, count))

        return needed

    def _spans(self, reading: Reading) -> Iterator[Span]:
        """Yield the spans of all files, numbered through, with the column types of the first."""
        first = 0
        for reader in self._readers:
            for span in reader.spans(reading, first):
                with translated(reader.path):
                    table = None if span.table is None else conformed(span.table, self.schema)
                yield Span(span.first, span.count, table)
                first = span.end


def _condition(text: str, schema: pa.Schema) -> Where:
    from pipeline.rows.where import Where  # and with it polars, which most jobs need not wait for

    return Where(text, schema)


def _every_row(_first: int, _count: int) -> bool:
    return True


def _picked(first: int, table: pa.RecordBatch, chosen: Sequence[int]) -> Batch:
    """Return those rows of the table, which begins with row ``first``, whose numbers are chosen."""
    numbers = chosen[bisect_left(chosen, first) : bisect_left(chosen, first + table.num_rows)]
    if len(numbers) < table.num_rows:
        table = table.take(pa.array([number - first for number in numbers], pa.int64()))
    return Batch(numbers, table)


def _filtered(batch: Batch, where: Where | None) -> Batch:
    if where is None:
        return batch
    holds = where.holds(batch.table)
    return Batch(pa.array(batch.numbers, pa.int64()).filter(holds).to_pylist(), batch.table.filter(holds))
