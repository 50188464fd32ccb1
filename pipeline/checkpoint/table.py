"""Journal + input → the final table, streamed in input order and published in one step.

The Parquet file is derived: it can be written again from the journal at any time, and a reader never sees half of it. Rows meet by their
number, batch by batch, so memory does not grow with the table.
"""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import contextmanager, suppress
from decimal import Decimal
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipeline.checkpoint.cells import answers, needed
from pipeline.checkpoint.durable import move, remove_orphans, temporary
from pipeline.errors import DataError, DiskFailed
from pipeline.events import Writing
from pipeline.rows.columns import to_python
from pipeline.rows.table import TARGET_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.checkpoint.columns import Columns
    from pipeline.checkpoint.reader import Reader
    from pipeline.events import Observer
    from pipeline.rows.source import Source

METADATA_KEY = b"pipeline"
_FIRST_ROWS = 16
_MOST_ROWS = 512
"""Rows of the journal that are Python values at a time: so few stay in the processor's cache until they are Arrow's."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
# ESC would steer the terminal that shows the file, and NUL end it for some readers; tab and line ends are text.
_CONTROLS = dict.fromkeys({*range(0x20), 0x7F} - {ord(mark) for mark in "\t\n\r"})
# What Arrow writes as CSV by itself; everything else is turned into text first.
_PLAIN = (
    pa.types.is_boolean,
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_timestamp,
)


def write_table(
    source: Source, reader: Reader, columns: Columns, target: Path, observe: Observer, metadata: dict[str, object]
) -> int:
    """Write the whole table to ``target`` as zstd Parquet and return its number of rows. Blocking. Raises ``DiskFailed``.

    ``metadata`` goes into the file's schema under the key ``pipeline``, as JSON.
    """
    schema = columns.schema.with_metadata({METADATA_KEY: json.dumps(metadata).encode()})
    written = 0
    with published(target) as unfinished, pq.ParquetWriter(unfinished, schema, compression="zstd") as writer:
        for group in _grouped(batches(source, reader, columns)):
            writer.write_table(pa.Table.from_batches(group, columns.schema).replace_schema_metadata(schema.metadata))
            written += sum(batch.num_rows for batch in group)
            observe(Writing(done=written, rows=source.rows or written))
    return written


def write_csv(source: Source, reader: Reader, columns: Columns, target: Path) -> int:
    """Write the table as CSV and return its number of rows: nested columns as JSON, bytes as base64, no cell that a spreadsheet would run.

    A text that begins with ``=``, ``+``, ``-``, ``@``, tab or return gets an apostrophe before it; control characters but for tab and line
    ends are dropped. Blocking. Raises ``DiskFailed``.
    """
    written = 0
    schema = pa.schema([pa.field(_neutral(field.name), _csv_type(field.type)) for field in columns.schema])
    with published(target) as unfinished, pa_csv.CSVWriter(unfinished, schema) as writer:
        for batch in batches(source, reader, columns):
            arrays = [_flat(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            written += batch.num_rows
    return written


def write_text(target: Path, text: str) -> None:
    """Write a text file in one step: whoever looks sees the old one or the whole new one. Blocking. Raises ``DiskFailed``."""
    with published(target) as unfinished:
        unfinished.write_text(text, encoding="utf-8", errors="replace")


def batches(source: Source, reader: Reader, columns: Columns) -> Iterator[pa.RecordBatch]:
    """Yield the output's rows in input order: the kept input columns beside what the journal says.

    Raises ``DataError`` where the input is not the one that was asked about: rows meet by number, and would meet strangers.
    """
    if source.signature() != reader.input_signature:
        raise DataError(
            "the input has changed since its rows were asked, so the answers would stand beside the wrong rows",
            hint="run the job again: rows that ask the same keep their answers",
        )
    names, size = needed(columns), _FIRST_ROWS
    for batch in source.batches(columns.kept):
        numbers = list(batch.numbers)
        first = 0
        while some := numbers[first : first + size]:
            values = reader.found.values(some[0], some[-1], names)
            kept = [batch.table.column(name).slice(first, len(some)) for name in columns.kept]
            part = pa.record_batch([*kept, *answers(columns, values, some)], schema=columns.schema)
            yield part
            first += len(some)
            # As many as weigh what a batch may, by those before: a row's answer may have megabytes.
            size = max(1, min(_MOST_ROWS, 2 * size, size * TARGET_BYTES // max(part.nbytes, 1)))


def _grouped(parts: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Yield the batches in groups, each of which is a row group of the file: in memory until it is written."""
    group: list[pa.RecordBatch] = []
    weight = 0
    for part in parts:
        group.append(part)
        weight += part.nbytes
        if weight >= TARGET_BYTES:
            yield group
            group, weight = [], 0
    if group:
        yield group


@contextmanager
def published(target: Path) -> Iterator[Path]:
    """Give a temporary path; when the block ends well, make it durable and put it in the target's place in one step."""
    written = temporary(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_orphans(target.parent, escape(target.name))
        yield written
        move(written, target)
    except OSError as error:
        raise DiskFailed(
            f"cannot write {target}: {error.strerror or error}",
            hint="what was answered is safe in the run directory: mend the disk, then run the same command or `pipeline export`",
        ) from error
    finally:
        with suppress(OSError):  # gone into the target's place, or in a folder that is none
            written.unlink()


def _csv_type(type_: pa.DataType) -> pa.DataType:
    return type_ if any(is_plain(type_) for is_plain in _PLAIN) else pa.string()


def _flat(column: pa.Array, type_: pa.DataType) -> pa.Array:
    if type_ != pa.string():
        return column
    return pa.array([None if cell is None else _text(cell) for cell in to_python(column)], type_)


def _text(cell: object) -> str:
    match cell:
        case dict() | list():
            return json.dumps(cell, ensure_ascii=False, default=_member)
        case Decimal():
            return str(cell)  # a number, also where it begins with a minus
        case _:
            return _neutral(_member(cell))


def _member(cell: object) -> str:
    return b64encode(cell).decode() if isinstance(cell, bytes) else str(cell)


def _neutral(text: str) -> str:
    text = text.translate(_CONTROLS)
    return "'" + text if text.startswith(FORMULA_STARTS) else text
