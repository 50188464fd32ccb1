"""The process is killed with SIGKILL; the ledger of a provider in another process says what was lost and what was paid twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pipeline

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider

IN_FLIGHT = 20
LIMITS = {"concurrency": IN_FLIGHT}
DIE = (sys.executable, str(Path(__file__).with_name("die.py")))


def _kill_within(job: Bench, seconds: float) -> None:
    """Start the job, and kill it after so many seconds of sending."""
    with job.start("run", "--yes", "--json") as process:
        assert process.stdout is not None
        assert "run_started" in process.stdout.readline()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.kill()
        assert process.wait() == -signal.SIGKILL


def _finished(job: Bench) -> set[str]:
    """Return the rows whose answers are durable."""
    path, _ = pipeline.export(job.job, job.folder / "peek.parquet")
    return {row["id"] for row in job.table(path) if row["status"] == "ok"}


@pytest.mark.parametrize(
    ("rows", "kills", "latency_s", "longest_s"),
    [
        pytest.param(400, 3, 0.08, 0.3, id="short"),
        pytest.param(2000, 10, 0.08, 0.7, id="long", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_a_run_that_is_killed_again_and_again_ends_with_every_row_once_and_hides_no_loss(
    bench: Callable[..., Bench], play: Callable[..., Provider], rows: int, kills: int, latency_s: float, longest_s: float
) -> None:
    """Every row is in the table once and in order, no finished row is asked again, and what may have been paid for nothing is counted."""
    provider = play({"latency_s": {"median": latency_s, "p95": 3 * latency_s}})
    job = bench(provider, rows=rows, limits=LIMITS)
    moments = random.Random(rows)
    before = provider.ledger
    finished: set[str] = set()
    for _ in range(kills):
        _kill_within(job, moments.uniform(0.01, longest_s))
        assert not finished & set(before.asked())
        finished = _finished(job)
        lost = len(provider.ledger.executed()) - len(finished)
        _, totals, running = pipeline.status(job.job)
        assert not running
        assert lost <= totals.maybe_paid
        before = provider.ledger.now()
    closing = job.run()

    assert not finished & set(before.asked())
    table = job.table()
    assert [row["id"] for row in table] == [f"r{number}" for number in range(rows)]
    assert all(row["status"] == "ok" and f"#{row['id']}#" in row["output"] for row in table)
    executed = provider.ledger.executed()
    paid_twice = len(executed) - rows
    assert 0 < paid_twice <= closing.maybe_paid <= kills * IN_FLIGHT
    assert closing.maybe_paid == pipeline.status(job.job)[1].maybe_paid == job.metadata()["maybe_paid_attempts"]
    assert closing.attempts == len(executed) + closing.maybe_paid - paid_twice
    each = executed[0]["usage"]["total_tokens"]
    assert closing.usage.total_tokens == sum(row["total_tokens"] for row in table)
    assert closing.usage.total_tokens >= each * rows - rows
    assert job.run().attempts == closing.attempts
    assert len(provider.ledger.executed()) == len(executed)


@pytest.mark.parametrize("moment", [("os.rename", "out.parquet"), ("open", "out.parquet.")])
def test_a_run_killed_while_it_writes_the_table_leaves_the_old_one_or_none(
    bench: Callable[..., Bench], provider: Provider, moment: tuple[str, str]
) -> None:
    """The old table stays whole until the new one takes its place in one step, and the next run asks nothing."""
    job = bench(provider, rows=30)
    died = job.cli("run", "--yes", command=(*DIE, *moment))
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert not job.output.exists()
    job.run()
    old = job.output.read_bytes()
    job.fill([{"id": f"r{number}", "text": f"text {number}"} for number in range(40)])
    died = job.cli("run", "--yes", command=(*DIE, *moment))
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert job.output.read_bytes() == old
    assert len(provider.ledger.requests()) == 40
    assert job.run().by_status == {"ok": 40}
    assert len(provider.ledger.requests()) == 40
    assert sorted(path.name for path in job.folder.iterdir()) == ["input.parquet", "job.yaml", "out.parquet", "out.parquet.run"]


@pytest.mark.parametrize("name", ["table.parquet", "table.csv"])
def test_an_export_that_is_killed_leaves_the_old_file_or_none(bench: Callable[..., Bench], name: str) -> None:
    """An export is published in one step, as Parquet and as CSV."""
    job = bench(rows=20)
    job.run()
    target = job.folder / name
    command = (*DIE, "os.rename", name)
    assert job.cli("export", "-o", str(target), command=command).returncode == -signal.SIGKILL
    assert not target.exists()
    pipeline.export(job.job, target)
    old = target.read_bytes()
    assert job.cli("export", "-o", str(target), command=command).returncode == -signal.SIGKILL
    assert target.read_bytes() == old


@pytest.mark.parametrize("moment", [("sqlite3.connect", "journal.sqlite"), ("open", "journal.sqlite"), ("open", "/lock")])
def test_a_run_killed_while_it_sets_up_its_directory_can_be_started_again(
    bench: Callable[..., Bench], moment: tuple[str, str]
) -> None:
    """Whatever a killed start leaves behind, the next one goes on with it."""
    job = bench(rows=5)
    assert job.cli("run", command=(*DIE, *moment)).returncode == -signal.SIGKILL
    assert job.run().by_status == {"ok": 5}
