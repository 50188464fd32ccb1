"""A folder of images as a table: where each file lies, what it is called, and how large it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.rows.door import translated
from pipeline.rows.table import Reading, Span, record_batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


class ImageFolder:
    """Image files below a folder: ``path`` relative to it, ``name`` without ending, and the size in ``bytes``."""

    schema = pa.schema([("path", pa.string()), ("name", pa.string()), ("bytes", pa.int64())])

    def __init__(self, root: Path, files: Sequence[Path]) -> None:
        self.path = root
        self.count = len(files)
        self._files = files
        self._cells: Mapping[str, Callable[[Path], object]] = {
            "path": lambda file: readable(file.relative_to(root).as_posix()),
            "name": lambda file: readable(file.stem),
            "bytes": lambda file: file.stat().st_size,
        }

    def spans(self, reading: Reading, first: int) -> Iterator[Span]:
        """Yield the files in their order."""
        for start in range(0, self.count, reading.most):
            files = self._files[start : start + reading.most]
            table = self._table(files, reading) if reading.wanted(first + start, len(files)) else None
            yield Span(first + start, len(files), table)

    def _table(self, files: Sequence[Path], reading: Reading) -> pa.RecordBatch:
        with translated(self.path):
            columns = {
                name: pa.array(list(map(self._cells[name], files)), self.schema.field(name).type)
                for name in reading.columns
            }
        return record_batch(columns, len(files))


def readable(name: str) -> str:
    """Return a file's name as text: bytes of it that are no UTF-8 become ``\\xff``. Such a file is not found again by its cell."""
    return os.fsencode(name).decode(errors="backslashreplace")


def images_below(root: Path, endings: frozenset[str]) -> Iterator[Path]:
    """Yield the files below ``root`` with these endings, but no hidden ones, nor links that lead out of it."""
    real_root = root.resolve()
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in names:
            file = Path(folder, name)
            if name.startswith(".") or file.suffix.lower() not in endings:
                continue
            if file.is_file() and file.resolve().is_relative_to(real_root):
                yield file
