"""The same job, streamed: the same table, and one time more in it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.events import AttemptFailed

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider

ASIDE = frozenset({"response_id", "latency_s", "first_token_s", "finished_at", "cached_tokens"})
"""What may differ from one run to the next."""
DIALECTS = ("openai", "qingbo", "apimart")
ONCE = {"times": 1}
WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}


ENDS = {"refusal": "refused", "incomplete": "truncated", "filtered": "filtered"}
"""The faults of the first rows, and how these end; all others are as wished."""


def _both(job: Bench, provider: Provider, dialect: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Run a job in a dialect with both deliveries, each into a table of its own, and return these."""
    job.spec["provider"] = {"base_url": provider.base(dialect), "dialect": dialect}
    tables = []
    for delivery in ("plain", "stream"):
        job.spec["output"]["path"] = f"{delivery}.parquet"
        job.spec["delivery"] = delivery
        assert job.run().maybe_paid == 0
        tables.append(job.table(job.folder / f"{delivery}.parquet"))
    plain, streamed = tables
    assert streamed[0].keys() - plain[0].keys() == {"first_token_s"}
    return plain, streamed


def _same(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: cell for name, cell in row.items() if name not in ASIDE} for row in rows]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fields", [None, {"label": "enum[good, bad]", "score": "float?"}], ids=["text", "fields"])
def test_a_streamed_job_gives_the_table_of_the_plain_one(
    bench: Callable[..., Bench], play: Callable[..., Provider], dialect: str, fields: dict[str, str] | None
) -> None:
    """Answers, typed columns, statuses, errors and tokens agree, in whatever shape the provider's events are."""
    provider = play({"faults": [{"fault": kind, "text": f"#r{row}#"} for row, kind in enumerate(ENDS)]})
    job = bench(provider, rows=8)
    job.spec["output"]["fields"] = fields
    plain, streamed = _both(job, provider, dialect)
    assert _same(streamed) == _same(plain)
    assert [row["status"] for row in streamed] == [*ENDS.values(), *["ok"] * 5]
    assert sum(row["total_tokens"] for row in [*plain, *streamed]) == provider.ledger.tokens()
    with_text = {"ok", "truncated"}
    assert [row["first_token_s"] is not None for row in streamed] == [row["status"] in with_text for row in plain]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_streamed_calls_are_those_of_the_plain_job(
    bench: Callable[..., Bench], provider: Provider, dialect: str
) -> None:
    """But for their ids, which a provider makes up; a call is no text, so there is no time of a first one."""
    job = bench(provider, rows=3, request={"tools": [WEATHER], "tool_choice": "required"})
    plain, streamed = _both(job, provider, dialect)
    for row in (*plain, *streamed):
        row["tool_calls"] = [{**call, "id": None} for call in json.loads(row["tool_calls"])]
    assert _same(streamed) == _same(plain)
    assert {(row["status"], row["first_token_s"]) for row in streamed} == {("tool_calls", None)}


def test_the_first_token_comes_before_the_last_and_silence_is_counted_between_pieces(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """An answer may take longer than ``idle_s`` as long as it goes on coming."""
    provider = play({"latency_s": 0.6})
    job = bench(provider, rows=4, delivery="stream", deadlines={"idle_s": 0.2})
    assert job.run().by_status == {"ok": 4}
    for row in job.table():
        assert 0.3 <= row["first_token_s"] < row["latency_s"] - 0.1


def test_delivery_is_no_part_of_what_is_asked(bench: Callable[..., Bench], provider: Provider) -> None:
    """What was answered in one delivery is found again by the other, with the column that belongs to it."""
    job = bench(provider, rows=3, delivery="stream")
    job.run()
    first, ledger = job.table(), provider.ledger.now()
    job.run("delivery=plain")
    assert "first_token_s" not in job.table()[0]
    job.run("delivery=stream")
    assert job.table() == first
    job.run("delivery=stream", "request.temperature=1")
    assert len(ledger.requests()) == 3


FAULTS = {
    "stream_cut": "stream_cut",
    "half_body": "disconnected",
    "reset_after": "disconnected",
    "stall_body": "timeout",
}


@pytest.mark.parametrize("dialect", ["openai", "apimart"])
def test_a_stream_that_does_not_end_is_asked_again_and_counted(
    bench: Callable[..., Bench], play: Callable[..., Provider], dialect: str
) -> None:
    """Half an answer is none, however it broke off; what was executed for it may have been paid, and the run says so."""
    provider = play({"faults": [{"fault": kind, "text": f"#r{row}#", **ONCE} for row, kind in enumerate(FAULTS)]})
    job = bench(provider, rows=8, delivery="stream", deadlines={"idle_s": 0.3}, retry={"max_wait_s": 0.1})
    job.spec["provider"] = {"base_url": provider.base(dialect), "dialect": dialect}
    closing = job.run()
    assert closing.by_status == {"ok": 8}
    assert {event.row: event.kind for event in job.said(AttemptFailed)} == dict(enumerate(FAULTS.values()))
    assert job.column("attempts") == [2] * 4 + [1] * 4
    assert closing.maybe_paid == 4
    assert len(provider.ledger.executed()) == 12


def test_a_stream_that_does_not_end_is_unknown_where_nothing_is_paid_twice(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """With ``retry.ambiguous`` false each is asked once, and no half answer stands in the table."""
    provider = play({"faults": [{"fault": kind, "text": f"#r{row}#"} for row, kind in enumerate(FAULTS)]})
    job = bench(provider, rows=5, delivery="stream", deadlines={"idle_s": 0.3}, retry={"ambiguous": False})
    closing = job.run()
    assert job.column("status") == ["unknown"] * 4 + ["ok"]
    assert [bool(text) for text in job.column("output")] == [False] * 4 + [True]
    assert job.column("attempts") == [1] * 5
    assert closing.maybe_paid == 4


class _Streams(BaseHTTPRequestHandler):
    """A gateway that streams, and labels it as JSON, whatever it was told."""

    def do_POST(self) -> None:
        self.server.told.append(self.rfile.read(int(self.headers["content-length"])))  # type: ignore[attr-defined]
        pieces = ['{"delta": {"content": "un"}}', '{"delta": {"content": "asked"}, "finish_reason": "stop"}']
        events = [f'data: {{"id": "c", "choices": [{piece}]}}\n\n' for piece in pieces]
        events += [
            'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}\n\n',
            "data: [DONE]\n\n",
        ]
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write("".join(events).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[ThreadingHTTPServer]:
    """Such a gateway, listening."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Streams) as server:
        server.told = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_gateway_that_streams_unasked_is_read(bench: Callable[..., Bench], gateway: ThreadingHTTPServer) -> None:
    """It was told not to, and its events are put together all the same."""
    job = bench(rows=2)
    job.spec["provider"] = {"base_url": f"http://127.0.0.1:{gateway.server_port}/v1", "dialect": "apimart"}
    closing = job.run()
    assert all(b'"stream":false' in body for body in gateway.told)  # type: ignore[attr-defined]
    assert job.column("output") == ["unasked"] * 2
    assert (closing.by_status, closing.usage.total_tokens) == ({"ok": 2}, 10)
    assert "first_token_s" not in job.table()[0]
