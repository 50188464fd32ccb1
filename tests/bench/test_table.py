"""The bench of the end of a run works; what it measures is for people to judge."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

BENCH: dict[str, Any] = runpy.run_path(str(Path(__file__).with_name("table.py")))


def test_both_write_the_same_table(tmp_path: Path) -> None:
    """Ours and that of the baseline have the same rows, so that one may be held against the other."""
    job = BENCH["write_run"](tmp_path, 700)
    assert BENCH["write_ours"](job) == 700
    BENCH["write_results"](tmp_path)
    BENCH["write_polars"](job)
    ours, theirs = (pq.read_table(tmp_path / name) for name in ("out.parquet", "polars.parquet"))
    assert theirs.select(ours.column_names).to_pylist() == ours.to_pylist()
    assert set(ours["status"].to_pylist()) == {"ok"}
    assert None not in ours["cost_usd"].to_pylist()


@pytest.mark.parametrize("work", ["write_ours", "close_ours", "read_cells"])
def test_a_piece_of_work_is_measured(work: str, tmp_path: Path) -> None:
    """In CPU seconds and megabytes."""
    measured = BENCH["_measured"](BENCH[work], BENCH["write_run"](tmp_path, 50))
    assert min(measured["cpu_s"], measured["peak_mb"]) > 0
