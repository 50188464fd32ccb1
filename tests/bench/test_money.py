"""The bench of what money takes works; what it measures is for people to judge."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

BENCH: dict[str, Any] = runpy.run_path(str(Path(__file__).with_name("money.py")))


@pytest.mark.parametrize("column", ["text", "image", "path"])
def test_an_estimate_is_held_against_rendering(column: str, tmp_path: Path) -> None:
    """Over texts, over pictures in a column and over those in files."""
    user = "{{ text }}" if column == "text" else [{"image": column}]
    job = BENCH["write_job"](tmp_path, ("id", column), 3, user)
    assert "times rendering" in BENCH["estimating"](job)


def test_a_written_journal_is_one_that_a_report_reads(tmp_path: Path) -> None:
    """Every row of it was answered."""
    job = BENCH["write_job"](tmp_path, ("id", "kind", "text"), 5, "{{ text }}")
    assert BENCH["write_journal"](job).rows == 5
    assert "a page of" in BENCH["reporting"](job)
