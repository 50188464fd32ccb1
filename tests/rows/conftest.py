"""What the tests of the table reader share: writing a small file, and reading it back as people would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipeline.rows.columns import cells
from pipeline.rows.source import Source, open_source
from pipeline.spec.input import Input


@dataclass
class Table:
    """An input as a job names it, in a folder of its own."""

    folder: Path
    path: str | list[str] = ""
    options: dict[str, Any] = field(default_factory=dict)

    def open(self, **options: Any) -> Source:
        """Open the input with further options of the job."""
        return open_source(Input(**{"path": self.path, **self.options, **options}), self.folder)

    def rows(self, columns: list[str] | None = None, **options: Any) -> list[dict[str, object]]:
        """Return every row of the job."""
        return [row for batch in self.open(**options).batches(columns) for row in cells(batch.table)]

    def numbers(self, **options: Any) -> list[int]:
        """Return the row numbers of the job."""
        return [number for batch in self.open(**options).batches([]) for number in batch.numbers]


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Table]:
    """Return a function that writes a file and returns it as an input."""

    def write(name: str, content: str | bytes, **options: Any) -> Table:
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return Table(tmp_path, name, options)

    return write


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Table]:
    """Return a function that names an input in the test's folder."""
    return lambda path, **options: Table(tmp_path, path, options)
