"""``run --retry``: some rows are asked once more, everything else stands, and nothing that was paid is forgotten."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider

LONG = "antidisestablishmentarianism " * 8
CAP = {"max_output_tokens": 24}  # the simulator's answer to a short text fits, that to LONG does not


def _rows() -> list[dict[str, Any]]:
    """Forty rows; each eighth is answered too long for the cap, and each eighth fails."""
    texts = {1: LONG, 2: "bad"}
    return [{"id": f"r{number}", "text": texts.get(number % 8, "short")} for number in range(40)]


LONG_ONES = {f"r{number}" for number in range(1, 40, 8)}
BAD_ONES = {f"r{number}" for number in range(2, 40, 8)}


def _sums_hold(job: Bench, provider: Provider) -> bool:
    """Tell whether the table's tokens and the superseded ones are the provider's bill, and the sums those of the rows."""
    said = job.metadata()
    in_table = sum(row["total_tokens"] or 0 for row in job.table())
    return bool(
        said["total_tokens"] == in_table
        and in_table + (said["superseded_total_tokens"] or 0) == provider.ledger.tokens()
    )


def test_a_retry_asks_only_the_rows_with_these_statuses_and_lets_the_others_stand(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """With a higher cap truncated rows become whole and failed ones are answered; a plain run afterwards asks nothing."""
    provider = play({"faults": [{"fault": "bad_request", "text": "bad", "times": 1}]})
    job = bench(provider, request=CAP)
    job.fill(_rows())
    assert job.run().by_status == {"ok": 30, "truncated": 5, "failed": 5}
    before = job.by_id()

    ledger = provider.ledger.now()
    assert job.run("request.max_output_tokens=500", retry=["truncated"]).by_status == {"ok": 35, "failed": 5}
    assert set(ledger.asked()) == LONG_ONES
    assert job.run(retry=["failed"]).by_status == {"ok": 40}
    assert ledger.asked() == dict.fromkeys(LONG_ONES | BAD_ONES, 1)
    after = job.by_id()
    assert all(after[row] == before[row] for row in after.keys() - LONG_ONES - BAD_ONES)
    assert all(LONG[:100] in after[row]["output"] for row in LONG_ONES)
    assert _sums_hold(job, provider)
    superseded = sum(before[row]["total_tokens"] for row in LONG_ONES)
    assert job.metadata()["superseded_total_tokens"] == superseded

    closing = job.run()
    assert closing.by_status == {"ok": 40}
    assert any(f"{superseded:,} tokens" in note for note in closing.notes)
    job.run(retry=["failed", "truncated"])
    assert len(ledger.requests()) == 10


def test_retried_answers_stay_with_their_rows_when_the_table_is_reordered(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """After a retry the rows may move, go and come: nothing is asked, and each answer's tokens are in the table once."""
    job = bench(provider, request=CAP)
    job.fill(_rows())
    job.run()
    job.run("request.max_output_tokens=500", retry=["truncated"])
    sent = len(provider.ledger.requests())
    answers = {row["id"]: (row["output"], row["total_tokens"], row["shared_from"]) for row in job.table()}
    for rows in (_rows()[::-1], _rows()[5:], _rows()):
        job.fill(rows)
        assert job.run().by_status == {"ok": len(rows)}
        assert len(provider.ledger.requests()) == sent
        assert _sums_hold(job, provider)
        assert all(
            (row["output"], row["total_tokens"], row["shared_from"]) == answers[row["id"]] for row in job.table()
        )


def test_an_old_answer_stands_where_the_new_attempt_fails(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """A truncated answer is kept when asking for a better one is refused, and the next retry may still get it."""
    provider = play({"faults": [{"fault": "bad_request", "nth": list(range(41, 46))}]})
    job = bench(provider, request=CAP)
    job.fill([{**row, "text": row["text"].replace("bad", "good")} for row in _rows()])
    job.run()
    before = job.table()
    assert job.run("request.max_output_tokens=500", retry=["truncated"]).by_status == {"ok": 35, "truncated": 5}
    assert job.table() == before
    assert _sums_hold(job, provider)
    sent = len(provider.ledger.requests())
    assert job.run().by_status == {"ok": 35, "truncated": 5}
    assert len(provider.ledger.requests()) == sent == 45
    assert job.run("request.max_output_tokens=500", retry=["truncated"]).by_status == {"ok": 40}


def test_rows_that_become_the_same_question_by_a_retry_share_its_answer(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """Rows that asked for different lengths and now ask for the same one are one request and two better answers."""
    job = bench(provider, request={"max_output_tokens": "{{ cap }}"}, prompt="{{ text }}")
    job.fill([{"id": f"r{cap}", "text": LONG, "cap": cap} for cap in (16, 17, 18)])
    assert job.run().by_status == {"truncated": 3}
    for _ in range(2):
        assert job.run("request.max_output_tokens=500", retry=["truncated"]).by_status == {"ok": 3}
        assert len(provider.ledger.requests()) == 4
        assert len(set(job.column("output"))) == 1
        assert _sums_hold(job, provider)


def test_a_picture_that_was_mended_is_answered_by_a_retry_and_by_a_plain_run(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """A file that was no image fails its row; when it is one, the row is asked, and only that row."""
    job = bench(provider, prompt=[{"text": "#{{ id }}# What is this?"}, {"image": "photo"}])
    job.fill([{"id": f"p{number}", "photo": f"{number}.png"} for number in range(4)])
    for number in range(2):
        Image.new("RGB", (8, 8), "red").save(job.folder / f"{number}.png")
    (job.folder / "2.png").write_text("no picture", encoding="utf-8")
    assert job.run().by_status == {"ok": 2, "failed": 2}
    Image.new("RGB", (8, 8), "red").save(job.folder / "2.png")
    assert job.run(retry=["failed"]).by_status == {"ok": 3, "failed": 1}
    Image.new("RGB", (8, 8), "red").save(job.folder / "3.png")
    assert job.run().by_status == {"ok": 4}
    assert provider.ledger.asked() == {"p0": 1, "p1": 1, "p2": 1, "p3": 1}
    assert job.run().by_status == {"ok": 4}
    assert len(provider.ledger.requests()) == 4


def test_an_old_answer_stands_where_its_picture_is_gone_at_the_retry(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """A retry that finds no picture any more leaves the truncated answer in the table."""
    job = bench(
        provider, prompt=[{"text": "#{{ id }}# {{ text }}"}, {"image": "photo"}], request={"max_output_tokens": 16}
    )
    job.fill([{"id": "p0", "text": LONG, "photo": "0.png"}])
    Image.new("RGB", (8, 8), "red").save(job.folder / "0.png")
    job.spec["output"]["fields"] = {"a": "string", "b": "string", "c": "string"}
    assert job.run().by_status == {"truncated": 1}
    before = job.table()
    (job.folder / "0.png").unlink()
    assert job.run(retry=["truncated"]).by_status == {"truncated": 1}
    assert job.table() == before
