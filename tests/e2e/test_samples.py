"""Rows that are asked several times: each answer is paid once, found again, and counted where it belongs."""

from __future__ import annotations

import csv
import json
import signal
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest

import pipeline
from pipeline.errors import PipelineError, RunDirectoryError
from pipeline.events import RowFinished, RowsKnown, RunStarted
from pipeline.report.summary import closing as closing_screen

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider
    from tests.e2e.process import Process

VARIED = {"variation": True}
FIELDS = {"label": "enum[ok, spam, insult]", "score": "float", "tags": "list[string]"}


def _voting(job: Bench, samples: int = 5) -> Bench:
    job.spec["samples"] = samples
    job.spec["output"]["fields"] = FIELDS
    return job


def test_every_row_has_its_answers_side_by_side_and_a_vote_over_them(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """One row of the table per row of the input; lists in sample order, the most frequent label, and sums that are the bill."""
    provider = play(VARIED)
    job = _voting(bench(provider, rows=20))
    closing = job.run()
    assert provider.ledger.asked() == {f"r{number}": 5 for number in range(20)}
    assert (closing.rows, closing.samples, closing.by_status, closing.exit_code) == (20, 5, {"ok": 100}, 0)
    table = pl.read_parquet(job.output)
    assert table.height == 20
    assert table.schema["label"] == table.schema["statuses"] == table.schema["response_id"] == pl.List(pl.String)
    assert table.schema["tags"] == pl.List(pl.List(pl.String))
    assert [table.schema[f"label_{end}"] for end in ("vote", "share", "agreement")] == [
        pl.String,
        pl.Float64,
        pl.Float64,
    ]
    assert (table.schema["score"], table.schema["score_mean"]) == (pl.List(pl.Float64), pl.Float64)
    for row in table.iter_rows(named=True):
        counts = Counter(row["label"])
        assert counts[row["label_vote"]] == max(counts.values()) == round(5 * row["label_share"])
        assert len(set(row["response_id"])) == len(row["label"]) == 5
        assert (row["status"], row["attempts"]) == ("ok", 5)
    assert table["label_agreement"].min() < 1  # they were answered one by one
    assert table["total_tokens"].sum() == provider.ledger.tokens() == closing.usage.total_tokens
    assert (job.metadata()["rows"], job.metadata()["samples"], job.metadata()["attempts"]) == (20, 5, 100)


def test_more_samples_later_ask_only_what_is_missing_and_fewer_ask_nothing(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """The one answer that was there is the first of five, and the first of five is the one."""
    provider = play(VARIED)
    job = bench(provider, rows=10)
    job.run()
    plain = job.column("output")
    for samples, new in ((5, 40), (1, 0), (3, 0), (5, 0), (6, 10)):
        ledger = provider.ledger.now()
        job.run(f"samples={samples}")
        assert len(ledger.requests()) == new, samples
        outputs = job.column("output")
        assert outputs == plain if samples == 1 else [texts[0] for texts in outputs] == plain
    assert job.metadata()["superseded_total_tokens"] == 0


def test_a_text_job_has_lists_of_texts_and_no_votes(bench: Callable[..., Bench]) -> None:
    """Free text is not voted on; the offline simulator answers the same five times."""
    job = bench(rows=3, samples=2)
    job.run()
    (first, *_) = job.table()
    assert len(first["output"]) == 2
    assert not [name for name in first if name.endswith(("_vote", "_share", "_agreement"))]


@pytest.mark.parametrize("dedupe", [True, False], ids=["dedupe", "every row"])
def test_a_killed_run_asks_only_the_samples_that_are_missing(
    bench: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process], dedupe: bool
) -> None:
    """Also of rows that were answered in part; what was in flight is counted, and nothing else is paid twice."""
    stalled = {"fault": "stall", "executed": True, "text": "#r7#", "times": 2}
    provider = play({"latency_s": {"median": 0.02, "p95": 0.06}, "faults": [stalled]})
    job = bench(provider, rows=40, samples=5, dedupe=dedupe, limits={"concurrency": 8})
    with start("tell", str(job.job)) as run:
        assert run.says("RowFinished", 80)
        run.signal(signal.SIGKILL)
        assert run.end() == -signal.SIGKILL
    path, _ = pipeline.export(job.job, job.folder / "peek.parquet")
    statuses = [status for row in job.table(path) for status in row["statuses"]]
    assert 80 <= statuses.count("ok") < 200
    assert sorted(job.table(path)[7]["statuses"]) == ["ok", "ok", "ok", "pending", "pending"]
    before = pipeline.status(job.job).totals.attempts  # the ledger may still hear of what was in flight
    closing = job.run()
    (started,) = job.said(RunStarted)
    assert closing.attempts - before == 200 - statuses.count("ok")
    known = started.known + sum(sum(event.by_status.values()) for event in job.said(RowsKnown))
    assert known + sum(event.result.rows for event in job.said(RowFinished)) == started.answers == 200
    assert closing.by_status == {"ok": 200}
    assert closing.attempts - closing.maybe_paid == 200
    assert 0 < len(provider.ledger.executed()) - 200 <= closing.maybe_paid <= 8
    assert len({answer for row in job.table() for answer in row["response_id"]}) == 200


def test_a_stopped_run_counts_the_answers_it_still_owes(
    bench: Callable[..., Bench], play: Callable[..., Provider], start: Callable[..., Process]
) -> None:
    """After Ctrl-C each answer is ok or pending, in the table and in ``status``, and the same command asks the rest."""
    provider = play({"latency_s": 0.05})
    job = bench(provider, rows=30, samples=4, limits={"concurrency": 8})
    with start("tell", str(job.job)) as run:
        assert run.says("RowFinished", 30)
        run.signal(signal.SIGINT)
        assert run.end() == 130
    executed = len(provider.ledger.executed())
    statuses = Counter(status for row in job.table() for status in row["statuses"])
    assert statuses == {"ok": executed, "pending": 120 - executed}
    assert Counter(job.column("status"))["ok"] == sum(set(row["statuses"]) == {"ok"} for row in job.table())
    state = pipeline.status(job.job)
    assert (state.totals.by_status["ok"], state.totals.samples, state.rows) == (executed, 4, 30)
    assert job.run().by_status == {"ok": 120}
    assert len(provider.ledger.executed()) == 120


def test_rows_that_ask_the_same_share_their_answers_sample_by_sample(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """Five answers are paid for each question, whoever asks it, also while the first is in flight; sums stay the bill."""
    provider = play({"latency_s": 0.02, **VARIED})
    job = bench(provider, samples=5, prompt="#{{ text }}#")
    job.fill([{"id": f"r{number}", "text": f"t{number % 4}"} for number in range(60)])
    closing = job.run()
    assert provider.ledger.asked() == {f"t{number}": 5 for number in range(4)}
    table = job.table()
    assert all(row["output"] == table[number % 4]["output"] for number, row in enumerate(table))
    assert sum(row["total_tokens"] for row in table) == provider.ledger.tokens() == closing.usage.total_tokens
    assert sum(row["attempts"] for row in table) == closing.attempts == 20
    assert closing.by_status == {"ok": 300}
    assert sum(event.result.rows for event in job.said(RowFinished)) == 300


def test_a_retry_asks_only_the_samples_that_failed(bench: Callable[..., Bench], play: Callable[..., Provider]) -> None:
    """With what it changes, too; the other answers of the row stand, and the row is ok when all are."""
    provider = play({"faults": [{"fault": "bad_request", "nth": [7, 9]}], **VARIED})
    job = _voting(bench(provider, rows=6, limits={"concurrency": 1}))
    closing = job.run()
    assert (closing.by_status, closing.exit_code) == ({"ok": 28, "failed": 2}, 1)
    assert "6 rows x 5 samples" in closing_screen(closing)
    assert "2 answers failed" in closing_screen(closing)
    before = job.table()
    assert [row["status"] for row in before] == ["ok", "failed", *["ok"] * 4]
    assert before[1]["statuses"] == ["ok", "failed", "ok", "failed", "ok"]
    assert before[1]["error_kind"] == "bad_request"
    with pytest.raises(RunDirectoryError, match="5, not 3 times"):
        job.run("samples=3", retry=["failed"])
    ledger = provider.ledger.now()
    closing = job.run("request.max_output_tokens=900", retry=["failed"])
    assert ledger.asked() == {"r1": 2}
    (started,) = job.said(RunStarted)
    assert (started.rows, started.answers) == (1, 2)
    assert (closing.by_status, closing.exit_code) == ({"ok": 30}, 0)
    after = job.table()
    assert after[:1] + after[2:] == before[:1] + before[2:]
    assert after[1]["response_id"][::2] == before[1]["response_id"][::2]
    assert None not in after[1]["label"]
    job.run()
    assert len(ledger.requests()) == 2


def test_a_row_that_cannot_be_asked_lacks_all_its_answers(bench: Callable[..., Bench], provider: Provider) -> None:
    """It fails, or is skipped, once per sample in the counts and once in the table."""
    job = bench(provider, samples=3)
    job.fill([{"id": "a", "text": "x"}, {"id": "b", "text": None}])
    assert job.run().by_status == {"ok": 3, "failed": 3}
    assert job.table()[1]["statuses"] == ["failed"] * 3
    closing = job.run("on_null=skip")
    assert (closing.by_status, closing.exit_code) == ({"ok": 3, "skipped": 3}, 0)
    assert [row["status"] for row in job.table()] == ["ok", "skipped"]
    assert len(provider.ledger.requests()) == 3


def test_a_refused_run_owes_every_answer(bench: Callable[..., Bench], play: Callable[..., Provider]) -> None:
    """Rows and answers are right also where the provider refuses everyone."""
    job = bench(play({"faults": [{"fault": "quota"}]}), rows=5, samples=3, limits={"concurrency": 1})
    with pytest.raises(PipelineError) as error:
        job.run()
    assert error.value.exit_code == 6
    assert job.metadata()["samples"] == 3
    assert [row["statuses"] for row in job.table()] == [["pending"] * 3] * 5


def test_lists_are_json_in_an_exported_csv(bench: Callable[..., Bench]) -> None:
    """Votes stay plain cells."""
    job = _voting(bench(rows=2), samples=2)
    job.run()
    path, _ = pipeline.export(job.job, job.folder / "table.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows: list[Any] = list(csv.DictReader(file))
    assert [len(json.loads(row["label"])) for row in rows] == [2, 2]
    assert {row["label_vote"] for row in rows} <= {"ok", "spam", "insult"}
    assert [row["label_share"] for row in rows] == ["1", "1"]


def test_show_has_every_sample_with_its_reply(bench: Callable[..., Bench]) -> None:
    """Each with the attempts of its own request."""
    job = bench(rows=2, samples=3)
    job.run()
    shown: Any = pipeline.show(job.job, 1)
    assert [sample["sample"] for sample in shown["samples"]] == [0, 1, 2]
    assert [len(sample["attempts"]) for sample in shown["samples"]] == [1, 1, 1]
    replies = [sample["attempts"][0]["reply"]["id"] for sample in shown["samples"]]
    assert replies == job.table()[1]["response_id"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (["request.temperature=0"], "samples is 5, but with temperature 0 the answers of a row will hardly differ"),
        (["extra_body.seed=7"], "samples is 5, but with a seed the answers of a row will hardly differ"),
        (["request.temperature=0", "samples=1"], None),
        (["request.temperature=1"], None),
    ],
)
def test_check_warns_of_samples_that_cannot_differ(
    bench: Callable[..., Bench], settings: list[str], said: str | None
) -> None:
    """Paying five times for one answer is hardly meant."""
    notes = pipeline.check(_voting(bench(rows=1)).job, sets=settings).notes
    assert [note for note in notes if note.startswith("samples")] == ([said] if said else [])


def test_the_offer_counts_requests_and_those_that_are_known(bench: Callable[..., Bench], provider: Provider) -> None:
    """Before a person agrees to ask two more answers of each of four rows."""
    job = bench(provider, rows=4)
    job.run()
    offers: list[Any] = []
    with pytest.raises(PipelineError, match="nothing was sent"):
        pipeline.run(job.job, sets=["samples=3"], confirm=lambda offer: offers.append(offer) or False)
    assert [(offer.rows, offer.samples, offer.known, offer.wanted) for offer in offers] == [(4, 3, 4, None)]
    assert len(provider.ledger.requests()) == 4
