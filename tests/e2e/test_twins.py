"""Rows that ask the same are asked once and share the answer, unless the job says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.events import RowFinished

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider
    from tests.e2e.process import Process

TEXTS = 10


def _twins(job: Bench, rows: int) -> Bench:
    job.spec["prompt"] = "#{{ text }}#"
    job.fill([{"id": f"r{number}", "text": f"t{number * 7 % TEXTS}"} for number in range(rows)])
    return job


def test_a_thousand_rows_with_ten_texts_are_ten_requests(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """Also while the first of them is in flight; one row of each ten carries the usage, and the others name it."""
    provider = play({"latency_s": 0.1})
    job = _twins(bench(provider, limits={"concurrency": 64}), 1000)
    closing = job.run()
    assert provider.ledger.asked() == {f"t{number}": 1 for number in range(TEXTS)}
    table = job.table()
    assert closing.by_status == {"ok": 1000}
    assert closing.usage.total_tokens == sum(row["total_tokens"] for row in table) == provider.ledger.tokens()
    assert closing.attempts == sum(row["attempts"] for row in table) == TEXTS
    carriers = {row["text"]: number for number, row in enumerate(table) if row["shared_from"] is None}
    assert sorted(carriers) == sorted(f"t{number}" for number in range(TEXTS))
    for number, row in enumerate(table):
        carrier = table[carriers[row["text"]]]
        assert row["output"] == carrier["output"]
        if row is not carrier:
            assert (row["shared_from"], row["total_tokens"], row["attempts"]) == (carriers[row["text"]], 0, 0), number
    assert sum(event.result.rows for event in job.said(RowFinished)) == 1000
    job.run()
    assert len(provider.ledger.requests()) == TEXTS


def test_twins_of_a_row_that_fails_share_its_failure(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """A question that failed after all its attempts is not asked again for the twins that come later; a later run tries it again."""
    provider = play({"latency_s": 0.01, "faults": [{"fault": "server_error", "text": "#bad#"}]})
    job = bench(provider, limits={"concurrency": 2}, retry={"attempts": 3, "max_wait_s": 0.01}, prompt="#{{ text }}#")
    job.fill([{"id": f"r{number}", "text": "bad" if number % 50 == 0 else f"t{number}"} for number in range(101)])
    for runs in (1, 2):
        assert job.run().by_status == {"ok": 98, "failed": 3}
        assert provider.ledger.asked()["bad"] == 3 * runs
        table = job.table()
        assert [table[number]["attempts"] for number in (0, 50, 100)] == [3 * runs, 0, 0]
        assert [table[number]["shared_from"] for number in (0, 50, 100)] == [None, 0, 0]


def test_without_dedupe_every_row_is_asked_and_a_killed_run_asks_the_missing_ones(
    bench: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process]
) -> None:
    """A thousand rows are a thousand answers, each with its own usage; what is left after a kill is asked and nothing else."""
    provider = play({"latency_s": 0.02})
    job = _twins(bench(provider, dedupe=False, limits={"concurrency": 32}), 1000)
    with start("tell", str(job.job)) as run:
        assert run.says("RowFinished", 300)
    closing = job.run()
    assert closing.by_status == {"ok": 1000}
    assert closing.attempts - closing.maybe_paid == 1000
    assert len(provider.ledger.executed()) <= 1000 + closing.maybe_paid <= 1032
    table = job.table()
    assert len({row["response_id"] for row in table}) == 1000
    assert all(row["shared_from"] is None and row["total_tokens"] > 0 for row in table)
    sent = len(provider.ledger.requests())
    assert job.run().attempts == closing.attempts
    job.fill([{"id": row["id"], "text": row["text"]} for row in table[::-1]])
    assert job.run().by_status == {"ok": 1000}
    assert len(provider.ledger.requests()) == sent
    assert sum(job.column("total_tokens")) == closing.usage.total_tokens


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({"request": {"conversation": "conv_1"}}, 30),
        ({"request": {"conversation": {"id": "conv_{{ text }}"}}}, 30),
        ({"extra_body": {"conversation": "conv_1"}}, 30),
        ({"request": {"previous_response_id": "resp_1"}}, TEXTS),
    ],
    ids=["one", "per row", "verbatim", "previous response"],
)
def test_rows_of_a_conversation_are_each_asked_once(
    bench: Callable[..., Bench], settings: dict[str, Any], asked: int
) -> None:
    """Each changes the conversation, so no answer stands for two; the next run asks none of them again."""
    job = _twins(bench(**settings), 30)
    for _ in range(2):
        closing = job.run()
        assert (closing.rows, closing.attempts) == (30, asked)
        assert sum(row["shared_from"] is None for row in job.table()) == asked
