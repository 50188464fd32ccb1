"""The process is killed with SIGKILL; the ledger of a provider in another process says what was lost and what was paid twice."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

import pipeline

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider
    from tests.e2e.process import Process

IN_FLIGHT = 20


def _killed(run: Process, moments: random.Random, most: int) -> None:
    """Kill a run that tells its events, some rows and some milliseconds after it began to send."""
    with run:
        assert run.says("RowFinished", moments.randint(1, most))
        assert run.runs_for(moments.uniform(0.0, 0.05))
        run.signal(signal.SIGKILL)
        assert run.end() == -signal.SIGKILL


def _finished(job: Bench) -> set[str]:
    """Return the rows whose answers are durable."""
    path, _ = pipeline.export(job.job, job.folder / "peek.parquet")
    return {row["id"] for row in job.table(path) if row["status"] == "ok"}


@pytest.mark.parametrize(
    ("rows", "kills"),
    [
        pytest.param(400, 3, id="short"),
        pytest.param(2000, 10, id="long", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_a_run_that_is_killed_again_and_again_ends_with_every_row_once_and_hides_no_loss(
    bench: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process], rows: int, kills: int
) -> None:
    """Every row is in the table once and in order, no finished row is asked again, and what may have been paid for nothing is counted."""
    provider = play({"latency_s": {"median": 0.04, "p95": 0.12}})
    job = bench(provider, rows=rows, limits={"concurrency": IN_FLIGHT})
    moments = random.Random(rows)
    finished: set[str] = set()
    for _ in range(kills):
        since = provider.ledger.now()
        _killed(start("tell", str(job.job)), moments, most=rows // kills // 2)
        assert not finished & set(since.asked())
        finished = _finished(job)
        state = pipeline.status(job.job)
        assert not state.running
        assert len(provider.ledger.executed()) - len(finished) <= state.totals.maybe_paid
    since = provider.ledger.now()
    closing = job.run()
    assert not finished & set(since.asked())

    table = job.table()
    assert [row["id"] for row in table] == [f"r{number}" for number in range(rows)]
    assert all(row["status"] == "ok" and f"#{row['id']}#" in row["output"] for row in table)
    executed = provider.ledger.executed()
    paid_for_nothing = len(executed) - rows
    assert 0 < paid_for_nothing <= closing.maybe_paid <= kills * IN_FLIGHT
    assert closing.attempts - closing.maybe_paid == rows
    assert closing.maybe_paid == pipeline.status(job.job).totals.maybe_paid == job.metadata()["maybe_paid_attempts"]
    used = {line["response_id"]: line["usage"]["total_tokens"] for line in executed}
    assert all(used[row["response_id"]] == row["total_tokens"] for row in table)
    assert job.run().attempts == closing.attempts
    assert len(provider.ledger.executed()) == len(executed)


@pytest.mark.parametrize("moment", [("os.rename", "out.parquet"), ("open", ".tmp")], ids=["rename", "fsync"])
def test_a_run_killed_while_it_writes_the_table_leaves_the_old_one_or_none(
    bench: Callable[..., Bench], provider: Provider, start: Callable[..., Process], moment: tuple[str, str]
) -> None:
    """The old table stays whole until the new one takes its place in one step; then the next run asks nothing and leaves nothing behind."""
    job = bench(provider, rows=30)
    with start("run", str(job.job), "--yes", strike=(*moment, signal.SIGKILL)) as run:
        assert run.end() == -signal.SIGKILL
    assert not job.output.exists()
    job.run()
    old = job.output.read_bytes()
    job.fill([{"id": f"r{number}", "text": f"text {number}"} for number in range(40)])
    with start("run", str(job.job), "--yes", strike=(*moment, signal.SIGKILL)) as run:
        assert run.end() == -signal.SIGKILL
    assert job.output.read_bytes() == old
    assert len(provider.ledger.requests()) == 40
    assert job.run().by_status == {"ok": 40}
    assert len(provider.ledger.requests()) == 40
    names = sorted(path.name for path in job.folder.iterdir())
    assert names == ["input.parquet", "job.yaml", "out.parquet", "out.parquet.run"]


@pytest.mark.parametrize("name", ["table.parquet", "table.csv"])
def test_an_export_that_is_killed_leaves_the_old_file_or_none(
    bench: Callable[..., Bench], start: Callable[..., Process], name: str
) -> None:
    """An export is published in one step, as Parquet and as CSV."""
    job = bench(rows=20)
    job.run()
    target = job.folder / name
    command = ("export", str(job.job), "-o", str(target))
    with start(*command, strike=("os.rename", name, signal.SIGKILL)) as export:
        assert export.end() == -signal.SIGKILL
    assert not target.exists()
    pipeline.export(job.job, target)
    old = target.read_bytes()
    with start(*command, strike=("os.rename", name, signal.SIGKILL)) as export:
        assert export.end() == -signal.SIGKILL
    assert target.read_bytes() == old


@pytest.mark.parametrize(
    "moment", [("open", "lock"), ("open", "journal.sqlite"), ("sqlite3.connect", "journal.sqlite")]
)
def test_a_run_killed_while_it_sets_up_its_directory_can_be_started_again(
    bench: Callable[..., Bench], start: Callable[..., Process], moment: tuple[str, str]
) -> None:
    """Whatever a killed start leaves behind, the next one goes on with it."""
    job = bench(rows=5)
    with start("run", str(job.job), strike=(*moment, signal.SIGKILL)) as run:
        assert run.end() == -signal.SIGKILL
    assert job.run().by_status == {"ok": 5}
