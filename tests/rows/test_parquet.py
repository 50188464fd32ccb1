"""Parquet: only what is asked for is read, in batches of bounded size, and damage is named."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.rows.columns import cells
from pipeline.rows.source import open_source
from pipeline.rows.table import MAX_ROWS
from pipeline.spec.input import Input

PEAK = """
import resource, sys
from pathlib import Path
from pipeline.rows.source import open_source
from pipeline.spec.input import Input

def read(name):
    rows = sum(len(batch.numbers) for batch in open_source(Input(path=name), Path.cwd()).batches(target_bytes=2**21))
    return rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

before = read("small.parquet")[1]
rows, after = read("large.parquet")
print(rows, after - before)
"""


def write(path: Path, columns: dict[str, object], **options: object) -> Path:
    """Write a small table."""
    pq.write_table(pa.table(columns), path, **options)
    return path


def overwrite_group(path: Path, group: int) -> None:
    """Destroy the data of one row group and leave the rest of the file as it is."""
    facts = pq.read_metadata(path).row_group(group)
    content = bytearray(path.read_bytes())
    for index in range(facts.num_columns):
        chunk = facts.column(index)
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    path.write_bytes(content)


@pytest.mark.parametrize("rows", [{0, 1}, {7}, {9}, {0, 9}])
def test_row_groups_without_a_wanted_row_are_not_read(rows: set[int], tmp_path: Path) -> None:
    """The bytes of a row group that nobody wants may even be garbage."""
    path = write(
        tmp_path / "t.parquet", {"id": list(range(10)), "text": [f"t{i}" for i in range(10)]}, row_group_size=2
    )
    needed = {row // 2 for row in rows}
    for group in set(range(5)) - needed:
        overwrite_group(path, group)

    def wanted(first: int, count: int) -> bool:
        return any(first <= row < first + count for row in rows)

    batches = list(open_source(Input(path=str(path)), tmp_path).batches(wanted=wanted))
    assert [number for batch in batches for number in batch.numbers] == sorted(
        row for group in needed for row in (2 * group, 2 * group + 1)
    )
    assert {row["id"]: row["text"] for batch in batches for row in cells(batch.table)}.items() >= {
        (row, f"t{row}") for row in rows
    }


def test_a_limit_leaves_later_row_groups_unread(tmp_path: Path) -> None:
    """The first rows of a long table cost what the first rows cost."""
    path = write(tmp_path / "t.parquet", {"id": list(range(10))}, row_group_size=2)
    for group in range(1, 5):
        overwrite_group(path, group)
    (batch,) = open_source(Input(path=str(path), limit=2), tmp_path).batches()
    assert list(batch.numbers) == [0, 1]


def test_columns_nobody_asked_for_are_not_read(tmp_path: Path) -> None:
    """A damaged image column is no obstacle to a job on the titles; where may use a column that is not handed on."""
    path = write(tmp_path / "t.parquet", {"image": [b"x" * 100] * 4, "title": list("abcd"), "width": [1, 2, 3, 4]})
    content = path.read_bytes()
    chunk = pq.read_metadata(path).row_group(0).column(0)
    size = chunk.total_compressed_size
    path.write_bytes(content[:4] + b"\xff" * size + content[4 + size :])
    (batch,) = open_source(Input(path=str(path), where="width > 2"), tmp_path).batches(["title"])
    assert batch.table.to_pydict() == {"title": ["c", "d"]}
    assert batch.numbers == [2, 3]


def test_columns_come_in_the_order_asked_for_and_names_may_have_dots(tmp_path: Path) -> None:
    """A name with a dot is not mistaken for a member of a struct."""
    path = write(tmp_path / "t.parquet", {"a": [{"b": 1}], "a.b": ["dot"], "c": [3]})
    source = open_source(Input(path=str(path)), tmp_path)
    assert [list(batch.table.to_pydict().items()) for batch in source.batches(["c", "a.b"])] == [
        [("c", [3]), ("a.b", ["dot"])]
    ]
    assert [batch.table.to_pylist() for batch in source.batches(["a"])] == [[{"a": {"b": 1}}]]


@pytest.mark.parametrize("compression", ["none", "snappy"])
@pytest.mark.parametrize(
    "cell",
    [lambda i: i.to_bytes(2, "big") * 5_000, lambda i: bytes(10_000)],
    ids=["different cells", "one cell repeated"],
)
def test_a_batch_weighs_about_what_was_asked(cell: Callable[[int], bytes], compression: str, tmp_path: Path) -> None:
    """Batches follow the size of the cells as they are in memory, also where the file holds a repeated one only once."""
    path = write(tmp_path / "t.parquet", {"image": [cell(i) for i in range(400)]}, compression=compression)
    batches = list(open_source(Input(path=str(path)), tmp_path).batches(target_bytes=100_000))
    assert sum(len(batch.numbers) for batch in batches) == 400
    assert all(50_000 <= batch.table.nbytes <= 150_000 for batch in batches[:-1])


def test_a_batch_has_at_least_one_row_and_at_most_the_maximum(tmp_path: Path) -> None:
    """Neither a huge cell nor a tiny one makes a batch that nobody can use."""
    path = write(tmp_path / "t.parquet", {"n": list(range(MAX_ROWS + 1))})
    source = open_source(Input(path=str(path)), tmp_path)
    assert [len(batch.numbers) for batch in source.batches()] == [MAX_ROWS, 1]
    assert {len(batch.numbers) for batch in source.batches(target_bytes=1, wanted=lambda first, _: first < 5)} == {1}


@pytest.mark.parametrize(
    ("megabytes", "allowed"),
    [(40, 25), pytest.param(400, 25, marks=pytest.mark.slow)],
)
def test_memory_does_not_grow_with_the_row_group(megabytes: int, allowed: int, tmp_path: Path) -> None:
    """One row group of images, ten times longer or not, costs the same few megabytes to read."""
    for name, count in (("small.parquet", 10), ("large.parquet", megabytes * 10)):
        images = pa.array([os.urandom(100_000) for _ in range(count)], pa.binary())
        pq.write_table(pa.table({"image": images}), tmp_path / name, row_group_size=count, write_batch_size=5)
    done = subprocess.run(
        [sys.executable, "-c", PEAK],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    rows, grown = map(int, done.stdout.split())
    assert rows == megabytes * 10
    assert grown <= allowed


def test_a_table_without_rows_is_read(tmp_path: Path) -> None:
    """Nothing to do is no error here."""
    path = write(tmp_path / "t.parquet", {"a": pa.array([], pa.int64())})
    source = open_source(Input(path=str(path)), tmp_path)
    assert source.rows == 0
    assert list(source.batches()) == []


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    """A template could not tell them apart."""
    pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet: more than one column is called 'a'"):
        open_source(Input(path="t.parquet"), tmp_path)


WHOLE = pa.BufferOutputStream()
pq.write_table(
    pa.table(
        {
            "id": list(range(20)),
            "text": [f"text {i}" for i in range(20)],
            "tags": [["a", "b"]] * 20,
            "kind": pa.array(["x", "y"] * 10).dictionary_encode(),
        }
    ),
    WHOLE,
    row_group_size=7,
)
BYTES = WHOLE.getvalue().to_pybytes()


@given(cut=st.integers(0, len(BYTES) - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@example(cut=0)
@example(cut=len(BYTES) - 1)
def test_a_file_cut_off_anywhere_is_refused_when_it_is_opened(cut: int, tmp_path: Path) -> None:
    """Half a download is told by name before anything is sent."""
    path = tmp_path / "cut.parquet"
    path.write_bytes(BYTES[:cut])
    with pytest.raises(DataError, match=r"cut\.parquet: ") as caught:
        open_source(Input(path=str(path)), tmp_path)
    assert caught.value.hint


@given(place=st.integers(0, len(BYTES) - 1), change=st.integers(1, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
def test_a_damaged_byte_anywhere_never_shows_an_error_of_the_library(place: int, change: int, tmp_path: Path) -> None:
    """A file with a wrong byte is read, or refused by name; nothing else comes out of it."""
    path = tmp_path / "bad.parquet"
    content = bytearray(BYTES)
    content[place] ^= change
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        source = open_source(Input(path=str(path)), tmp_path)
        for batch in source.batches():
            assert len(batch.numbers) == len(list(cells(batch.table)))
        source.signature()
