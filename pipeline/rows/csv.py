"""CSV, streamed: every cell is the text that stands in the file, unless the job types its column.

Python's own parser reads it: it keeps cells as they are (leading zeros, spaces, ``NA``, ``1e5``, line breaks), knows
the line of each row, and holds no more than the row it is at. An empty cell is null, quoted or not. A blank line is no
row.
"""

from __future__ import annotations

import csv
from contextlib import closing
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.errors import DataError
from pipeline.rows.cell_types import CELL_TYPES, CellType, datetime_type
from pipeline.rows.door import translated
from pipeline.rows.table import Reading, Span, at_line, chunked, record_batch, reject_duplicates, require_columns

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping
    from pathlib import Path

    from pipeline.spec.input import Input

_DELIMITERS: Mapping[str, str] = {".tsv": "\t"}
_DEFAULT_DELIMITER = ","
_MAX_CELL = 64 * 2**20  # anything longer is a quote that was never closed, with the rest of the file behind it
_CHARACTERS_SHOWN = 60

Record = tuple[int, list[str]]
"""The line on which a row begins, counted from 1, and its cells."""


class CsvReader:
    """One CSV file with a header line."""

    count: int | None = None

    def __init__(self, path: Path, spec: Input) -> None:
        """Raise ``DataError`` if there is no header, or a name occurs twice in it, or a typed one is not in it."""
        self.path = path
        self._nulls = frozenset(("", *spec.null_values))
        self._delimiter = spec.delimiter
        if spec.delimiter == _DEFAULT_DELIMITER:
            self._delimiter = _DELIMITERS.get(path.suffix.lower(), _DEFAULT_DELIMITER)
        with closing(_records(path, self._delimiter)) as records:
            _, names = next(records, (0, []))
            if not names:
                raise DataError(f"{path}: the file is empty", hint="a CSV file begins with a line of column names")
            reject_duplicates(path, names)
            require_columns(f"{path}: input.columns", spec.columns, names)
            self._places = {name: index for index, name in enumerate(names)}
            self._types = {name: CELL_TYPES[spec.columns.get(name, "string")] for name in names}
            self._types |= self._datetime_types(spec.columns, records)
        self.schema: pa.Schema = pa.schema([(name, kind.arrow) for name, kind in self._types.items()])

    def _datetime_types(self, asked: Mapping[str, str], records: Iterable[Record]) -> dict[str, CellType]:
        """Look at the first rows to tell datetimes with an offset from those without."""
        columns = [name for name, kind in asked.items() if kind == "datetime"]
        head = next(chunked(records, _weight, _MAX_CELL), []) if columns else []
        return {name: datetime_type(next(filter(None, self._texts(name, head)), None)) for name in columns}

    def spans(self, reading: Reading, first: int) -> Iterator[Span]:
        """Yield the rows; those nobody wants are parsed, as only that tells where a row ends, but not converted."""
        with closing(_records(self.path, self._delimiter)) as records:
            next(records, None)
            for chunk in chunked(records, _weight, reading.target_bytes, reading.most):
                table = None
                if reading.wanted(first, len(chunk)):
                    columns = {name: self._column(name, chunk, first) for name in reading.columns}
                    table = record_batch(columns, len(chunk))
                yield Span(first, len(chunk), table)
                first += len(chunk)

    def _texts(self, name: str, chunk: list[Record]) -> list[str | None]:
        index, nulls = self._places[name], self._nulls
        return [None if cells[index] in nulls else cells[index] for _, cells in chunk]

    def _column(self, name: str, chunk: list[Record], first: int) -> pa.Array:
        kind, texts = self._types[name], self._texts(name, chunk)
        if kind.parse is str:
            return pa.array(texts, kind.arrow)
        values: list[object] = []
        for (line, _), text in zip(chunk, texts, strict=True):
            try:
                values.append(None if text is None else kind.parse(text))
            except ValueError as error:
                cell = repr((text or "")[:_CHARACTERS_SHOWN])
                message = f"column {name!r} of row {first + len(values)} is {cell}, which is no {kind.name}"
                hint = "correct the cell, name its text in input.null_values, or leave the column out of input.columns"
                raise at_line(self.path, line, message, hint) from error
        return pa.array(values, kind.arrow)


def _records(path: Path, delimiter: str) -> Generator[Record, None, None]:
    """Yield every row of the file, the header first."""
    # The limit is the process's own, so it is only ever raised; its default of 128 KB is less than one long text.
    csv.field_size_limit(max(csv.field_size_limit(), _MAX_CELL))
    with translated(path), path.open(encoding="utf-8-sig", newline="") as file:
        parser = csv.reader(_without_nul(path, file), delimiter=delimiter, strict=True)
        begins, width = 1, 0
        try:
            for cells in parser:
                if cells:
                    width = width or len(cells)
                    if len(cells) != width:
                        hint = "quote the cells that hold a delimiter"
                        raise at_line(path, begins, f"{len(cells)} cells where the header has {width}", hint)
                    yield begins, cells
                begins = parser.line_num + 1
        except csv.Error as error:
            raise at_line(path, begins, f"the row that begins here is no CSV: {error}", "see to its quotes") from error
        except UnicodeDecodeError as error:
            raise at_line(path, _undecodable_line(path), "this line is not UTF-8", "save the file as UTF-8") from error


def _without_nul(path: Path, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        if "\0" in line:
            raise at_line(path, number, "a NUL byte", "the file is damaged, or not text in UTF-8")
        yield line


def _undecodable_line(path: Path) -> int:
    """Return the first line that is not UTF-8; the decoder works on blocks and cannot tell."""
    with path.open("rb") as file:
        return next(number for number, line in enumerate(file, 1) if not _is_utf8(line))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _weight(record: Record) -> int:
    return sum(map(len, record[1]))
