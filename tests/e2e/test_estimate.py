"""The command `estimate` on the sample jobs: figures for people and machines, and nothing leaves."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from pipeline.cli import cli
from pipeline.errors import SpecError
from pipeline.simulator import Simulator

ROOT = Path(__file__).parents[2]


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    """The sample jobs and their data, where a reader has them."""
    for name in ("jobs", "data"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path / "jobs"


def estimated(*words: object) -> Result:
    """Run the command; our own errors are raised."""
    return CliRunner().invoke(cli, ["estimate", *map(str, words)])


def test_the_sample_estimate_needs_no_network(jobs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tables for five models: no socket is opened, so there is no server and no request."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    done = estimated(jobs / "estimate.yaml", "-o", jobs / "all.parquet")
    assert done.exception is None, done.output
    assert done.output.count("priced as the real model would be") == 2
    assert "together: caption-photos, label-films" in done.output
    table = pl.read_parquet(jobs / "all.parquet")
    sizes = dict(table.group_by("job").len().iter_rows())
    assert sizes == {"caption-photos": 5 * 2 * 2, "label-films": 5 * 2}  # pictures have details, films have none
    assert table["cost_usd_low"].null_count() == 0


def test_nothing_reaches_a_server_that_is_there(jobs: Path, tmp_path: Path) -> None:
    """Its ledger stays empty, and no run directory is made."""
    ledger = tmp_path / "ledger.jsonl"
    with Simulator(ledger=ledger) as server:
        done = estimated(jobs / "caption.yaml", "--set", f"provider.base_url={server.base_url()}", "--json")
    assert done.exception is None, done.output
    assert json.loads(done.output)["requests"] == 11
    assert not ledger.exists() or not ledger.read_text(encoding="utf-8")
    assert not (tmp_path / "out" / "captions.parquet.run").exists()


def test_options_go_before_the_spec(jobs: Path) -> None:
    """Models, details, tiers and a column, as words between commas."""
    spec = jobs / "estimate.yaml"
    done = estimated(spec, "--models", "gpt-5.4, gpt-4.1", "--details", "low", "--tiers", "flex", "--json")
    first, second = map(json.loads, done.output.splitlines())
    told = [(quote["model"], quote["detail"], quote["tier"]) for quote in first["quotes"]]
    assert told == [("gpt-5.4", "low", "flex"), ("gpt-4.1", "low", "flex")]
    assert [quote["detail"] for quote in second["quotes"]] == [None, None]
    split = json.loads(estimated(jobs / "label.yaml", "--by", "country", "--json").output)
    assert sum(group["requests"] for group in split["groups"]) == split["requests"] == 300


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--by", "titel"], "did you mean 'title'"),
        (["--by", "photo"], "no values to split by"),
        (["--tiers", "slow"], "'slow' is none of default, batch, flex, priority"),
        (["-o", "table.csv"], "ends in none of .parquet"),
    ],
)
def test_a_wrong_option_is_a_mistake_of_the_command_line(jobs: Path, words: list[str], message: str) -> None:
    """Told before the work, with what would be right."""
    error = estimated(jobs / "caption.yaml", *words).exception
    assert isinstance(error, SpecError)
    assert message in error.message
