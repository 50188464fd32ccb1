"""What a provider, a connection or a row can do wrong, and how each of it ends."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from pipeline.errors import ProviderRefused
from pipeline.events import AttemptFailed, Paused

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider

# Row → the script's fault, and how the row ends: status, error_kind, attempts, how often the model ran for it.
ONCE = {"times": 1}
FAULTS = {
    "waits": ({"fault": "rate_limit", "retry_after": 0.3, **ONCE}, ("ok", None, 2, 1)),
    "overloaded": ({"fault": "overloaded", "retry_after": 0.1, **ONCE}, ("ok", None, 2, 1)),
    "server": ({"fault": "server_error", **ONCE}, ("ok", None, 2, 1)),
    "gateway": ({"fault": "bad_gateway_html", **ONCE}, ("ok", None, 2, 1)),
    "stalls": ({"fault": "stall", "executed": True, **ONCE}, ("ok", None, 2, 2)),
    "stalls_midway": ({"fault": "stall_body", **ONCE}, ("ok", None, 2, 2)),
    "drips": ({"fault": "slow_drip", "gap_s": 0.05, **ONCE}, ("ok", None, 2, 2)),
    "resets": ({"fault": "reset_after", **ONCE}, ("ok", None, 2, 2)),
    "half": ({"fault": "half_body", **ONCE}, ("ok", None, 2, 2)),
    "cut_json": ({"fault": "bad_json", **ONCE}, ("ok", None, 2, 2)),
    "busy_200": ({"fault": "envelope_429", **ONCE}, ("ok", None, 2, 1)),
    "closes": ({"fault": "close_idle"}, ("ok", None, 1, 1)),
    "always_500": ({"fault": "server_error"}, ("failed", "server", 3, 0)),
    "no_json": ({"fault": "html_200"}, ("unknown", "bad_body", 1, 0)),
    "wrong": ({"fault": "bad_request"}, ("failed", "bad_request", 1, 0)),
    "too_long": ({"fault": "bad_request", "code": "context_length_exceeded"}, ("failed", "context_length", 1, 0)),
    "refused": ({"fault": "refusal"}, ("refused", None, 1, 1)),
    "cut": ({"fault": "incomplete"}, ("truncated", "max_output_tokens", 1, 1)),
    "filtered": ({"fault": "filtered"}, ("filtered", "content_filter", 1, 1)),
    "no_usage": ({"fault": "no_usage"}, ("ok", None, 1, 1)),
}


def test_every_fault_ends_as_it_should_and_harms_no_neighbour(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """Statuses, kinds of error and attempts are those of the fault, and every attempt is in the ledger."""
    provider = play({"faults": [{**fault, "text": f"#{row}#"} for row, (fault, _) in FAULTS.items()]})
    job = bench(
        provider,
        limits={"concurrency": 8},
        retry={"attempts": 3, "max_wait_s": 0.2},
        deadlines={"connect_s": 0.5, "first_byte_s": 0.5, "idle_s": 0.4, "total_s": 1.2},
    )
    rows = [name for pair in zip(FAULTS, map("calm{}".format, range(len(FAULTS))), strict=True) for name in pair]
    job.fill([{"id": name, "text": "a row"} for name in rows])
    closing = job.run()
    table, executed = job.by_id(), [line["request_text"] for line in provider.ledger.executed()]
    found = {
        row: (cells["status"], cells["error_kind"], cells["attempts"], sum(f"#{row}#" in text for text in executed))
        for row, cells in table.items()
    }
    assert found == {row: FAULTS[row][1] if row in FAULTS else ("ok", None, 1, 1) for row in rows}
    assert {row: cells["attempts"] for row, cells in table.items()} == dict(provider.ledger.asked())
    assert closing.exit_code == 1
    assert closing.attempts == len(provider.ledger.requests())
    assert all(table[row]["error_message"] for row in rows if table[row]["status"] in ("failed", "unknown"))
    assert table["no_usage"]["total_tokens"] is None
    assert table["refused"]["refusal"]
    assert table["cut"]["output"]
    assert {event.kind for event in job.said(AttemptFailed)} >= {"rate_limit", "server", "timeout", "disconnected"}
    assert job.said(Paused)

    ledger = provider.ledger.now()
    job.run()
    assert set(ledger.asked()) == {"always_500"}  # waiting may mend it, so the next run tries again


def test_attempts_whose_end_is_not_known_are_counted_and_named(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """What was executed and not answered is within what the run says may have been paid, and the rows are named."""
    kinds = ("stall_body", "reset_after", "half_body", "bad_json")
    provider = play({"faults": [{"fault": kind, "text": f"#r{row}#", **ONCE} for row, kind in enumerate(kinds)]})
    job = bench(provider, rows=10, deadlines={"idle_s": 0.3}, retry={"max_wait_s": 0.1})
    closing = job.run()
    assert closing.by_status == {"ok": 10}
    assert len(provider.ledger.executed()) == 14
    assert closing.maybe_paid == job.metadata()["maybe_paid_attempts"] == len(kinds)
    assert any("rows 0, 1, 2, 3)" in note for note in closing.notes)


def test_a_dead_key_stops_the_run_and_a_live_one_goes_on(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """A 401 in the body of an HTTP 200 ends the run with exit code 6; every answer that was paid is in the table."""
    provider = play({"latency_s": 0.01, "faults": [{"fault": "envelope_401", "text": "#r30#", "times": 1}]})
    job = bench(provider, rows=100, limits={"concurrency": 4})
    with pytest.raises(ProviderRefused, match="invalid token") as refused:
        job.run()
    assert refused.value.exit_code == 6
    sent = len(provider.ledger.requests())
    assert sent <= 31 + 2 * 4
    assert job.column("status").count("ok") == len(provider.ledger.executed()) == sent - 1
    assert job.column("status").count("pending") == 101 - sent
    assert job.metadata()["total_tokens"] == provider.ledger.tokens()
    assert job.metadata()["maybe_paid_attempts"] == 0
    assert job.run().by_status == {"ok": 100}
    assert len(provider.ledger.executed()) == 100


def test_a_run_in_which_everything_fails_stops_and_says_so(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """After ``stop_after`` failures of one kind without a success nothing more is sent."""
    provider = play({"faults": [{"fault": "bad_request"}]})
    job = bench(provider, rows=200, stop_after=10, limits={"concurrency": 2})
    with pytest.raises(ProviderRefused, match="10 rows failed"):
        job.run()
    assert len(provider.ledger.requests()) <= 12
    assert job.column("status").count("failed") >= 9


@pytest.mark.parametrize(
    ("on_null", "status", "kind", "exit_code"),
    [("fail", "failed", "null_cell", 1), ("skip", "skipped", "null_cell", 0), ("empty", "ok", None, 0)],
)
def test_a_null_in_the_prompt_ends_as_the_job_says(
    bench: Callable[..., Bench], provider: Provider, on_null: str, status: str, kind: str | None, exit_code: int
) -> None:
    """By default the row fails; it can be skipped, or asked with an empty text, which is never the word None."""
    job = bench(provider, on_null=on_null)
    job.fill([{"id": f"{on_null}{number}", "text": None if number == 3 else "a text"} for number in range(6)])
    closing = job.run()
    row = job.table()[3]
    assert (row["status"], row["error_kind"], row["attempts"]) == (status, kind, int(status == "ok"))
    assert closing.exit_code == exit_code
    assert [other["status"] for other in job.table() if other is not row and other["text"]] == ["ok"] * 5
    assert len(provider.ledger.requests()) == 5 + (on_null == "empty")
    assert not any("None" in line["request_text"] for line in provider.ledger.requests())


def test_a_picture_that_cannot_be_sent_fails_its_row_before_anything_is_paid(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """A missing file, a file that is no image, and one outside the input's folder fail alone; nothing leaves for them."""
    job = bench(provider)
    for name in ("good.png", "also.png"):
        Image.new("RGB", (8, 8), "red").save(job.folder / name)
    (job.folder / "text.png").write_text("I am no picture", encoding="utf-8")
    names = ["good.png", "missing.png", "text.png", "../../etc/passwd", "also.png"]
    job.fill([{"id": f"p{number}", "photo": name} for number, name in enumerate(names)])
    job.spec["prompt"] = [{"text": "#{{ id }}# What is this?"}, {"image": "photo"}]
    closing = job.run()
    assert [(row["status"], row["error_kind"]) for row in job.table()] == [
        ("ok", None),
        ("failed", "media"),
        ("failed", "media"),
        ("failed", "media"),
        ("ok", None),
    ]
    assert closing.exit_code == 1
    assert provider.ledger.asked() == {"p0": 1, "p4": 1}
    assert job.column("attempts") == [1, 0, 0, 0, 1]
    assert closing.maybe_paid == 0


def test_a_picture_that_the_provider_cannot_read_fails_its_row_alone(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """A PNG whose parts are sound and whose pixels are missing is refused by the provider; its neighbours are answered."""
    job = bench(provider)
    out = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(out, "PNG")
    whole = out.getvalue()
    header, pixels, end = whole[:33], b"IDAT" + zlib.compress(bytes(10)), whole[-12:]
    broken = header + struct.pack(">I", len(pixels) - 4) + pixels + struct.pack(">I", zlib.crc32(pixels)) + end
    job.fill([{"id": "whole", "photo": whole}, {"id": "broken", "photo": broken}, {"id": "other", "photo": whole}])
    job.spec["prompt"] = [{"text": "#{{ id }}# What is this?"}, {"image": "photo"}]
    closing = job.run()
    table = job.by_id()
    assert [table[name]["status"] for name in ("whole", "broken", "other")] == ["ok", "failed", "ok"]
    assert table["broken"]["error_kind"] == "image"
    assert closing.exit_code == 1
