"""Two runs side by side: matched by number or by what they ask, and told where they differ."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline
from pipeline.errors import DataError
from pipeline.report.compare import agreement, compared
from pipeline.report.story import Comparison
from pipeline.report.subject import opened_subject
from pipeline.report.told import figures, render_comparison_text


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> None:
    """These functions block whoever calls them, on purpose."""


def run(folder: Path, name: str, rows: pl.DataFrame, **settings: Any) -> Path:
    rows.write_parquet(folder / f"{name}.in.parquet")
    spec = {
        "provider": "simulator",
        "model": "gpt-5.4-mini",
        "input": f"{name}.in.parquet",
        "prompt": "Label {{ text }}",
        "output": {"path": f"{name}.parquet", "fields": {"label": "enum[a, b, c]"}},
        **settings,
    }
    (folder / f"{name}.json").write_text(json.dumps(spec))
    pipeline.run(folder / f"{name}.json")
    return folder / f"{name}.parquet.run"


def between(before: Path, after: Path) -> Comparison:
    with opened_subject(before) as first, opened_subject(after) as second:
        return compared(first, second, made_at=0.0)


ROWS = pl.DataFrame({"id": range(20), "text": [f"text {number}" for number in range(20)]})


def test_a_run_is_the_same_as_itself(tmp_path: Path) -> None:
    """Nothing changed, and all fields agree."""
    first = run(tmp_path, "one", ROWS)
    comparison = between(first, first)
    assert (comparison.rows, comparison.same, comparison.changed) == (20, 20, 0)
    assert [(name, agree, rows) for name, agree, rows, _ in comparison.fields] == [("label", 20, 20)]
    assert not comparison.changes


def test_runs_over_one_input_are_compared_row_by_row(tmp_path: Path) -> None:
    """Changed rows are those whose field or status differs in the two tables; each is shown with both answers."""
    rules = {"faults": [{"fault": "refusal", "text": "text 7"}]}
    first = run(tmp_path, "one", ROWS)
    second = tmp_path / "two.parquet.run"
    pipeline.run(
        tmp_path / "one.json",
        sets=["output.path=two.parquet", "prompt=Judge {{ text }}", f"simulator={json.dumps(rules)}"],
    )
    comparison = between(first, second)
    tables = [pl.read_parquet(tmp_path / f"{name}.parquet") for name in ("one", "two")]
    differ = {
        line["id"]
        for line, other in zip(*(table.iter_rows(named=True) for table in tables), strict=True)
        if (line["label"], line["status"]) != (other["label"], other["status"])
    }
    assert {change.row for change in comparison.changes} == differ
    assert (comparison.changed, comparison.same) == (len(differ), 20 - len(differ))
    refused = next(change for change in comparison.changes if change.row == 7)
    assert (refused.before_status, refused.after_status) == ("ok", "refused")
    assert refused.inputs["text"] == "text 7"
    assert "by their numbers" in comparison.notes[0]


def test_rows_of_different_inputs_meet_by_what_they_ask(tmp_path: Path) -> None:
    """Where a table was turned around and grown, its rows are found again by the cells that the prompt reads."""
    first = run(tmp_path, "one", ROWS)
    grown = pl.concat([ROWS.reverse(), pl.DataFrame({"id": [99], "text": ["new"]})])
    second = run(tmp_path, "two", grown)
    comparison = between(first, second)
    assert (comparison.rows, comparison.only_before, comparison.only_after) == (20, 0, 1)
    assert comparison.same == 20
    assert "these columns are: text" in comparison.notes[0]


def test_equal_rows_meet_in_their_order(tmp_path: Path) -> None:
    """Of rows that ask the same, the first meets the first; none meets two."""
    first = run(tmp_path, "one", pl.DataFrame({"text": ["x", "x", "x"]}))
    second = run(tmp_path, "two", pl.DataFrame({"text": ["x", "y", "x"]}))
    comparison = between(first, second)
    assert (comparison.rows, comparison.only_before, comparison.only_after) == (2, 1, 1)


def test_runs_that_share_nothing_are_not_compared(tmp_path: Path) -> None:
    """Rows of other columns, or of an input that is gone, could be any rows."""
    first = run(tmp_path, "one", ROWS)
    second = run(tmp_path, "two", pl.DataFrame({"words": ["x"]}), prompt="Label {{ words }}")
    with pytest.raises(DataError, match="no column that a prompt reads is in both"):
        between(first, second)
    (tmp_path / "two.in.parquet").unlink()
    with pytest.raises(DataError, match="that of the second has changed"):
        between(first, second)


def test_answers_without_a_common_field_are_not_compared(tmp_path: Path) -> None:
    """Else nothing would differ, and all answers would read as the same."""
    first = run(tmp_path, "one", ROWS)
    second = run(tmp_path, "two", ROWS, output={"path": "two.parquet", "fields": {"caption": "string"}})
    with pytest.raises(DataError, match="no field in common: label and caption") as error:
        between(first, second)
    assert "output.fields" in (error.value.hint or "")


def test_rows_that_neither_run_answered_are_not_the_same_answer(tmp_path: Path) -> None:
    """They are counted beside those that agree."""
    rows = ROWS.with_columns(text=pl.when(pl.col("id") < 15).then("text"))
    first = run(tmp_path, "one", rows, on_null="skip")
    comparison = between(first, first)
    assert (comparison.rows, comparison.same, comparison.changed, comparison.neither) == (20, 15, 0, 5)
    assert "15 same, 0 changed, 5 answered in neither" in render_comparison_text(comparison)


def test_a_comparison_is_told_in_lines_and_as_json(tmp_path: Path) -> None:
    """The screen and the figures say what was compared; single rows are left to the page."""
    first = run(tmp_path, "one", ROWS)
    comparison = between(first, first)
    assert "20 compared: 20 same, 0 changed" in render_comparison_text(comparison)
    shown = json.loads(json.dumps(figures(comparison)))
    assert shown["rows"] == 20
    assert shown["before"]["bill"]["table"] == comparison.before.bill.table
    assert "changes" not in shown
    assert "cards" not in shown["after"]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("ab")), min_size=1))
def test_agreement_beyond_chance_is_at_most_one(pairs: list[tuple[str, str]]) -> None:
    """Kappa is 1 only where all agree, above 0 only where more agree than chance would have it, and unknown for a single value."""
    agree, rows, kappa = agreement(Counter(pairs))
    assert (agree, rows) == (sum(ours == theirs for ours, theirs in pairs), len(pairs))
    if kappa is None:
        assert len({value for pair in pairs for value in pair}) == 1
    else:
        assert -1 <= kappa <= 1
        assert (kappa == 1) == (agree == rows)
