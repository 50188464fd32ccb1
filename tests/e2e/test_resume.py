"""A second run asks what is new and nothing else, whatever became of the table and of the prompt in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from pipeline.checkpoint.past import past
from pipeline.errors import ProviderRefused, SpecError
from pipeline.events import RowFinished, RunStarted

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider


def _rows(count: int, **edited: str) -> list[dict[str, Any]]:
    return [{"id": f"r{number}", "text": edited.get(f"r{number}", f"text {number}")} for number in range(count)]


def test_appended_edited_moved_and_removed_rows_cost_what_is_new_in_them(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """100 rows more and 50 edited are 150 requests; running again, reversing, removing rows and taking an edit back are none."""
    job = bench(provider)
    changed = {f"r{number}": f"edited {number}" for number in range(0, 1000, 20)}
    tables = {
        "first": (_rows(1000), 1000),
        "appended and edited": (_rows(1100, **changed), 150),
        "again": (_rows(1100, **changed), 0),
        "reversed": (_rows(1100, **changed)[::-1], 0),
        "removed": (_rows(1100, **changed)[100:400], 0),
        "taken back": (_rows(1000), 0),
    }
    for name, (rows, new) in tables.items():
        ledger = provider.ledger.now()
        job.fill(rows)
        closing = job.run()
        table = job.table()
        assert len(ledger.requests()) == new, name
        assert [(row["id"], row["text"]) for row in table] == [(row["id"], row["text"]) for row in rows], name
        assert all(f'"#{row["id"]}# {row["text"]}"' in row["output"] for row in table), name
        assert closing.by_status == {"ok": len(rows)}, name
        assert closing.usage.total_tokens == sum(row["total_tokens"] for row in table), name
        assert job.metadata()["superseded_total_tokens"] == provider.ledger.tokens() - (closing.usage.total_tokens or 0)


def test_an_unchanged_job_is_known_before_anything_is_rendered(bench: Callable[..., Bench], provider: Provider) -> None:
    """While job and input stand, a second run finds every row finished and carries none of them again."""
    job = bench(provider, rows=50)
    job.run()
    job.run()
    assert [started.known for started in job.said(RunStarted)] == [50]
    assert job.said(RowFinished) == []
    assert len(provider.ledger.requests()) == 50


def test_an_edited_prompt_asks_the_rows_whose_text_it_changes(bench: Callable[..., Bench], provider: Provider) -> None:
    """A template edit that shows in 50 of 200 rows is 50 requests, and taking it back is none."""
    job = bench(provider)
    job.fill([{"id": f"r{number}", "text": f"text {number}", "long": number % 4 == 1} for number in range(200)])
    job.run()
    before = job.spec["prompt"]
    for prompt, new in ((before + "{% if long %} Be brief.{% endif %}", range(1, 200, 4)), (before, ())):
        ledger = provider.ledger.now()
        job.spec["prompt"] = prompt
        assert job.run().by_status == {"ok": 200}
        assert ledger.asked() == {f"r{number}": 1 for number in new}


def test_limits_deadlines_and_the_place_of_the_job_change_no_question(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """What cannot change an answer asks nothing again: limits, deadlines, retries, the job's name, metadata, a user id."""
    job = bench(provider, rows=20)
    job.run()
    job.run(
        "name=other",
        "limits.concurrency=3",
        "deadlines.total_s=5",
        "retry.attempts=2",
        "stop_after=3",
        "request.metadata.team=a",
        "request.user=someone",
    )
    assert len(provider.ledger.requests()) == 20
    job.run("request.temperature=0.5")
    assert len(provider.ledger.requests()) == 40


def test_a_rehearsal_serves_no_row_of_the_real_run(bench: Callable[..., Bench], provider: Provider) -> None:
    """After a rehearsal every row is asked at the real address; a rehearsal is on no bill and may not take the real table's place."""
    job = bench(rows=30)
    job.run()
    assert set(job.column("provider")) == {"simulator"}
    assert provider.ledger.requests() == []
    with _as_a_real_one(provider) as address:
        for _ in range(2):
            real = job.run(f"provider.base_url={address}/v1")
            assert len(provider.ledger.requests()) == 30
            assert set(job.column("provider")) == {address.removeprefix("http://")}
        assert job.metadata()["superseded_total_tokens"] == 0
        assert len(list(past(job.folder / "out.parquet.run"))) == 30
        assert real.usage.total_tokens == provider.ledger.tokens()
    for retry in ((), ("failed",)):
        with pytest.raises(SpecError, match="the answers of the last run are real"):
            job.run(retry=retry)
    assert set(job.column("provider")) == {address.removeprefix("http://")}
    assert len(provider.ledger.requests()) == 30


def test_a_simulator_is_named_whatever_its_address(bench: Callable[..., Bench], provider: Provider) -> None:
    """An answer that says of itself that it is simulated is recorded so, also at an address that the job names."""
    job = bench(provider, rows=3)
    job.run()
    assert job.column("provider") == ["simulator"] * 3


@pytest.mark.parametrize("dedupe", [True, False])
def test_an_early_stop_after_an_edit_keeps_the_answers_of_the_other_rows_in_the_table(
    bench: Callable[..., Bench], play: Callable[..., Provider], dedupe: bool
) -> None:
    """A refused key leaves what was answered before in the table, not only in the journal."""
    provider = play({"faults": [{"fault": "unauthorized", "text": "edited"}]})
    job = bench(provider, rows=300, dedupe=dedupe, limits={"concurrency": 4})
    job.run()
    job.fill(_rows(300, r0="edited", r1="edited", r2="edited", r3="edited"))
    with pytest.raises(ProviderRefused):
        job.run()
    assert job.column("status").count("ok") == 296


@contextmanager
def _as_a_real_one(provider: Provider) -> Iterator[str]:
    """Relay to a provider and leave out what says that it is a simulator; gives the relay's address."""
    behind = urlsplit(provider.url).netloc

    class Relay(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            connection = HTTPConnection(behind)
            connection.request("POST", self.path, body, {"content-type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            self.send_response(answer.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
