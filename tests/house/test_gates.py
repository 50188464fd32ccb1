"""The gates that read the code: lint, form, types, spelling."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["codespell_lib", "pipeline", "jobs", "data", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_gate_is_passed(command: list[str]) -> None:
    """Each gate has nothing to say."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
