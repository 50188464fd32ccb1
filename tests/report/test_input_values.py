"""Columns of few values are found in one pass, whatever the table's width, and their values are those of its cells."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.report.input_values import MOST_CANDIDATES, few_valued
from pipeline.rows.source import open_source
from pipeline.spec.input import Input


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> None:
    """These functions block whoever calls them, on purpose."""


def found(folder: Path, table: pl.DataFrame, *asked: str) -> dict[str, list[str]]:
    table.write_parquet(folder / "in.parquet", row_group_size=3)
    told = few_valued(open_source(Input(path="in.parquet"), folder), asked)
    assert all(values["row"].to_list() == list(range(table.height)) for values in told.values())
    return {name: values["group"].to_list() for name, values in told.items()}


def test_values_are_told_as_text_row_by_row(tmp_path: Path) -> None:
    """Nulls, numbers and dictionaries too, also where later batches bring new values; what differs in most rows is left out."""
    table = pl.DataFrame(
        {
            "id": range(8),
            "text": ["a", None, "a", "b", "c", "c", None, "x" * 100],
            "flag": [True, False] * 4,
            "part": pl.Series(["p", "q"] * 4, dtype=pl.Categorical),
            "number": [1, 2, None, 1] * 2,
        }
    )
    assert found(tmp_path, table) == {
        "flag": ["true", "false"] * 4,
        "part": ["p", "q"] * 4,
        "number": ["1", "2", "(null)", "1"] * 2,
    }
    assert found(tmp_path, table, "text") | {"flag": [], "part": [], "number": []} == {
        "text": ["a", "(null)", "a", "b", "c", "c", "(null)", "x" * 79 + "…"],
        "flag": [],
        "part": [],
        "number": [],
    }


def test_a_null_is_a_null_whatever_form_of_text_the_column_has(tmp_path: Path) -> None:
    """An empty text is another value."""
    texts = ["a", None, "", "a", None, "", "a"]
    table = pa.table({str(kind): pa.array(texts, kind) for kind in (pa.string(), pa.large_string(), pa.string_view())})
    pq.write_table(table, tmp_path / "in.parquet")
    told = few_valued(open_source(Input(path="in.parquet"), tmp_path), ())
    assert [values["group"].to_list() for values in told.values()] == [
        ["a", "(null)", "", "a", "(null)", "", "a"] for _ in range(3)
    ]


@pytest.mark.parametrize("rows", [10, 400])
def test_a_column_that_is_asked_for_may_have_any_type_and_number_of_values(tmp_path: Path, rows: int) -> None:
    """Lists and fractions are told by their text."""
    table = pl.DataFrame({"list": [[n] for n in range(rows)], "half": [n / 2 for n in range(rows)]})
    told = found(tmp_path, table, "list", "half")
    assert told == {"list": [f"[{n}]" for n in range(rows)], "half": [str(n / 2) for n in range(rows)]}


def test_of_very_many_columns_only_some_are_read(tmp_path: Path) -> None:
    """A table of thousands of flags would take gigabytes."""
    columns = {f"c{n}": list(range(8)) for n in range(MOST_CANDIDATES)}
    table = pl.DataFrame({**columns, "late": ["a", "b"] * 4})
    assert found(tmp_path, table) == {}
    assert "late" in found(tmp_path, table.drop("c0"))
