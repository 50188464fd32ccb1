"""The bench of what a request takes works; what it measures is for people to judge."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

BENCH: dict[str, Any] = runpy.run_path(str(Path(__file__).with_name("requests.py")))


@pytest.mark.parametrize("kind", ["text", "picture"])
def test_a_row_is_measured_up_to_its_bytes(kind: str, tmp_path: Path) -> None:
    """Both steps take some time."""
    measured = BENCH["measured"](kind, 3, tmp_path, rounds=1)
    assert measured.rows == 3
    assert measured.built_us > 0
    assert measured.sent_us > 0
    assert "a second" in str(measured)
