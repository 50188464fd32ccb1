"""The command line answers at once, and a command loads only what it needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "PIL",
    "aiolimiter",
    "altair",
    "anyio",
    "bpe_openai",
    "genai_prices",
    "httptools",
    "httpx",
    "jsonschema_rs",
    "minijinja",
    "orjson",
    "polars",
    "pyarrow",
    "pydantic",
    "rich",
    "uvloop",
    "vl_convert",
    "yaml",
}
SIMULATOR = "pipeline.simulator"
HELP = "from pipeline.cli import main; main()"


def loaded(program: str, *arguments: str, folder: Path | None = None) -> set[str]:
    """Return the modules that a program has loaded when it ends."""
    told = "import atexit, json, sys; atexit.register(lambda: print(json.dumps([*sys.modules]), file=sys.stderr)); "
    command = [sys.executable, "-c", told + program, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    return set(json.loads(run.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("program", "arguments"), [("import pipeline", ()), (HELP, ("--help",))], ids=["import", "help"]
)
def test_importing_the_package_and_asking_for_help_load_nothing_heavy(program: str, arguments: tuple[str, ...]) -> None:
    """Of all dependencies only click is loaded before there is something to do."""
    assert loaded(program, *arguments) & (HEAVY | {SIMULATOR}) == set()


def test_the_functions_of_the_package_load_what_every_job_needs_and_no_more() -> None:
    """What only some jobs need waits for them: polars for a condition, Pillow for pictures, the simulator, prices, charts."""
    late = {"PIL", "altair", "bpe_openai", "genai_prices", "polars", "uvloop", "vl_convert", SIMULATOR}
    assert loaded("import pipeline.api") & (HEAVY | {SIMULATOR}) == HEAVY - late


def test_a_job_without_a_condition_never_loads_polars(tmp_path: Path) -> None:
    """It is read, checked and estimated by pyarrow alone; one with a condition needs polars' SQL."""
    (tmp_path / "t.csv").write_text("a\n1\n")
    lines = (
        "name: n",
        "provider: simulator",
        "model: gpt-5.4-mini",
        "prompt: {{user: '{{{{ a }}}}'}}",
        "output: {{path: o.parquet}}",
    )
    spec = "\n".join((*lines, "input: {{path: t.csv{}}}"))
    for where, expected in (("", set()), (", where: a = '1'", {"polars"})):
        (tmp_path / "job.yaml").write_text(spec.format(where))
        check = loaded(HELP, "check", "job.yaml", folder=tmp_path)
        assert check & {"polars"} == expected
