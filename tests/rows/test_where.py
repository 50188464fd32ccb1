"""Conditions on one row."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.errors import DataError
from pipeline.rows.where import Where

BATCH = pa.record_batch(
    {
        "width": pa.array([50, 150, None, 300], pa.int64()),
        "lang": ["en", "de", "en", None],
        "Len": [1, 2, 3, 4],
        "tags": [["a"], [], ["b", "c"], None],
        "size": [{"w": 1}, {"w": 2}, None, {"w": 3}],
        "kind": pa.array(["x", "y", "x", "y"]).dictionary_encode(),
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("width > 100", [1, 3]),
        ("NOT width > 100", [0]),
        ("width IS NULL", [2]),
        ("width > 100 AND lang = 'de'", [1]),
        ("lang IN ('de', 'fr') OR width BETWEEN 200 AND 400", [1, 3]),
        ("LOWER(lang) LIKE 'e%' AND SUBSTR(lang, 1, 1) = 'e'", [0, 2]),
        ("LENGTH(lang) > 1", [0, 1, 2]),
        ("\"Len\" = 2 OR lang = 'Len'", [1]),
        ("ARRAY_LENGTH(tags) = 2", [2]),
        ("size.w > 1", [1, 3]),
        ("kind = 'y'", [1, 3]),
        ("TRY_CAST(lang AS INT) > 1", []),
    ],
)
def test_rows_for_which_the_expression_is_true_are_chosen(text: str, expected: list[int]) -> None:
    """False and null both mean no."""
    holds = Where(text, BATCH.schema).holds(BATCH).to_pylist()
    assert [index for index, true in enumerate(holds) if true] == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("width >", "unable to parse"),
        ("", "unable to parse"),
        ("width > 1; DROP TABLE t", "unexpected token"),
        ("widht > 100", "there is no column 'widht'"),
        ("width", "it gives Int64, neither true nor false"),
        ("lang > 100", "cannot compare string with numeric"),
        ("1 = 1", "each row by itself"),
        ("width > AVG(width)", "each row by itself"),
        ("SUM(width) > 1", "each row by itself"),
        ("COUNT(*) > 1", "each row by itself"),
        ("width > 0 AND width = MAX(width)", "each row by itself"),
        ("QUANTILE_CONT(width, 0.5) > width", "each row by itself"),
        ("ROW_NUMBER() OVER (ORDER BY width) = 1", "each row by itself"),
        ("LAG(width) OVER (ORDER BY width) = 1", "each row by itself"),
        ("UNNEST(tags) = 'a'", "each row by itself"),
        ("width > (SELECT 1)", "each row by itself"),
        ("MYSTERY(width) > 1", "unsupported function"),
    ],
)
def test_what_is_no_condition_on_a_row_is_refused_at_once(text: str, message: str) -> None:
    """Syntax, names, types, and expressions whose value would depend on where a batch ends."""
    with pytest.raises(DataError, match=message) as caught:
        Where(text, BATCH.schema)
    assert caught.value.message.startswith(f"input.where: {text}")
    assert caught.value.hint


def test_a_misspelt_column_suggests_the_right_one() -> None:
    """Also when only the case is wrong."""
    for text in ("widht > 1", "WIDTH > 1"):
        with pytest.raises(DataError) as caught:
            Where(text, BATCH.schema)
        assert caught.value.hint == "did you mean 'width'?"


def test_a_condition_that_fails_on_a_cell_is_told_as_ours() -> None:
    """What polars finds out only with the data comes out as a DataError too."""
    where = Where("CAST(lang AS INT) > 1", BATCH.schema)
    with pytest.raises(DataError, match="conversion from `str` to `i32` failed"):
        where.holds(BATCH)
