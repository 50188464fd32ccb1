"""CSV: cells as they are written, types where asked, and the line of every mistake."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.rows.columns import cells
from pipeline.rows.csv import CsvReader
from pipeline.rows.table import MAX_ROWS, Reading
from pipeline.spec.input import Input

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.text(
    "\",;\r\n \t'é", max_size=6
)


def read(path: Path, **options: object) -> list[dict[str, object]]:
    """Read a CSV file through its reader."""
    reader = CsvReader(path, Input.model_validate({"path": str(path), **options}))
    reading = Reading(reader.schema.names, lambda *_: True, 2**24)
    return [row for span in reader.spans(reading, 0) for row in cells(span.table)]


@given(rows=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=6), delimiter=st.sampled_from(",;\t|"))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_that_a_csv_writer_wrote_comes_back_as_it_was(
    rows: list[tuple[str, str, str]], delimiter: str, tmp_path: Path
) -> None:
    """Whatever quotes, delimiters, line breaks and scripts a cell holds, it arrives as it was; an empty one is null."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows([("a", "b", "c"), *rows])
    path = tmp_path / "any.csv"
    path.write_bytes(text.getvalue().encode())
    assert [tuple(row.values()) for row in read(path, delimiter=delimiter)] == [
        tuple(cell or None for cell in row) for row in rows
    ]


@pytest.mark.parametrize(
    "cell",
    ["007", " padded ", "1e5", "NA", "null", "NaN", "true", "2024-01-02", "1,234", 'say "hi"', "-0", "1_000", "#"],
)
def test_a_cell_that_looks_like_something_else_stays_text(cell: str, table) -> None:
    """No cell is taken for a number, a date, a truth value or a null unless the job says so."""
    written = f"""a,b\n{'"' + cell.replace('"', '""') + '"'},x\n"""
    assert table("t.csv", written).rows() == [{"a": cell, "b": "x"}]


def test_an_unquoted_quote_within_a_cell_is_kept(table) -> None:
    """Quotes mean something only where they open a cell."""
    assert table("t.csv", 'a,b\nhe said "hi",2\n').rows() == [{"a": 'he said "hi"', "b": "2"}]


def test_a_line_break_within_quotes_is_kept_as_it_is(table) -> None:
    """A cell may have lines, whose ends are not translated."""
    assert table("t.csv", 'a,b\r\n"x\r\ny\nz",1\r\n').rows() == [{"a": "x\r\ny\nz", "b": "1"}]


def test_empty_cells_and_null_values_are_null_and_others_are_not(table) -> None:
    """An empty cell is null, quoted or not, and so are the texts in null_values, but not those that only resemble them."""
    rows = table("t.csv", 'a,b\n,""\nNA,n/a\nna, \n', null_values=["NA", "n/a"]).rows()
    assert [tuple(row.values()) for row in rows] == [(None, None), (None, None), ("na", " ")]


def test_blank_lines_are_no_rows(table) -> None:
    """Blank lines before, between and after rows count for nothing."""
    assert table("t.csv", "\n\na,b\n\n1,2\n\n").rows() == [{"a": "1", "b": "2"}]


def test_a_byte_order_mark_is_no_part_of_the_first_name(table) -> None:
    """Files saved by Excel begin with a mark, which is not text."""
    assert table("t.csv", b"\xef\xbb\xbfa,b\n1,2\n").rows() == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize(
    ("name", "options"), [("t.tsv", {}), ("t.csv", {"delimiter": "\t"}), ("t.tsv", {"delimiter": "\t"})]
)
def test_the_delimiter_is_the_jobs_or_the_endings(name: str, options: dict[str, str], table) -> None:
    """A .tsv file is split at tabs without being told."""
    assert table(name, "a\tb\n1,5\t2\n", **options).rows() == [{"a": "1,5", "b": "2"}]


