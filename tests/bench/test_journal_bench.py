"""The bench of the journal works; what it measures is for people to judge."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

BENCH: dict[str, Any] = runpy.run_path(str(Path(__file__).with_name("journal.py")))


def test_what_a_row_takes_is_measured() -> None:
    """Its time, and its place in the file."""
    found = BENCH["measure"](50, 8)
    assert found["in_flight"] == 8
    assert min(found["us"], found["rows_per_s"], found["bytes"]) > 0


def test_a_filled_journal_is_one_to_go_on_with(tmp_path: Path) -> None:
    """Every row of it is finished."""
    BENCH["fill"](tmp_path, 0, 40)
    assert BENCH["resuming"](tmp_path)["finished"] == 40
