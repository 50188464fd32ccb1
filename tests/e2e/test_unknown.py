"""``retry.ambiguous: false``: what may have been paid is not asked a second time."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider
    from tests.e2e.process import Process

ONCE_ONLY = {"ambiguous": False}


def test_a_stalled_row_ends_as_unknown_and_is_not_asked_again(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """It stays so over plain runs; only a retry that names it asks it again."""
    provider = play({"faults": [{"fault": "stall", "executed": True, "text": "#r3#", "times": 1}]})
    job = bench(provider, rows=10, retry=ONCE_ONLY, deadlines={"connect_s": 0.2, "first_byte_s": 0.3})
    for _ in range(2):
        closing = job.run()
        assert closing.by_status == {"ok": 9, "unknown": 1}
        assert (closing.exit_code, closing.maybe_paid) == (1, 1)
        assert provider.ledger.asked()["r3"] == 1
    row = job.table()[3]
    assert (row["status"], row["error_kind"], row["output"]) == ("unknown", "unknown_outcome", None)
    assert job.run(retry=["unknown"]).by_status == {"ok": 10}
    assert provider.ledger.asked()["r3"] == 2


def test_rows_in_flight_when_the_run_was_killed_end_as_unknown(
    bench: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process]
) -> None:
    """Nothing that the provider has seen is sent a second time, and every such row is named."""
    provider = play({"latency_s": 0.05, "faults": [{"fault": "stall", "executed": True, "text": "slow"}]})
    job = bench(provider, retry=ONCE_ONLY, limits={"concurrency": 16})
    job.fill([{"id": f"r{number}", "text": "quick" if number else "slow"} for number in range(200)])
    with start("tell", str(job.job)) as run:
        assert run.says("RowFinished", 60)  # and row 0 is still on its way
        run.signal(signal.SIGKILL)
        assert run.end() == -signal.SIGKILL
    closing = job.run()
    assert max(provider.ledger.asked().values()) == 1
    assert 0 < closing.by_status["unknown"] == closing.maybe_paid <= 16
    assert closing.by_status["ok"] == 200 - closing.maybe_paid
    assert {row["error_kind"] for row in job.table() if row["status"] == "unknown"} == {"killed"}
    job.run()
    assert max(provider.ledger.asked().values()) == 1


def test_rows_in_flight_when_the_run_was_ended_at_once_end_as_unknown(
    bench: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process]
) -> None:
    """Two signals end a run without waiting for answers; what was on its way is not asked again either."""
    stalled = 5
    provider = play({"faults": [{"fault": "stall", "executed": True, "text": "slow"}]})
    job = bench(provider, retry=ONCE_ONLY)
    job.fill([{"id": f"r{number}", "text": "slow" if number < stalled else "quick"} for number in range(10)])
    with start("tell", str(job.job)) as run:
        assert run.says("RowFinished", 10 - stalled)
        assert run.runs_for(0.3)
        run.signal(signal.SIGINT)
        assert run.runs_for(0.5)
        run.signal(signal.SIGINT)
        assert run.end() == 130, run.errors
    assert job.column("status") == ["unknown"] * stalled + ["ok"] * (10 - stalled)
    assert job.metadata()["maybe_paid_attempts"] == stalled
    assert job.run().by_status == {"unknown": stalled, "ok": 10 - stalled}
    assert len(provider.ledger.requests()) == 10
