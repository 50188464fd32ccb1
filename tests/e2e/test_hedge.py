"""Slow attempts: how long a run waits for them, and what a second one beside them costs and saves."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import SpecError
from pipeline.events import AttemptFailed, Notice

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider

STALLED = {"faults": [{"fault": "stall", "executed": True, "text": "#r3#", "times": 1}]}


def test_the_last_rows_wait_for_a_slow_attempt_until_its_deadline_and_no_longer(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """Then it is asked again; every other row has its answer long before."""
    provider = play(STALLED)
    job = bench(provider, rows=6, deadlines={"connect_s": 0.2, "first_byte_s": 0.3, "total_s": 0.5})
    assert job.run().by_status == {"ok": 6}
    (failed,) = job.said(AttemptFailed)
    assert (failed.row, failed.kind) == (3, "timeout")
    assert provider.ledger.asked()["r3"] == 2


def test_a_slow_attempt_is_overtaken_by_a_second_one(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """Both are attempts of the journal; the one that lost may be paid, and the closing figures say so."""
    provider = play(STALLED)
    job = bench(provider, rows=6, retry={"hedge_after": 0.2})
    closing = job.run()
    assert closing.by_status == {"ok": 6}
    assert (closing.attempts, closing.maybe_paid) == (7, 1)
    assert any("(row 3)" in note for note in closing.notes)
    assert job.said(AttemptFailed) == []
    told = [notice.message for notice in job.said(Notice)]
    assert any("second attempts sent: 1, answered first: 1" in message for message in told)
    assert any("both may be paid" in message for message in told)
    assert provider.ledger.asked()["r3"] == 2
    assert job.run().attempts == 7  # nothing is asked again


def test_a_budget_keeps_the_worst_case_of_what_lost(bench: Callable[..., Bench], play: Callable[..., Provider]) -> None:
    """Nobody knows what it cost, so a later run does not spend that money."""
    price = {"input": 1, "output": 1}
    job = bench(
        play(STALLED),
        rows=6,
        retry={"hedge_after": 0.2},
        budget={"usd": 1},
        prices={"*": price},
        request={"max_output_tokens": 50},
    )
    closing = job.run()
    assert closing.money is not None
    assert (closing.by_status, closing.money.maybe_paid) == ({"ok": 6}, 1)


def test_second_attempts_that_never_left_are_neither_counted_nor_paid(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """Where all are as slow and the line is full: the ledger and the closing figures agree, and no budget is used up by them."""
    provider = play({"latency_s": {"median": 0.05}})
    job = bench(
        provider,
        rows=16,
        retry={"hedge_after": 0.02},
        limits={"concurrency": 2},
        budget={"usd": 0.004},
        prices={"*": {"input": 1, "output": 1}},
        request={"max_output_tokens": 200},
    )
    closing = job.run()
    asked = sum(provider.ledger.asked().values())
    assert closing.by_status == {"ok": 16}
    assert closing.attempts == asked
    assert closing.maybe_paid == asked - 16
    assert closing.money is not None
    assert closing.money.maybe_paid == closing.maybe_paid


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"retry": {"hedge_after": 5, "ambiguous": False}}, "ambiguous"),
        ({"retry": {"hedge_after": 5}, "delivery": "background"}, "background"),
        ({"retry": {"hedge_after": 5}, "request": {"conversation": "conv_1"}}, "conversation"),
    ],
)
def test_a_second_attempt_is_refused_where_it_is_unsafe(
    bench: Callable[..., Bench], play: Callable[..., Provider], settings: dict[str, object], reason: str
) -> None:
    """Before anything is sent, with the reason, at its place in the spec."""
    provider = play({})
    with pytest.raises(SpecError, match=rf"retry\.hedge_after: is not possible where .*{reason}"):
        bench(provider, rows=1, **settings).run()
    assert provider.ledger.requests() == []
