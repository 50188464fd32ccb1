"""The bench of the throttle works; what it measures is for people to judge."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

BENCH: dict[str, Any] = runpy.run_path(str(Path(__file__).with_name("throttle.py")))


def test_every_figure_is_measured() -> None:
    """In a fraction of a second, where none of them means much."""
    figures = BENCH["measure"](seconds=0.2)
    costs = {f"us_per_permit_{waiting}" for waiting in BENCH["LINES"]}
    assert set(figures) == {"rate_off_by", "worst_second", "first_second", "heavy_served_after", *costs}
    assert all(figures[name] > 0 for name in costs)