def test_typed_columns_hold_values_of_their_types(table) -> None:
    """Each type of input.columns gives exact values; what is not named stays text."""
    text = (
        "i,f,b,d,t,z,s\n"
        "9223372036854775807,1e5,TRUE,2024-02-29,2024-01-01T10:00:00.000001,2024-01-01T10:00:00+02:00,01\n"
        ",,,,,,\n-7,nan,0,0001-01-01,1999-12-31 23:59,2024-01-01T10:00Z,02\n"
    )
    types = {"i": "int", "f": "float", "b": "bool", "d": "date", "t": "datetime", "z": "datetime"}
    source = table("t.csv", text, columns=types)
    first, empty, last = source.rows()
    assert list(first.values()) == [
        9223372036854775807,
        100000.0,
        True,
        date(2024, 2, 29),
        datetime(2024, 1, 1, 10, 0, 0, 1),
        datetime(2024, 1, 1, 8, tzinfo=UTC),
        "01",
    ]
    assert set(empty.values()) == {None}
    assert (last["i"], str(last["f"]), last["b"], last["z"]) == (-7, "nan", False, datetime(2024, 1, 1, 10, tzinfo=UTC))
    assert source.open().schema.field("z").type == pa.timestamp("us", "UTC")


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        ("int", "1.0"),
        ("int", "1e5"),
        ("int", "1_000"),
        ("int", "9223372036854775808"),
        ("int", "x"),
        ("float", "1,5"),
        ("float", "1_0"),
        ("bool", "yes"),
        ("date", "31.12.2024"),
        ("date", "2024-02-30"),
        ("datetime", "yesterday"),
        ("datetime", "2024-01-01T00:00:00Z"),
    ],
)
def test_a_cell_that_does_not_fit_its_type_is_named_with_its_place(kind: str, cell: str, table) -> None:
    """The error says file, line, row, column and text, so that the cell can be found."""
    good = {"int": "1", "float": "1", "bool": "1", "date": "2024-01-01", "datetime": "2024-01-01"}[kind]
    with pytest.raises(DataError) as caught:
        table("t.csv", f'id,x\n"a\nb",{good}\n2,"{cell}"\n', columns={"x": kind}).rows()
    assert "t.csv:4: column 'x' of row 1 is" in caught.value.message
    assert cell in caught.value.message
    assert "input.null_values" in (caught.value.hint or "")


def test_the_row_number_of_a_bad_cell_counts_over_all_files(table, folder) -> None:
    """Row numbers are those of the whole input, as everywhere else."""
    table("1.csv", "x\n1\n2\n")
    table("2.csv", "x\n3\nfour\n")
    with pytest.raises(DataError, match=r"2\.csv:3: column 'x' of row 3 is 'four'"):
        folder("*.csv", columns={"x": "int"}).rows()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"a,b\n1,2\n1,2,3\n", r"t\.csv:3: 3 cells where the header has 2"),
        (b'a,b\n"x\ny",2\n1\n', r"t\.csv:4: 1 cells where the header has 2"),
        (b'a,b\n1,2\n3,"open\n5,6\n', r"t\.csv:3: the row that begins here is no CSV: unexpected end of data"),
        (b'a,b\n"x"y,2\n', r"t\.csv:2: the row that begins here is no CSV"),
        (b"a,b\n1,2\n1,\xff\n", r"t\.csv:3: this line is not UTF-8"),
        (b"a,b\n1,2\n" * 9000 + b"caf\xe9,1\n", r"t\.csv:18001: this line is not UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), r"t\.csv:\d: (this line is not UTF-8|a NUL byte)"),
        (b"a,b\n1,\x002\n", r"t\.csv:2: a NUL byte"),
        (b"a,b,a\n1,2,3\n", r"more than one column is called 'a'"),
    ],
)
def test_a_damaged_file_is_refused_with_the_line(content: bytes, message: str, table) -> None:
    """What is no CSV in UTF-8 is told with its line and never guessed at."""
    with pytest.raises(DataError, match=message) as caught:
        table("t.csv", content).rows()
    assert caught.value.hint


def test_a_type_for_a_column_that_is_not_there_is_refused(table) -> None:
    """A typo in input.columns is found before anything is sent."""
    with pytest.raises(DataError, match="there is no column 'widht'") as caught:
        table("t.csv", "id,width\n1,2\n", columns={"widht": "int"}).open()
    assert caught.value.hint == "did you mean 'width'?"


def test_a_cell_longer_than_the_parsers_own_limit_arrives_whole(table) -> None:
    """Python's parser stops at 128 KB unless told otherwise; a long document is no mistake."""
    long = "x" * 300_000
    assert table("t.csv", f"a,b\n{long},1\n").rows() == [{"a": long, "b": "1"}]


def test_rows_nobody_wants_are_not_converted(table) -> None:
    """A span that is not wanted is passed over, so a bad cell in it cannot stop the others."""
    text = "x\n" + "bad\n" * MAX_ROWS + "1\n"
    (batch,) = table("t.csv", text, columns={"x": "int"}).open().batches(wanted=lambda first, _: first >= MAX_ROWS)
    assert list(batch.numbers) == [MAX_ROWS]


def test_a_limit_ends_the_reading(table) -> None:
    """Nothing behind the last wanted row is looked at, however long the file is."""
    text = "x\n" + "1\n" * MAX_ROWS + '"never closed'
    assert table("t.csv", text).numbers(limit=3) == [0, 1, 2]
