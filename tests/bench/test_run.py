"""The bench works, in its short form; what it measures is for people to judge."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
CASES = (["start", "text"], ["images", "transport", "resume", "simulator"], ["journal", "requests", "replies"])


@pytest.mark.parametrize("cases", CASES, ids="-".join)
def test_the_short_form_prints_a_table_and_writes_every_figure(cases: list[str], tmp_path: Path) -> None:
    """Each claim has a line in the table, and its ratios are figures."""
    command = [
        sys.executable,
        "tests/bench/run.py",
        "--short",
        "--only",
        *cases,
        "--json",
        str(tmp_path / "figures.json"),
    ]
    done = subprocess.run(command, cwd=PROJECT, env={"PYTHONPATH": "."}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "figures.json").read_text())
    assert [case["name"] for case in told["cases"]] == cases
    for claim in (claim for case in told["cases"] for claim in case["claims"]):
        assert claim["what"] in done.stdout
        assert math.isfinite(claim["median"])
        assert claim["median"] > 0
        if claim["target"] is not None:
            reached = (claim["median"] >= claim["target"]) is claim["at_least"] or claim["median"] == claim["target"]
            assert (claim["verdict"] == "missed") is not reached


def test_an_unknown_case_is_named_beside_those_that_there_are() -> None:
    """A slip on the command line costs no measurement."""
    command = [sys.executable, "tests/bench/run.py", "--short", "--only", "texts"]
    done = subprocess.run(command, cwd=PROJECT, env={"PYTHONPATH": "."}, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "no such case: texts; there are start, text, latency" in done.stderr
