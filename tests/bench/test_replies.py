"""The bench of reading answers works; what it measures is for people to judge."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

from pipeline.records import Status

BENCH: dict[str, Any] = runpy.run_path(str(Path(__file__).with_name("replies.py")))


def test_every_step_of_an_answer_is_measured() -> None:
    """In microseconds, under the name that the table shows."""
    found = BENCH["measure"](1, 1)
    assert found.keys() == BENCH["steps"]().keys()
    assert all(microseconds >= 0 for microseconds in found.values())


def test_the_answers_that_are_measured_are_good_ones() -> None:
    """A body, a typed one that fits its fields, and a stream in as many pieces as it says."""
    steps = BENCH["steps"]()
    assert steps["bytes to reply"]().status is Status.OK
    assert steps["typed answer"]().status is Status.OK
    assert len(BENCH["stream_of"](BENCH["PIECES"])) == BENCH["PIECES"]
