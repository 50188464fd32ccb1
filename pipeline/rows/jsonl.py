"""JSON Lines, streamed. A first pass finds the columns and their types, so that no surprise waits behind paid rows.

The columns are the union over all lines of all files; where a line lacks one, it is null. A blank line is no row.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from pipeline.errors import DataError
from pipeline.rows.door import translated
from pipeline.rows.json_types import (
    EMPTY_OBJECT,
    HUGE,
    JsonType,
    UntypableError,
    arrow_schema,
    json_type,
    mentions,
    merged,
)
from pipeline.rows.table import Reading, Span, at_line, chunked, record_batch

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

_MAX_LINE = 256 * 2**20
_MAX_SHAPES = 4096
_BOM = b"\xef\xbb\xbf"
_ONE_OBJECT = "JSON Lines has one object per line"
_AS_STRINGS = "write such values as strings, in every line"

Line = tuple[int, bytes]
"""A line's number in its file, counted from 1, and its bytes."""


class JsonlReader:
    """One file of JSON objects, one per line."""

    def __init__(self, path: Path, schema: pa.Schema, count: int) -> None:
        self.path = path
        self.schema = schema
        self.count = count

    def spans(self, reading: Reading, first: int) -> Iterator[Span]:
        """Yield the rows; lines that nobody wants are not parsed."""
        with closing(_lines(self.path)) as lines:
            for chunk in chunked(lines, _weight, reading.target_bytes, reading.most):
                table = self._table(chunk, reading) if reading.wanted(first, len(chunk)) else None
                yield Span(first, len(chunk), table)
                first += len(chunk)

    def _table(self, chunk: list[Line], reading: Reading) -> pa.RecordBatch:
        rows = [_object(self.path, number, line) for number, line in chunk]
        columns = {}
        for name in reading.columns:
            with translated(self.path, hint="has the file changed since it was opened?"):
                columns[name] = pa.array([row.get(name) for row in rows], self.schema.field(name).type)
        return record_batch(columns, len(rows))


def open_jsonl(paths: Sequence[Path]) -> list[JsonlReader]:
    """Open the files with the one schema that fits them all. Raises ``DataError`` with the line that does not fit."""
    kind = EMPTY_OBJECT
    counts = []
    for path in paths:
        kind, count = _surveyed(path, kind)
        counts.append(count)
    if not any(counts):
        raise DataError(f"{paths[0]}: there is no object in the file", hint=_ONE_OBJECT)
    schema = arrow_schema(kind)
    return [JsonlReader(path, schema, count) for path, count in zip(paths, counts, strict=True)]


def _surveyed(path: Path, kind: JsonType) -> tuple[JsonType, int]:
    """Return the type that holds ``kind`` and every line of the file, and the number of its rows."""
    shapes: set[JsonType] = set()
    count = 0
    for number, line in _lines(path):
        count += 1
        row = _object(path, number, line)
        try:
            shape = json_type(row)
            if shape not in shapes:
                kind = merged(kind, shape)
                shapes.add(shape)
        except UntypableError as error:
            raise at_line(path, number, str(error), _AS_STRINGS) from error
        except RecursionError as error:
            raise at_line(path, number, "the values are nested too deeply", _AS_STRINGS) from error
        if len(shapes) > _MAX_SHAPES:
            shapes.clear()
    if mentions(kind, HUGE):
        _verify_integers(path)
    return kind, count


def _verify_integers(path: Path) -> None:
    """Raise ``DataError`` if a float that orjson returned stands as a long integer in the file."""
    for number, line in _lines(path):
        try:
            json_type(json.loads(line))
        except ValueError as error:  # ours, or Python's own for an integer of more than 4,300 digits
            raise at_line(path, number, str(error), _AS_STRINGS) from error


def _lines(path: Path) -> Generator[Line, None, None]:
    with translated(path), path.open("rb") as file:
        number = 0
        while line := file.readline(_MAX_LINE):
            number += 1
            if len(line) == _MAX_LINE:
                raise at_line(path, number, f"the line is longer than {_MAX_LINE:,} bytes", _ONE_OBJECT)
            if number == 1:
                line = line.removeprefix(_BOM)
            if line and not line.isspace():
                yield number, line


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise at_line(path, number, f"no JSON: {error.msg} (character {error.pos + 1})", _ONE_OBJECT) from error
    if not isinstance(row, dict):
        raise at_line(path, number, f"a JSON {type(row).__name__} where an object should be", _ONE_OBJECT)
    return row


def _weight(line: Line) -> int:
    return len(line[1])
