"""A report as a file and on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

import pipeline
from pipeline import api
from pipeline.cli import cli
from pipeline.errors import RunDirectoryError, SpecError


@pytest.fixture(autouse=True)
def _no_blocking_calls() -> None:
    """These functions block whoever calls them, on purpose."""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    pl.DataFrame({"text": ["one", "two", "<script>alert(1)</script>"]}).write_csv(folder / "in.csv")
    output = {"path": "out.parquet", "fields": {"label": "enum[a, b]"}}
    job = {
        "provider": "simulator",
        "model": "gpt-5.4-mini",
        "input": "in.csv",
        "prompt": "{{ text }}",
        "output": output,
    }
    (folder / "job.json").write_text(json.dumps(job))
    pipeline.run(folder / "job.json")
    return folder / "job.json"


def test_a_report_lies_beside_the_table(spec: Path) -> None:
    """The page has the table's name, and its figures go to the screen."""
    shown = CliRunner().invoke(cli, ["report", str(spec), "--by", "text"])
    page = spec.with_name("out.html")
    assert shown.exit_code == 0
    assert f"Wrote {page}" in shown.output
    assert "ok 3" in shown.output
    assert "<script>alert(1)</script>" not in page.read_text(encoding="utf-8")


def test_figures_come_as_json(spec: Path, tmp_path: Path) -> None:
    """Machines get the same figures, without single rows; a run directory names the run too."""
    target = tmp_path / "page.html"
    shown = CliRunner().invoke(cli, ["report", str(spec.with_name("out.parquet.run")), "-o", str(target), "--json"])
    figures = json.loads(shown.output)
    assert (figures["path"], figures["rows"], figures["attempts"]) == (str(target), 3, 3)
    assert "cards" not in figures


def test_two_runs_make_a_page(spec: Path) -> None:
    """`--compare` takes the other run's spec or directory."""
    shown = CliRunner().invoke(cli, ["report", str(spec), "--compare", str(spec.with_name("out.parquet.run"))])
    assert "3 compared: 3 same, 0 changed" in shown.output
    assert spec.with_name("out.compared.html").exists()


def test_the_other_run_is_the_one_before(spec: Path) -> None:
    """Changes are told from it to the run that is reported, beside whose table the page lies; the screen says which is which."""
    other = ["output.path=other.parquet", "model=gpt-5.4-nano"]
    pipeline.run(spec, sets=other)
    shown = CliRunner().invoke(cli, ["report", str(spec), "--compare", str(spec.with_name("other.parquet.run"))])
    before, after = (next(line for line in shown.output.splitlines() if which in line) for which in ("before", "after"))
    assert ("gpt-5.4-nano" in before, "gpt-5.4-mini" in after) == (True, True)
    assert spec.with_name("out.compared.html").exists()
    assert not spec.with_name("other.compared.html").exists()


def test_the_page_of_a_moved_run_lies_beside_it(spec: Path, tmp_path: Path) -> None:
    """A copy does not write over what belongs to the original; a spec names its own table's place."""
    copy = tmp_path / "copy.parquet.run"
    shutil.copytree(spec.with_name("out.parquet.run"), copy)
    page, _ = api.write_report(spec)
    before = page.stat().st_mtime_ns
    assert api.write_report(copy)[0] == tmp_path / "copy.html"
    assert api.compare(copy, spec)[0] == tmp_path / "copy.compared.html"
    assert api.export(copy)[0] == tmp_path / "copy.parquet"
    assert (page, page.stat().st_mtime_ns) == (spec.with_name("out.html"), before)


def test_no_table_is_written_over(spec: Path, tmp_path: Path) -> None:
    """A target that is no page is a mistake, and so is a run that never was."""
    with pytest.raises(SpecError, match=r"does not end in \.html"):
        api.write_report(spec, spec.with_name("out.parquet"))
    with pytest.raises(RunDirectoryError):
        api.write_report(tmp_path)


def test_a_gold_column_that_is_not_there_is_found_before_the_run(spec: Path) -> None:
    """With its place in the spec, and what was probably meant."""
    with pytest.raises(SpecError, match="the input has no column 'txt'"):
        api.check(spec, sets=["output.gold=txt"])
