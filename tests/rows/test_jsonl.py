"""JSON Lines: every value as it was, one schema for all lines, and the line of every mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.rows.columns import cells
from pipeline.rows.jsonl import open_jsonl
from pipeline.rows.table import Reading

INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
OBJECTS = st.fixed_dictionaries(
    {
        "id": INTEGERS,
        "text": TEXTS | st.none(),
        "score": st.floats(allow_nan=False, allow_infinity=False) | st.none(),
        "flag": st.booleans(),
        "tags": st.lists(TEXTS, max_size=3),
        "meta": st.fixed_dictionaries(
            {"n": INTEGERS, "deep": st.lists(st.fixed_dictionaries({"k": TEXTS}), max_size=2)}
        ),
    }
)


def read(path: Path) -> list[dict[str, object]]:
    """Read one file through its reader."""
    (reader,) = open_jsonl([path])
    reading = Reading(reader.schema.names, lambda *_: True, 2**24)
    return [row for span in reader.spans(reading, 0) for row in cells(span.table)]


@given(rows=st.lists(OBJECTS, min_size=1, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_objects_of_one_shape_come_back_as_they_were(rows: list[dict[str, object]], tmp_path: Path) -> None:
    """Nested values, 64-bit integers and any text survive the way through Arrow."""
    path = tmp_path / "any.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert read(path) == rows


def test_columns_are_the_union_over_lines_and_files(table, folder) -> None:
    """A name that a line lacks is null there, wherever the name turns up first."""
    table("1.jsonl", '{"a": 1}\n{"b": "x", "m": {"p": 1}}\n')
    table("2.jsonl", '{"a": 2.5, "m": {"q": [1]}}\n')
    assert folder("*.jsonl").rows() == [
        {"a": 1.0, "b": None, "m": None},
        {"a": None, "b": "x", "m": {"p": 1, "q": None}},
        {"a": 2.5, "b": None, "m": {"p": None, "q": [1]}},
    ]


def test_text_that_looks_like_a_date_stays_text(table) -> None:
    """Types are those of JSON, nothing is guessed."""
    assert table("t.jsonl", '{"d": "2024-01-01", "n": "007"}\n').rows() == [{"d": "2024-01-01", "n": "007"}]


def test_blank_lines_and_a_byte_order_mark_are_no_rows(table) -> None:
    """Blank lines count for nothing, and the job knows how many rows there are."""
    source = table("t.jsonl", b'\xef\xbb\xbf{"a": 1}\n\n  \r\n{"a": 2}\r\n\n')
    assert source.rows() == [{"a": 1}, {"a": 2}]
    assert source.open().rows == 2


def test_empty_objects_and_lists_stay_what_they_are_and_can_be_written(table, tmp_path: Path) -> None:
    """An object that is empty in every line still becomes a column that Parquet can hold."""
    source = table("t.jsonl", '{"o": {}, "l": [], "n": null}\n').open()
    (batch,) = source.batches()
    with pq.ParquetWriter(tmp_path / "out.parquet", source.schema) as writer:
        writer.write_batch(batch.table)
    assert list(cells(batch.table)) == [{"o": {}, "l": [], "n": None}]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"a": 1}', '{"a": "x"}'], r"t\.jsonl:2: 'a' is a string here, and was an integer before"),
        (['{"a": 1.5}', '{"a": true}'], r":2: 'a' is a boolean here, and was a number with a fraction before"),
        (['{"a": true}', "", '{"a": 1}'], r":3: 'a' is an integer here, and was a boolean before"),
        (['{"a": {"b": [1]}}', '{"a": {"b": ["x"]}}'], r":2: 'a\.b\[\]' is a string here"),
        (['{"a": [1, "x"]}'], r":1: 'a\[\]' is a string here"),
        (['{"a": [1]}', '{"a": {}}'], r":2: 'a' is an object here, and was a list before"),
        (
            ['{"a": 9007199254740993}', '{"a": 0.5}'],
            r":2: 'a' is a number with a fraction here, and was an integer beyond",
        ),
        (['{"a": 9223372036854775808}'], r":1: 'a' is an integer beyond 64 bits"),
        (['{"a": 0}', '{"a": 123456789012345678901234567890}'], r":2: 'a' is an integer beyond 64 bits"),
        (['{"a": 1e30}', '{"a": -9223372036854775809}'], r":2: 'a' is an integer beyond 64 bits"),
        (['{"a": ' + "9" * 5000 + "}"], r":1: "),
        (['{"a": 1}', '{"a": 1'], r":2: no JSON: "),
        (['{"a": NaN}'], r":1: no JSON: "),
        (["[1, 2]"], r":1: a JSON list where an object should be"),
        (["[" * 1000 + "]" * 1000], r":1: "),
        (['{"a": ' + "[" * 900 + "]" * 900 + "}"], r":1: the values are nested too deeply"),
        (["", " "], r"there is no object in the file"),
    ],
)
def test_a_line_that_does_not_fit_is_told_when_the_input_is_opened(lines: list[str], message: str, table) -> None:
    """The first pass finds what JSON or one column type cannot hold, names the line, and says how to mend it."""
    with pytest.raises(DataError, match=message) as caught:
        table("t.jsonl", "\n".join(lines)).open()
    assert caught.value.hint


def test_a_line_that_is_not_utf8_is_told(table) -> None:
    """JSON is UTF-8."""
    with pytest.raises(DataError, match=r"t\.jsonl:2: no JSON"):
        table("t.jsonl", b'{"a": "x"}\n{"a": "\xff"}\n').open()


def test_large_floats_are_floats(table) -> None:
    """1e30 is a number as good as any; only integers of that size have no column type."""
    assert table("t.jsonl", '{"a": 1e30}\n{"a": 1}\n').rows() == [{"a": 1e30}, {"a": 1.0}]


def test_lines_nobody_wants_are_not_parsed(table, monkeypatch: pytest.MonkeyPatch) -> None:
    """A span that is not wanted costs no more than finding its line ends."""
    source = table("t.jsonl", '{"a": 1}\n' * 5).open()
    monkeypatch.setattr("pipeline.rows.jsonl._object", lambda *_: pytest.fail("parsed"))
    assert list(source.batches(wanted=lambda *_: False)) == []
