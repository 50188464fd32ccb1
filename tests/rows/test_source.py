"""The input as one table: row numbers, selections, several files, and when it counts as changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.rows.columns import cells
from pipeline.rows.select import sampled
from pipeline.rows.source import open_source
from pipeline.spec.input import Input, Sample


def write_all(folder: Path, parts: list[list[int]]) -> None:
    """Write the same parts in every format."""
    for index, part in enumerate(parts):
        pq.write_table(pa.table({"n": pa.array(part, pa.int64())}), folder / f"{index}.parquet", row_group_size=3)
        (folder / f"{index}.csv").write_text("n\n" + "".join(f"{n}\n" for n in part))
        (folder / f"{index}.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in part))


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
@given(
    parts=st.lists(st.lists(st.integers(0, 9), max_size=8), min_size=1, max_size=3).filter(any),
    least=st.none() | st.integers(0, 9),
    sample=st.none() | st.integers(1, 20),
    limit=st.none() | st.integers(1, 20),
    skip=st.integers(0, 20),
    target=st.sampled_from([1, 20, 2**20]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_row_numbers_are_positions_in_the_whole_input_whatever_is_selected(
    kind: str,
    parts: list[list[int]],
    least: int | None,
    sample: int | None,
    limit: int | None,
    skip: int,
    target: int,
    tmp_path: Path,
) -> None:
    """Where, sample, limit, spans left out and batch sizes never move a row's number or cells, nor change which rows are the job's."""
    write_all(tmp_path, parts)
    spec = Input(
        path=[f"{index}.{kind}" for index in range(len(parts))],
        columns={"n": "int"} if kind == "csv" else {},
        where=None if least is None else f"n >= {least}",
        sample=None if sample is None else Sample(rows=sample, seed=7),
        limit=limit,
    )
    table = [n for part in parts for n in part]
    expected = [number for number, n in enumerate(table) if least is None or n >= least]
    if sample is not None:
        expected = sampled([pa.array(expected, pa.int64())], sample, 7)
    expected = expected[:limit]
    source = open_source(spec, tmp_path)
    read = {
        number: row["n"]
        for batch in source.batches(target_bytes=target, wanted=lambda first, count: first + count > skip)
        for number, row in zip(batch.numbers, cells(batch.table), strict=True)
    }
    assert list(read) == sorted(read)
    assert set(read) <= set(expected)
    assert {number for number in expected if number >= skip} <= set(read)
    assert all(table[number] == n for number, n in read.items())
    assert source.rows in (None, len(expected))


def test_rows_are_counted_where_that_is_cheap(tmp_path: Path) -> None:
    """Parquet and JSON Lines know their length, with sample and limit too; CSV does not, nor does anyone under a condition."""
    write_all(tmp_path, [[1, 2, 3, 4]])
    rows = {kind: open_source(Input(path=f"0.{kind}"), tmp_path).rows for kind in ("parquet", "jsonl", "csv")}
    assert rows == {"parquet": 4, "jsonl": 4, "csv": None}
    assert open_source(Input(path="0.parquet", limit=3, sample=Sample(rows=2)), tmp_path).rows == 2
    assert open_source(Input(path="0.parquet", limit=9), tmp_path).rows == 4
    assert open_source(Input(path="0.parquet", where="n > 1"), tmp_path).rows is None


def test_a_limit_under_a_condition_means_the_same_rows_when_some_are_left_out(tmp_path: Path) -> None:
    """A resumed run that skips finished spans still stops at the row where the first run would have."""
    write_all(tmp_path, [list(range(10))])
    source = open_source(Input(path="0.parquet", where="n >= 2", limit=4), tmp_path)
    batches = source.batches(wanted=lambda first, _: first >= 3)
    assert [number for batch in batches for number in batch.numbers] == [3, 4, 5]


def test_a_batch_has_only_the_columns_asked_for(tmp_path: Path) -> None:
    """None means all; what a condition needs is not handed on; no column at all still counts rows."""
    pq.write_table(pa.table({"a": [1, 2], "b": [3, 4], "c": [5, 6]}), tmp_path / "t.parquet")
    source = open_source(Input(path="t.parquet", where="b > 3"), tmp_path)
    assert [batch.table.to_pydict() for batch in source.batches(["c"])] == [{"c": [6]}]
    assert [batch.table.to_pydict() for batch in source.batches()] == [{"a": [2], "b": [4], "c": [6]}]
    assert [(batch.numbers, batch.table.num_rows) for batch in source.batches([])] == [([1], 1)]


def test_a_column_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With the name that was probably meant."""
    write_all(tmp_path, [[1]])
    with pytest.raises(DataError, match="there is no column 'N'") as caught:
        list(open_source(Input(path="0.csv"), tmp_path).batches(["N"]))
    assert caught.value.hint == "did you mean 'n'?"


