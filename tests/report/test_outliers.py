"""Rows that are billed unusually: far from what the rest of the run shows, not from a rule that is off for all."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

import pipeline
from pipeline.checkpoint.store import connect
from pipeline.report.subject import opened_subject
from pipeline.report.tell import story_of


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> None:
    """These functions block whoever calls them, on purpose."""


def test_a_row_that_was_billed_unlike_all_others_is_an_outlier(tmp_path: Path) -> None:
    """Where every row is billed three times what was counted that is usual; one that is billed twelve times stands out."""
    pl.DataFrame({"text": [f"text number {number}" for number in range(30)]}).write_parquet(tmp_path / "in.parquet")
    spec = {
        "provider": "simulator",
        "model": "gpt-5.4-mini",
        "input": "in.parquet",
        "prompt": "{{ text }}",
        "output": "o.parquet",
    }
    (tmp_path / "job.json").write_text(json.dumps(spec))
    pipeline.run(tmp_path / "job.json")
    journal = connect(tmp_path / "o.parquet.run" / "journal.sqlite")
    journal.execute("UPDATE attempts SET input_tokens = input_tokens * 3")
    journal.execute("UPDATE attempts SET input_tokens = input_tokens * 4 WHERE row = 17")
    journal.close()
    with opened_subject(tmp_path / "o.parquet.run") as subject:
        story = story_of(subject, made_at=0.0)
    assert [outlier.row for outlier in story.outliers] == [17]
    assert story.outliers[0].billed > 7 * story.outliers[0].expected
    assert "times more than is usual" in (story.outliers[0].note or "")
    assert next(card for card in story.cards if card.row == 17).tags == ["outlier"]
    assert any("billed input was held against the expected for 30 rows" in note for note in story.notes)
