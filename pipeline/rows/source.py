"""The input as one table: however many files it is, in whatever format, row by row in a fixed order.

A row's number is its position in the whole input, over all files and before ``where``, ``sample`` and ``limit``; it never depends on what is asked
of the table. ``where`` chooses rows, ``sample`` chooses among those, and ``limit`` keeps the first of those.
"""

from __future__ import annotations

import json
import os
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
from pipeline.rows.csv import CsvReader
from pipeline.rows.door import translated
from pipeline.rows.find import Found, find
from pipeline.rows.images import ImageFolder
from pipeline.rows.jsonl import open_jsonl
from pipeline.rows.parquet import ParquetReader, footer
from pipeline.rows.select import Where, sampled
from pipeline.rows.table import TARGET_BYTES, Reader, Reading, Span, Wanted, require_columns

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.spec.job import Input

_NUMBERS_AT_ONCE = 2**16


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

    Raises ``DataError`` if there is nothing to read, a file is damaged, files differ in their columns, or ``where`` is no condition on them.
    """
    found = find(spec, folder)
    if spec.columns and found.format != "csv":
        raise DataError(
            "input.columns gives types to CSV columns",
            hint=f"remove it; columns of {found.format} have types of their own",
        )
    readers = _OPENERS[found.format](found, spec)
    for reader in readers[1:]:
        _require_alike(readers[0], reader)
    return Source(spec, found, readers)


class Source:
    """The rows of a job. Reading blocks; use it from a thread.

    ``files`` are in order. ``schema`` is the table's as a user sees it. Relative paths in cells count from ``root``. ``rows`` is the number of the job's rows
    where it is known without reading them, else None.
    """

    def __init__(self, spec: Input, found: Found, readers: Sequence[Reader]) -> None:
        self._spec = spec
        self._format = found.format
        self._readers = readers
        self.files: tuple[Path, ...] = found.files
        self.root: Path = found.root
        self.schema: pa.Schema = readers[0].schema
        self._where = Where(spec.where, self.schema) if spec.where is not None else None

    @cached_property
    def _count(self) -> int | None:
        counts = [reader.count for reader in self._readers]
        return None if None in counts else sum(count for count in counts if count is not None)

    @property
    def rows(self) -> int | None:
        """The number of the job's rows, or None where only a whole pass could tell it."""
        if self._count is None or self._where is not None:
            return None
        sample = self._spec.sample.rows if self._spec.sample else self._count
        return min(self._count, sample, self._spec.limit or self._count)

    def signature(self) -> str:
        """Return a text that changes when the job's rows may have changed, and does not when their folder has only moved.

        Per file it holds the name below ``root``, size, modification time and, for Parquet, a digest of the footer; and how rows are chosen and read.
        """
        digest = blake2b(digest_size=16)
        digest.update(orjson.dumps([self._format, self._spec.model_dump(mode="json", exclude={"path"})]))
        for file in self.files:
            with translated(file):
                facts = file.stat()
                parts = [os.path.relpath(file, self.root), facts.st_size, facts.st_mtime_ns]
                digest.update(json.dumps(parts).encode())
                if self._format == "parquet":
                    digest.update(footer(file))
        return digest.hexdigest()

    def batches(
        self, columns: Sequence[str] | None = None, *, wanted: Wanted | None = None, target_bytes: int = TARGET_BYTES
    ) -> Iterator[Batch]:
        """Yield the job's rows in order, as batches of about ``target_bytes`` and at least one row, with only ``columns`` (None: all).

        ``wanted(first, count)`` says whether any of ``count`` rows from number ``first`` is needed; what is not is left out, and in Parquet not even
        read. Raises ``DataError``.
        """
        names = tuple(dict.fromkeys(self.schema.names if columns is None else columns))
        require_columns("the input", names, self.schema.names)
        chosen, where = self._chosen, self._where
        if chosen is not None:
            if not chosen:
                return
            where = None  # the chosen rows have passed it
        needed = dict.fromkeys((*names, *(where.columns if where else ())))
        for span in self._spans(Reading(tuple(needed), self._needed(wanted), target_bytes)):
            if span.table is not None:
                batch = _picked(span, chosen) if chosen is not None else _filtered(span, where)
                if batch.numbers:
                    yield Batch(batch.numbers, batch.table.select(names))
            if chosen is not None and span.end > chosen[-1]:
                return

    def _needed(self, wanted: Wanted | None) -> Wanted:
        chosen = self._chosen

        def needed(first: int, count: int) -> bool:
            if chosen is not None and bisect_left(chosen, first) == bisect_left(chosen, first + count):
                return False
            return wanted is None or wanted(first, count)

        return needed

    @cached_property
    def _chosen(self) -> Sequence[int] | None:
        """The numbers of the job's rows in order, where a row alone cannot tell whether it is one of them; None where it can."""
        sample, limit = self._spec.sample, self._spec.limit
        if sample is not None:
            return sampled(self._numbers(), sample.rows, sample.seed)[:limit]
        if limit is not None and self._where is not None:
            return list(islice((number for chunk in self._numbers() for number in chunk.to_pylist()), limit))
        return None if limit is None else range(limit)

    def _numbers(self) -> Iterator[pa.Int64Array]:
        """Yield the numbers of the rows that pass ``where``."""
        if self._where is None and self._count is not None:
            for first in range(0, self._count, _NUMBERS_AT_ONCE):
                yield pa.array(range(first, min(first + _NUMBERS_AT_ONCE, self._count)), pa.int64())
            return
        columns = self._where.columns if self._where else ()
        for span in self._spans(Reading(columns, _all_rows, TARGET_BYTES)):
            yield pa.array(_filtered(span, self._where).numbers, pa.int64())

    def _spans(self, reading: Reading) -> Iterator[Span]:
        """Yield every file's spans, numbered through, with the columns' types of the first file."""
        end = 0
        for reader in self._readers:
            first = end
            for span in reader.spans(reading, first):
                end = span.end
                with translated(reader.path):
                    yield Span(span.first, span.count, None if span.table is None else self._conformed(span.table))

    def _conformed(self, table: pa.RecordBatch) -> pa.RecordBatch:
        types = [self.schema.field(name).type for name in table.schema.names]
        if types == table.schema.types:
            return table
        columns = [column.cast(kind) for column, kind in zip(table.columns, types, strict=True)]
        return pa.record_batch(columns, names=table.schema.names)


