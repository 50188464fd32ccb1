"""The door: no error of pyarrow, polars or the file system leaves this package as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from pipeline.errors import DataError
from pipeline.rows.door import translated


def descendants(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    """Walk a class and everything below it."""
    yield kind
    for child in kind.__subclasses__():
        yield from descendants(child)


POLARS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
FOREIGN = sorted(
    {*descendants(pa.ArrowException), *descendants(pl.exceptions.PolarsError), pl.exceptions.PanicException, OSError},
    key=lambda kind: kind.__name__,
)


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
def test_every_error_class_of_the_libraries_below_is_translated(kind: type[BaseException]) -> None:
    """Each of them becomes a DataError that names the place and keeps the cause."""
    with (
        pytest.raises(DataError, match=r"^photos\.parquet: it broke$") as caught,
        translated("photos.parquet", hint="mend it", also=POLARS),
    ):
        raise kind("it broke.\nwith a long story")
    assert isinstance(caught.value.__cause__, kind)
    assert caught.value.hint == "mend it"


def test_the_systems_reason_is_told_without_its_number(tmp_path: Path) -> None:
    """A missing file reads as people say it."""
    path = tmp_path / "x"
    with (
        pytest.raises(DataError, match=re.escape(f"{path}: No such file or directory")) as caught,
        translated(path, hint="write it again"),
    ):
        path.open()
    assert caught.value.hint is None


def test_an_error_without_a_message_is_called_by_its_name() -> None:
    """Silence is no reason."""
    with pytest.raises(DataError, match=r"^x: ArrowInvalid$"), translated("x"):
        raise pa.ArrowInvalid


def test_our_own_errors_pass_through() -> None:
    """A programming mistake stays what it is, and a DataError is not wrapped again."""
    own = DataError("t.csv:3: bad")
    with pytest.raises(DataError) as caught, translated("x"):
        raise own
    assert caught.value is own
    with pytest.raises(ZeroDivisionError), translated("x"):
        raise ZeroDivisionError
