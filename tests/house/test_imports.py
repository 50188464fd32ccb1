"""The command line answers at once."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {
    "anyio",
    "genai_prices",
    "httpx",
    "jsonschema_rs",
    "minijinja",
    "PIL",
    "polars",
    "pyarrow",
    "pydantic",
    "rich",
    "uvloop",
    "yaml",
}
HELP = "import sys; sys.argv = ['pipeline', '--help']; from pipeline.cli import main; main()"


@pytest.mark.parametrize("program", ["import pipeline", HELP], ids=["import", "help"])
def test_importing_the_package_and_asking_for_help_load_nothing_heavy(program: str) -> None:
    """Of all dependencies only click is loaded before there is something to do."""
    told = "import atexit, json, sys; atexit.register(lambda: print(json.dumps([*sys.modules]), file=sys.stderr)); "
    run = subprocess.run([sys.executable, "-c", told + program], capture_output=True, text=True, check=True)
    assert HEAVY.intersection(json.loads(run.stderr)) == set()