def test_files_may_differ_in_the_order_and_layout_of_columns(tmp_path: Path) -> None:
    """Files written by pyarrow, by polars and with dictionaries are one table, with the first file's types."""
    pq.write_table(pa.table({"n": [1], "s": ["a"], "l": [["x"]]}), tmp_path / "1.parquet")
    pl.DataFrame({"s": ["b"], "l": [["y"]], "n": [2]}).write_parquet(tmp_path / "2.parquet")
    pq.write_table(pa.table({"l": [["z"]], "n": [3], "s": pa.array(["c"]).dictionary_encode()}), tmp_path / "3.parquet")
    source = open_source(Input(path="*.parquet"), tmp_path)
    batches = list(source.batches())
    assert all(batch.table.schema.types == source.schema.types for batch in batches)
    assert [tuple(row.values()) for batch in batches for row in cells(batch.table)] == [
        (1, "a", ["x"]),
        (2, "b", ["y"]),
        (3, "c", ["z"]),
    ]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"n": [1.5], "s": ["a"]}, r"2\.parquet: column 'n' is double here and int64 in 1\.parquet"),
        ({"n": [1]}, r"2\.parquet: column 's' is missing here and string in 1\.parquet"),
        ({"n": [1], "s": ["a"], "x": [1]}, r"2\.parquet: column 'x' is int64 here and missing in 1\.parquet"),
    ],
)
def test_files_with_other_columns_are_refused(other: dict[str, list[object]], message: str, tmp_path: Path) -> None:
    """The file and the difference are named."""
    pq.write_table(pa.table({"n": [1], "s": ["a"]}), tmp_path / "1.parquet")
    pq.write_table(pa.table(other), tmp_path / "2.parquet")
    with pytest.raises(DataError, match=message):
        open_source(Input(path="*.parquet"), tmp_path)


def test_types_are_for_csv_only(tmp_path: Path) -> None:
    """A Parquet column has a type; asking for another is a mistake and not a wish."""
    write_all(tmp_path, [[1]])
    with pytest.raises(DataError, match="CSV files only"):
        open_source(Input(path="0.parquet", columns={"n": "int"}), tmp_path)


def test_a_folder_of_images_is_a_table_of_them(tmp_path: Path) -> None:
    """Path below the folder, name without ending, and size, with conditions like any table."""
    (tmp_path / "pics" / "sub").mkdir(parents=True)
    (tmp_path / "pics" / "b.jpg").write_bytes(b"12345")
    (tmp_path / "pics" / "sub" / "a.b.png").write_bytes(b"1")
    source = open_source(Input(path="pics"), tmp_path)
    assert source.root == tmp_path / "pics"
    assert source.rows == 2
    assert [row for batch in source.batches() for row in cells(batch.table)] == [
        {"path": "b.jpg", "name": "b", "bytes": 5},
        {"path": "sub/a.b.png", "name": "a.b", "bytes": 1},
    ]
    large = open_source(Input(path="pics", where="bytes > 1"), tmp_path)
    assert [batch.table.to_pydict() for batch in large.batches(["name"])] == [{"name": ["b"]}]


