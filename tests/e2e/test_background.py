"""The same job, its answers made in the background: the same table, and nothing that was taken in is paid for twice."""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest

import pipeline
from pipeline.errors import ProviderRefused
from pipeline.events import AttemptFailed, RunFinished

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider
    from tests.e2e.process import Process

pytestmark = pytest.mark.usefixtures("quick_looks")

ASIDE = frozenset({"response_id", "latency_s", "finished_at", "cached_tokens"})
"""What may differ from one run to the next."""
ENDS = {"refusal": "refused", "incomplete": "truncated", "filtered": "filtered"}
"""The faults of the first rows, and how these end; all others are as wished."""
SLOW_S = 60.0
"""An answer that no test waits for."""


def _same(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: cell for name, cell in row.items() if name not in ASIDE} for row in rows]


def _taken_in(job: Bench, run: Process, rows: int) -> None:
    """Let a run go on until the ids of so many responses are durable."""
    assert run.says("RunStarted")
    while pipeline.status(job.job).totals.to_fetch < rows:
        assert run.runs_for(0.02)


def _killed(job: Bench, run: Process, rows: int) -> None:
    """Kill a run once so many responses are being made for it."""
    with run:
        _taken_in(job, run, rows)
        run.signal(signal.SIGKILL)
        assert run.end() == -signal.SIGKILL


def _ids(job: Bench) -> set[str]:
    """Return the ids of all responses that the journal knows."""
    journal = sqlite3.connect(f"{job.output}.run/journal.sqlite")
    try:
        return {name for (name,) in journal.execute("SELECT response_id FROM attempts WHERE response_id IS NOT NULL")}
    finally:
        journal.close()


def _cancellations(provider: Provider) -> list[bool]:
    """Return of each cancellation whether it came in time."""
    return [line["effective"] for line in provider.ledger.lines() if line.get("event") == "cancelled"]


def test_a_background_job_gives_the_table_of_the_plain_one(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """Answers, typed columns, statuses, errors and tokens agree."""
    faults = [{"fault": kind, "text": f"#r{row}#"} for row, kind in enumerate(ENDS)]
    provider = play({"faults": faults, "background": {"poll_after_ms": 20}})
    job = bench(provider, rows=8, output={"path": "out.parquet", "fields": {"label": "enum[good, bad]"}})
    job.run()
    plain = job.table()
    job.spec |= {"delivery": "background", "output": {**job.spec["output"], "path": "background.parquet"}}
    closing = job.run()
    made = job.table(job.folder / "background.parquet")
    assert _same(made) == _same(plain)
    assert [row["status"] for row in made] == [*ENDS.values(), *["ok"] * 5]
    assert sum(row["total_tokens"] for row in [*plain, *made]) == provider.ledger.tokens()
    assert all(row["latency_s"] > 0 for row in made)
    assert (closing.maybe_paid, closing.attempts, closing.notes) == (0, 8, ())


def test_what_was_answered_in_the_background_is_not_asked_again_in_another_delivery(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """Delivery is no part of what is asked."""
    job = bench(provider, rows=3, delivery="background")
    job.run()
    first, ledger = job.table(), provider.ledger.now()
    job.run("delivery=plain")
    assert job.table() == first
    assert ledger.requests() == []


@pytest.mark.parametrize("delivery", ["background", "plain", "stream"])
def test_a_killed_run_fetches_what_it_has_paid(
    bench: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process], delivery: str
) -> None:
    """Whatever the delivery of the run that goes on: nothing is asked again, and nothing is unclear."""
    provider = play({"background": {"polls": 3}})  # later than the kill, however busy the machine
    job = bench(provider, rows=12, delivery="background", limits={"concurrency": 12})
    _killed(job, start("tell", str(job.job)), 12)
    state = pipeline.status(job.job)
    assert (state.totals.to_fetch, state.totals.maybe_paid) == (12, 0)
    closing = job.run(f"delivery={delivery}")
    assert closing.by_status == {"ok": 12}
    assert (closing.attempts, closing.maybe_paid, closing.notes) == (12, 0, ())
    assert len(provider.ledger.requests()) == 12
    assert job.column("latency_s") == [None] * 12
    assert closing.usage.total_tokens == provider.ledger.tokens()


@pytest.mark.parametrize("ambiguous", [True, False])
def test_answers_that_are_gone_are_asked_again_only_where_the_job_allows_it(
    bench: Callable[..., Bench],
    play: Callable[..., Provider],
    start: Callable[..., Process],
    ambiguous: bool,
) -> None:
    """A provider keeps them for a while only; either way they are counted as perhaps paid."""
    provider = play({"background": {"polls": 3}})
    job = bench(provider, rows=4, delivery="background", retry={"ambiguous": ambiguous})
    _killed(job, start("tell", str(job.job)), 4)
    for response_id in _ids(job):
        with urlopen(Request(f"{provider.base()}/responses/{response_id}", method="DELETE")) as answer:
            assert answer.status == 200
    closing = job.run()
    assert closing.by_status == ({"ok": 4} if ambiguous else {"unknown": 4})
    assert {event.kind for event in job.said(AttemptFailed)} == {"gone" if ambiguous else "unknown_outcome"}
    assert len(provider.ledger.requests()) == (8 if ambiguous else 4)
    assert closing.maybe_paid == 4


def test_a_run_that_is_stopped_leaves_what_is_being_made_and_says_so(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """A key that no longer holds stops the run; with a good one the same command fetches every answer."""
    provider = play({"faults": [{"fault": "unauthorized", "on": "retrieve", "times": 1}]})
    job = bench(provider, rows=6, delivery="background", limits={"concurrency": 6})
    with pytest.raises(ProviderRefused):
        job.run()
    (closing,) = job.said(RunFinished)
    assert closing.notes == ("6 background responses are still with the provider; the same command fetches them",)
    assert (closing.by_status, closing.maybe_paid) == ({"pending": 6}, 0)
    assert job.run().by_status == {"ok": 6}
    assert len(provider.ledger.requests()) == 6


def test_a_second_signal_cancels_what_is_being_made(
    bench: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process]
) -> None:
    """The provider confirms it, so there is nothing to fetch, and the next run asks these rows anew."""
    provider = play({"latency_s": SLOW_S})
    job = bench(provider, rows=10, delivery="background", limits={"concurrency": 10})
    for asked in (10, 20):
        with start("tell", str(job.job)) as run:
            _taken_in(job, run, 10)
            run.signal(signal.SIGINT)
            assert run.says("Stopping")
            began = time.monotonic()
            run.signal(signal.SIGINT)
            assert run.end() == 130, run.errors
            assert time.monotonic() - began < 5
        assert _cancellations(provider) == [True] * asked
        assert len(provider.ledger.requests()) == asked
        totals = pipeline.status(job.job).totals
        assert (totals.to_fetch, totals.maybe_paid, totals.cancelled, totals.attempts) == (0, 0, asked, asked)
        assert job.column("status") == ["pending"] * 10


def test_what_a_second_signal_does_is_said_before_and_after(
    bench: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process]
) -> None:
    """Nobody knows what was charged for answers that were being made."""
    provider = play({"latency_s": SLOW_S})
    job = bench(provider, rows=4, delivery="background", limits={"concurrency": 4})
    with start("run", str(job.job), "--yes") as run:
        assert run.says("4 rows")
        while pipeline.status(job.job).totals.to_fetch < 4:
            assert run.runs_for(0.02)
        run.signal(signal.SIGINT)
        assert run.says(
            "4 answers on their way (interrupted by SIGINT); Ctrl-C again waits for nothing and cancels them"
        )
        run.signal(signal.SIGINT)
        assert run.says("4 responses were cancelled at the provider; what they cost is not known")
        assert run.end() == 130, run.errors


