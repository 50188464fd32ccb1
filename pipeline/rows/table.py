"""What every format's reader offers: a schema, a row count where it is known, and the table in bounded spans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import pyarrow as pa

from pipeline.errors import DataError
from pipeline.rows.columns import suggest

if TYPE_CHECKING:
    from pathlib import Path

TARGET_BYTES = 16 * 2**20
MAX_ROWS = 8192

Item = TypeVar("Item")
Wanted = Callable[[int, int], bool]
"""Says of ``count`` rows from number ``first`` whether any of them is needed."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one pass over the table asks for: the columns, the rows, how many bytes a span should weigh, and its rows at most."""

    columns: Sequence[str]
    wanted: Wanted
    target_bytes: int
    most: int = MAX_ROWS


@dataclass(frozen=True, slots=True)
class Span:
    """``count`` rows from number ``first``. ``table`` is None where nobody wanted them and they were not read."""

    first: int
    count: int
    table: pa.RecordBatch | None

    @property
    def end(self) -> int:
        """The number of the row after the last one."""
        return self.first + self.count


class Reader(Protocol):
    """One file, or one folder of images. ``count`` is None where only a whole pass could tell it."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def schema(self) -> pa.Schema:
        """The columns as a user sees them."""

    @property
    def count(self) -> int | None:
        """The number of rows."""

    def spans(self, reading: Reading, first: int) -> Iterator[Span]:
        """Yield the rows in order, without a gap; the file's first row has number ``first``. Raises ``DataError``."""


def record_batch(columns: Mapping[str, pa.Array], rows: int) -> pa.RecordBatch:
    """Build a batch that knows its number of rows even when it has no column."""
    # pyarrow takes the length from the first array, so a column of nulls lends its own and is dropped again.
    batch = pa.record_batch([pa.nulls(rows), *columns.values()], names=["", *columns])
    return batch.select(range(1, batch.num_columns))


def reject_duplicates(place: Path, names: Sequence[str]) -> None:
    """Raise ``DataError`` if two columns share a name: a template could not tell them apart."""
    doubled = [name for name, times in Counter(names).items() if times > 1]
    if doubled:
        raise DataError(
            f"{place}: more than one column is called {', '.join(map(repr, doubled))}",
            hint="rename the columns in the file",
        )


def require_columns(place: Path | str, wanted: Iterable[str], names: Sequence[str]) -> None:
    """Raise ``DataError`` if a column of ``wanted`` is not one of the table's ``names``."""
    known = frozenset(names)
    for name in wanted:
        if name not in known:
            close = suggest(name, names)
            hint = f"did you mean {close!r}?" if close else f"its columns are {', '.join(names)}"
            raise DataError(f"{place}: there is no column {name!r}", hint=hint)


def at_line(path: Path, line: int, message: str, hint: str) -> DataError:
    """Return the error for a line of a text file, counted from 1."""
    return DataError(f"{path}:{line}: {message}", hint=hint)


def chunked(
    items: Iterable[Item], weigh: Callable[[Item], int], target_bytes: int, most: int = MAX_ROWS
) -> Iterator[list[Item]]:
    """Yield the items in lists of about ``target_bytes``, and of ``most`` at most."""
    chunk: list[Item] = []
    weight = 0
    for item in items:
        chunk.append(item)
        weight += weigh(item)
        if weight >= target_bytes or len(chunk) == most:
            yield chunk
            chunk, weight = [], 0
    if chunk:
        yield chunk