def test_a_name_that_is_no_text_is_one_row_of_a_folder(tmp_path: Path) -> None:
    """Its cells show the odd bytes; the other rows, and the signature, do not mind."""
    for name in (b"a.png", b"b\xff.png", "c\u00e9.png".encode()):
        (tmp_path / os.fsdecode(name)).write_bytes(b"1")
    source = open_source(Input(path="."), tmp_path)
    rows = [row for batch in source.batches() for row in cells(batch.table)]
    assert [row["path"] for row in rows] == ["a.png", "b\\xff.png", "c\u00e9.png"]
    assert [row["name"] for row in rows] == ["a", "b\\xff", "c\u00e9"]
    assert source.signature() == open_source(Input(path="."), tmp_path).signature()


def test_an_image_that_goes_away_meanwhile_is_told(tmp_path: Path) -> None:
    """Also when its size is asked for only later."""
    (tmp_path / "a.png").touch()
    source = open_source(Input(path="."), tmp_path)
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match="No such file"):
        list(source.batches())


def test_a_file_that_goes_away_meanwhile_is_told(tmp_path: Path) -> None:
    """Reading and signing alike."""
    write_all(tmp_path, [[1]])
    for kind in ("parquet", "csv", "jsonl"):
        source = open_source(Input(path=f"0.{kind}"), tmp_path)
        (tmp_path / f"0.{kind}").unlink()
        with pytest.raises(DataError, match="No such file"):
            list(source.batches())
        with pytest.raises(DataError, match="No such file"):
            source.signature()


def test_the_signature_stays_when_the_folder_moves(tmp_path: Path) -> None:
    """Names count relative to the folder, whatever it is called and however it is named."""
    (tmp_path / "old").mkdir()
    write_all(tmp_path / "old", [[1], [2]])
    before = [open_source(Input(path=f"old/*.{kind}"), tmp_path).signature() for kind in ("parquet", "csv")]
    shutil.move(tmp_path / "old", tmp_path / "new")
    after = [
        open_source(Input(path=str(tmp_path / "new" / f"*.{kind}")), Path("/")).signature()
        for kind in ("parquet", "csv")
    ]
    assert before == after
    assert len(set(before)) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"limit": 5},
        {"where": "n = '1'"},
        {"sample": 2},
        {"columns": {"n": "int"}},
        {"null_values": ["x"]},
        {"delimiter": ";"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_signature_changes_with_what_is_selected_and_how_it_is_read(
    change: dict[str, object], tmp_path: Path
) -> None:
    """The same file under other rules is another table."""
    write_all(tmp_path, [[1, 2]])
    plain = open_source(Input(path="0.csv"), tmp_path).signature()
    assert open_source(Input.model_validate({"path": "0.csv", **change}), tmp_path).signature() != plain
    assert open_source(Input(path=["0.csv"]), tmp_path).signature() == plain


def test_the_signature_changes_with_the_files(tmp_path: Path) -> None:
    """A file more, an edit, a touch, another name: each may mean other rows."""
    write_all(tmp_path, [[1, 2]])

    def signature() -> str:
        return open_source(Input(path="*.csv"), tmp_path).signature()

    seen = [signature()]
    os.utime(tmp_path / "0.csv", ns=(1, 1))
    seen.append(signature())
    with (tmp_path / "0.csv").open("a") as file:
        file.write("3\n")
    os.utime(tmp_path / "0.csv", ns=(1, 1))
    seen.append(signature())
    (tmp_path / "0.csv").rename(tmp_path / "1.csv")
    seen.append(signature())
    shutil.copy2(tmp_path / "1.csv", tmp_path / "2.csv")
    seen.append(signature())
    assert len(set(seen)) == len(seen)


def test_a_parquet_footer_counts_where_size_and_time_are_the_same(tmp_path: Path) -> None:
    """A file swapped for one of the same size and time, as some copying tools do, is noticed."""
    signatures = set()
    for value in (1, 2):
        pq.write_table(pa.table({"n": [value]}), tmp_path / "t.parquet")
        os.utime(tmp_path / "t.parquet", ns=(1, 1))
        signatures.add(open_source(Input(path="t.parquet"), tmp_path).signature())
    assert len(signatures) == 2
