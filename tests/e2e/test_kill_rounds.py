"""The process is killed with SIGKILL inside tool loops; the ledger of a provider in another process says what was paid twice."""

from __future__ import annotations

import random
import signal
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

import pipeline

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider
    from tests.e2e.process import Process

ROUNDS = 4
"""In how many rounds the model calls the function; one more gives the answer."""
IN_FLIGHT = 20
CODE = '''
def step(word: str) -> str:
    """Take a step."""
    return "@"
'''


def _finished(job: Bench) -> set[tuple[str, int]]:
    """Return the rounds whose replies are in the journal."""
    journal = job.folder / "out.parquet.run" / "journal.sqlite"
    query = """SELECT r.row, COUNT(*) FROM attempts AS a JOIN rows AS r ON r.request = a.request
        WHERE a.state IN ('round', 'answered') GROUP BY r.row"""
    connection = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    try:
        counts = connection.execute(query).fetchall()
    finally:
        connection.close()
    return {(f"r{row}", number) for row, count in counts for number in range(count)}


@pytest.mark.parametrize(
    ("rows", "kills"),
    [
        pytest.param(60, 3, id="short"),
        pytest.param(400, 20, id="long", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_no_finished_round_is_paid_twice_however_often_a_run_is_killed(
    bench: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process], rows: int, kills: int
) -> None:
    """Every row ends with all its calls; what was in flight at a kill is counted, and nothing else was asked again."""
    provider = play({"tool_rounds": ROUNDS, "latency_s": {"median": 0.03, "p95": 0.09}})
    settings = {"prompt": "#{{ id }}# Take a step.", "tools": ["code.py:step"], "limits": {"concurrency": IN_FLIGHT}}
    job = bench(provider, rows=rows, **settings)
    (job.folder / "code.py").write_text(CODE, encoding="utf-8")
    moments = random.Random(rows)
    most = (rows - IN_FLIGHT) // kills
    finished: set[tuple[str, int]] = set()
    for _ in range(kills):
        since = provider.ledger.now()
        with start("tell", str(job.job)) as run:
            assert run.says("RowFinished", moments.randint(1, most))
            assert run.runs_for(moments.uniform(0.0, 0.1))
            run.signal(signal.SIGKILL)
            assert run.end() == -signal.SIGKILL
        assert not finished & since.rounds().keys()
        finished = _finished(job)
    begun = {row for row, _ in finished} - {row for row, number in finished if number == ROUNDS}
    assert begun  # the last kill left rows inside their loops
    since = provider.ledger.now()
    closing = job.run()
    assert not finished & since.rounds().keys()

    assert closing.by_status == {"ok": rows}
    executed = provider.ledger.rounds()
    assert executed.keys() == {(f"r{row}", number) for row in range(rows) for number in range(ROUNDS + 1)}
    paid_for_nothing = executed.total() - len(executed)
    assert paid_for_nothing <= closing.maybe_paid <= kills * IN_FLIGHT
    assert closing.attempts - closing.maybe_paid == len(executed)
    assert all(calls.count('"output"') == ROUNDS for calls in job.column("tool_calls"))
    print(
        f"{kills} kills, {len(executed)} rounds of {rows} rows: finished rounds paid twice 0, "
        f"in flight at a kill {closing.maybe_paid}, of which executed {paid_for_nothing}"
    )
    before = provider.ledger.now()
    assert job.run().attempts == closing.attempts
    assert before.requests() == []
    assert pipeline.status(job.job).totals.maybe_paid == closing.maybe_paid
