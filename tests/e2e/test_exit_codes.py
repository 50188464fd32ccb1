"""Every way in which a command ends has its exit code, and the messages say what to do."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pipeline

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider
    from tests.e2e.process import Process

ENDS = {
    "every row is ok": ({}, 0, ""),
    "some rows are not": ({"on_null": "fail"}, 1, ""),
    "the spec is wrong": ({"modle": "x"}, 2, "did you mean 'model'"),
    "a column is not there": ({"prompt": "{{ txet }}"}, 2, "did you mean 'text'"),
    "a template is none": ({"prompt": "{{ text"}, 2, "prompt"),
    "the key is not set": ({"provider": "openai"}, 2, "OPENAI_API_KEY is not set"),
    "the input is not there": ({"input": "missing.parquet"}, 3, "missing.parquet"),
    "the budget is reached": ({"budget": 0.0005, "request": {"max_output_tokens": 25}}, 5, "--set budget.usd="),
    "the provider refuses everyone": ({"simulator": {"api_key": "k"}}, 6, "API key"),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_run_says_by_its_exit_code_how_it_ended(
    bench: Callable[..., Bench], start: Callable[..., Process], end: str
) -> None:
    """The code is that of the table in the help, and the error names the place and the mend."""
    settings, exit_code, words = ENDS[end]
    job = bench(rows=3, **settings)
    if end == "some rows are not":
        job.fill([{"id": "a", "text": "x"}, {"id": "b", "text": None}])
    with start("run", str(job.job), "--yes", "--quiet") as run:
        assert run.end() == exit_code, run.errors
        assert words in run.errors
        assert "Traceback" not in run.errors
        assert "Wrote" not in run.errors


@pytest.mark.parametrize(
    ("variable", "value"), [("SSL_CERT_FILE", "/nope.pem"), ("HTTPS_PROXY", "http://user:S3KRET@proxy.example:99x")]
)
def test_an_environment_that_cannot_be_used_ends_a_run_before_it_begins(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """With exit code 2 and its variable's name; nothing is booked as perhaps paid, for nothing is booked at all."""
    monkeypatch.setenv(variable, value)
    job = bench(rows=3, provider={"base_url": "https://127.0.0.1:1/v1", "dialect": "openai"})
    before = set(job.job.parent.rglob("*"))
    command = [sys.executable, "-m", "pipeline.cli", "run", str(job.job), "--yes"]
    done = subprocess.run(command, cwd=Path(pipeline.__file__).parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert variable in done.stderr
    assert "S3KRET" not in done.stderr
    assert "Traceback" not in done.stderr
    assert set(job.job.parent.rglob("*")) == before


def test_a_paid_run_without_a_terminal_needs_a_yes(
    bench: Callable[..., Bench], provider: Provider, start: Callable[..., Process]
) -> None:
    """Nothing is sent and nothing is written before somebody agreed."""
    job = bench(provider, rows=3)
    with start("run", str(job.job)) as run:
        assert run.end() == 2, run.errors
        assert "--yes" in run.errors
    assert provider.ledger.requests() == []
    assert not job.output.exists()


def test_the_command_line_is_a_module_that_runs(bench: Callable[..., Bench], provider: Provider) -> None:
    """``python -m pipeline.cli`` in a Python of its own runs the job, and its JSON ends with the closing figures."""
    job = bench(provider, rows=5)
    command = [sys.executable, "-m", "pipeline.cli", "run", str(job.job), "--yes", "--json"]
    done = subprocess.run(command, cwd=Path(pipeline.__file__).parents[1], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["event"] == "run_started"
    assert events[-1]["event"] == "run_finished"
    assert events[-1]["by_status"] == {"ok": 5}
    assert events[-1]["usage"]["total_tokens"] == provider.ledger.tokens()


def test_a_disk_that_fails_ends_the_run_and_loses_no_finished_row(
    bench: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process]
) -> None:
    """Where the journal can't grow any more the run ends with exit code 7; with room again the rest is asked."""
    provider = play({"latency_s": 0.01})
    job = bench(provider, rows=1000, limits={"concurrency": 16})
    with start("run", str(job.job), "--yes", "--quiet", largest_file=1_000_000) as run:
        assert run.end() == 7, run.errors
        assert "journal" in run.errors
        assert "Traceback" not in run.errors
    path, _ = pipeline.export(job.job, job.folder / "peek.parquet")
    finished = {row["id"] for row in job.table(path) if row["status"] == "ok"}
    assert 0 < len(finished) < 1000
    ledger = provider.ledger.now()
    closing = job.run()
    assert closing.by_status == {"ok": 1000}
    assert not finished & set(ledger.asked())
    assert len(provider.ledger.executed()) - 1000 <= closing.maybe_paid <= 16


def test_an_output_that_cannot_be_written_is_found_before_anything_is_paid(
    bench: Callable[..., Bench], provider: Provider, start: Callable[..., Process]
) -> None:
    """A folder in the output's place ends the run before it begins."""
    job = bench(provider, rows=3)
    job.output.mkdir()
    with start("run", str(job.job), "--yes") as run:
        assert run.end() == 3, run.errors
    assert provider.ledger.requests() == []


def test_a_table_too_large_for_the_disk_leaves_the_answers_safe(
    bench: Callable[..., Bench], provider: Provider, start: Callable[..., Process]
) -> None:
    """When only the table can't be written, the run ends with exit code 7 and the old table; the next one asks nothing."""
    job = bench(provider)
    noise = random.Random(7)
    job.fill([{"id": f"r{number}", "text": "x", "ballast": noise.randbytes(40_000).hex()} for number in range(10)])
    with start("run", str(job.job), "--yes", "--quiet", largest_file=300_000) as run:
        assert run.end() == 7, run.errors
        assert "out.parquet" in run.errors
        assert "Traceback" not in run.errors
    assert sorted(path.name for path in job.folder.iterdir()) == ["input.parquet", "job.yaml", "out.parquet.run"]
    assert job.run().by_status == {"ok": 10}
    assert len(provider.ledger.requests()) == 10
