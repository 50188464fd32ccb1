"""Signals, and two runs on one directory."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

import pipeline
from pipeline.errors import RunDirectoryError

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider
    from tests.e2e.process import Process


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_ends_a_run_in_order(
    bench: Callable[..., Bench],
    play: Callable[..., Provider],
    start: Callable[..., Process],
    number: signal.Signals,
    exit_code: int,
) -> None:
    """What is on its way comes home, the table is written, and the same command asks the rest and nothing else."""
    provider = play({"latency_s": 0.1})
    job = bench(provider, rows=300, limits={"concurrency": 16})
    with start("tell", str(job.job)) as run:
        assert run.says("RowFinished", 50)
        run.signal(number)
        assert run.end() == exit_code
    executed = len(provider.ledger.executed())
    statuses = job.column("status")
    assert 50 <= executed < 200
    assert (statuses.count("ok"), statuses.count("pending")) == (executed, 300 - executed)
    assert job.metadata()["maybe_paid_attempts"] == 0
    closing = job.run()
    assert closing.by_status == {"ok": 300}
    assert len(provider.ledger.executed()) == 300 == closing.attempts


def test_a_second_signal_ends_a_run_at_once(
    bench: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process]
) -> None:
    """It does not wait for answers that may take minutes; they are counted as perhaps paid, and the run can go on."""
    provider = play({"faults": [{"fault": "stall", "executed": True, "text": "text 1", "times": 1}]})
    job = bench(provider, rows=20, limits={"concurrency": 20})
    with start("tell", str(job.job)) as run:
        assert run.says("RowFinished", 9)
        assert run.runs_for(0.3)
        run.signal(signal.SIGINT)
        assert run.runs_for(0.5)
        began = time.monotonic()
        run.signal(signal.SIGINT)
        assert run.end() == 130, run.errors
        assert time.monotonic() - began < 2
    stalled = 11  # text 1 and text 10 to 19
    assert job.column("status").count("ok") == 20 - stalled
    assert job.metadata()["maybe_paid_attempts"] == stalled
    assert job.run().by_status == {"ok": 20}
    assert len(provider.ledger.requests()) == 20 + stalled


def test_a_second_run_on_the_same_directory_is_refused_at_once(
    bench: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process]
) -> None:
    """It names the process that holds the directory; reading goes on meanwhile, and the lock dies with its process."""
    provider = play({"faults": [{"fault": "stall", "text": "#r3#", "times": 1}]})
    job = bench(provider, rows=30)
    with start("tell", str(job.job)) as first:
        assert first.says("RowFinished", 29)
        pipeline.check(job.job)  # imports what takes a second to import
        began = time.monotonic()
        with pytest.raises(RunDirectoryError, match=f"in use by process {first.pid} "):
            job.run()
        assert time.monotonic() - began < 1
        with start("run", str(job.job), "--yes") as second:
            assert second.end() == 4
            assert str(first.pid) in second.errors
        state = pipeline.status(job.job)
        assert state.running
        assert state.totals.maybe_paid == 0
        path, _ = pipeline.export(job.job, job.folder / "now.parquet")
        assert sorted(row["status"] for row in job.table(path)) == ["ok"] * 29 + ["pending"]
        first.signal(signal.SIGKILL)
        assert first.end() == -signal.SIGKILL
    assert not pipeline.status(job.job).running
    assert job.run().by_status == {"ok": 30}
    assert len(provider.ledger.requests()) == 31


def test_a_signal_ends_a_run_that_waits_for_the_provider(
    bench: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process]
) -> None:
    """A Retry-After of ten minutes holds up nobody who wants to stop."""
    provider = play({"faults": [{"fault": "rate_limit", "retry_after": 600}]})
    job = bench(provider, rows=30)
    with start("run", str(job.job), "--yes", "--json") as run:
        assert run.says("paused")
        run.signal(signal.SIGINT)
        assert not run.runs_for(5)
        assert run.end() == 130
        assert run.errors == ""  # the closing screen has said it all
    assert job.column("status") == ["pending"] * 30


@pytest.mark.parametrize(
    "moment", [("sqlite3.connect", "journal.sqlite"), ("os.rename", "out.parquet")], ids=["starts", "writes"]
)
def test_an_interrupt_before_and_after_the_sending_is_one_too(
    bench: Callable[..., Bench], provider: Provider, start: Callable[..., Process], moment: tuple[str, str]
) -> None:
    """The exit code says that the run was interrupted, the old table stands, and nothing half-written is left beside it."""
    job = bench(provider, rows=5)
    job.run()
    old = job.output.read_bytes()
    with start("run", str(job.job), "--yes", strike=(*moment, signal.SIGINT)) as run:
        assert run.end() == 130, run.errors
    assert job.output.read_bytes() == old
    assert sorted(path.name for path in job.folder.iterdir() if path.name.startswith(".")) == []
    assert job.run().by_status == {"ok": 5}
    assert len(provider.ledger.requests()) == 5