def _all_rows(_first: int, _count: int) -> bool:
    return True


def _filtered(span: Span, where: Where | None) -> Batch:
    """Return the rows of the span for which ``where`` is true."""
    numbers: Sequence[int] = range(span.first, span.end)
    if where is None:
        return Batch(numbers, span.table)
    holds = where.holds(span.table)
    return Batch(pa.array(numbers, pa.int64()).filter(holds).to_pylist(), span.table.filter(holds))


def _picked(span: Span, chosen: Sequence[int]) -> Batch:
    """Return the rows of the span whose numbers are among the chosen."""
    numbers = chosen[bisect_left(chosen, span.first) : bisect_left(chosen, span.end)]
    if len(numbers) == span.count:
        return Batch(numbers, span.table)
    return Batch(numbers, span.table.take(pa.array([number - span.first for number in numbers], pa.int64())))


def _require_alike(one: Reader, other: Reader) -> None:
    """Raise ``DataError`` unless both files have the same columns, in whatever order."""
    mine, theirs = ({field.name: field.type for field in reader.schema} for reader in (one, other))
    for name in dict.fromkeys((*mine, *theirs)):
        here, there = theirs.get(name), mine.get(name)
        if here is None or there is None or _plain(here) != _plain(there):
            raise DataError(
                f"{other.path}: column {name!r} is {here or 'missing'} here and {there or 'missing'} in {one.path.name}",
                hint="files that are read as one table need the same columns with the same types",
            )


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type without the choices of layout that libraries differ in: long offsets, views, dictionaries."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _plain(field.type)) for field in kind])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind):
        return pa.list_(_plain(kind.value_type))
    return _LAYOUTS.get(kind, kind)


_LAYOUTS: Mapping[pa.DataType, pa.DataType] = {
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
}