def test_looks_that_fail_are_no_attempts(bench: Callable[..., Bench], play: Callable[..., Provider]) -> None:
    """A provider that is down while it is asked for an answer costs nothing but time."""
    faults = [
        {"fault": kind, "on": "retrieve", "nth": [n]} for n, kind in enumerate(("server_error", "reset_before"), 1)
    ]
    provider = play({"faults": faults})
    job = bench(provider, rows=2, delivery="background")
    closing = job.run()
    assert (closing.by_status, closing.attempts, closing.maybe_paid) == ({"ok": 2}, 2, 0)
    assert job.said(AttemptFailed) == []


def _moments(seed: int, kills: int) -> Iterator[float]:
    """Yield when to strike after a run has begun: amid the burst in which it hands its first rows in, or some time later."""
    dice = random.Random(seed)
    for kill in range(kills):
        yield dice.uniform(0.0, 0.4 if kill % 2 == 0 else 1.6)


@pytest.mark.parametrize("ambiguous", [True, False], ids=["asked again", "unknown"])
@pytest.mark.parametrize(
    ("rows", "kills"),
    [
        pytest.param(24, 2, id="short"),
        pytest.param(240, 20, id="long", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_a_run_killed_at_any_moment_pays_no_row_twice_whose_response_it_knows(
    bench: Callable[..., Bench],
    play: Callable[..., Provider],
    start: Callable[..., Process],
    rows: int,
    kills: int,
    ambiguous: bool,
) -> None:
    """The ledger is the judge. What was killed before its id was here is counted as perhaps paid, and ends as the job wishes."""
    # Ids that are on their way for a while, so that some kills come before them.
    late = {"fault": "slow_drip", "probability": 0.15, "gap_s": 0.0001}
    provider = play({"latency_s": {"median": 0.5, "p95": 1.5}, "faults": [late]})
    job = bench(provider, rows=rows, delivery="background", limits={"concurrency": 20}, retry={"ambiguous": ambiguous})
    for moment in _moments(rows, kills):
        with start("tell", str(job.job)) as run:
            assert run.says("RunStarted")
            assert run.runs_for(moment)
            run.signal(signal.SIGKILL)
            assert run.end() == -signal.SIGKILL
    to_fetch = pipeline.status(job.job).totals.to_fetch
    closing = job.run()
    executed, known = provider.ledger.executed(), _ids(job)
    lost = [line for line in executed if line["response_id"] not in known]
    paid = Counter(line["request_text"] for line in executed if line["response_id"] in known)
    print(
        f"{kills} kills, {rows} rows: executed {len(executed)}, fetched by the last run {to_fetch}, "
        f"killed before their id {len(lost)}, perhaps paid {closing.maybe_paid}, known and paid twice {len(paid - Counter(set(paid)))}"
    )
    assert paid == Counter(set(paid))
    assert closing.maybe_paid >= len(lost)
    ended = {"ok": rows} if ambiguous else {"ok": rows - closing.maybe_paid, "unknown": closing.maybe_paid}
    assert closing.by_status == {status: count for status, count in ended.items() if count}
    assert closing.attempts - closing.maybe_paid == closing.by_status["ok"] == len(paid)
    used = {line["response_id"]: line["usage"]["total_tokens"] for line in executed}
    assert all(used[row["response_id"]] == row["total_tokens"] for row in job.table() if row["status"] == "ok")
    assert pipeline.status(job.job).totals.to_fetch == 0
