"""What rows, servers and callers do to a run that they must not be able to do."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from PIL import Image

import pipeline
from pipeline.errors import Crashed, ProviderRefused, RunError
from pipeline.events import Event, RowFinished

if TYPE_CHECKING:
    from tests.e2e.bench import Bench, Provider

CANARY = "Xq7CANARYzz81PLUMBUS42"


class _Echo(BaseHTTPRequestHandler):
    """Answers everything with the caller's own headers."""

    def do_POST(self) -> None:
        """Read the request and send its key back, as status and shape of the answer demand."""
        self.rfile.read(int(self.headers["content-length"]))
        status = int(self.path.split("/")[1])
        echoed = self.headers["authorization"]
        bodies = {
            200: {"id": "resp_1", "status": "completed", "headers": echoed, "output_text": echoed},
            400: {"error": {"message": f"bad key {echoed}", "code": echoed}},
            500: {"error": {"message": f"failed with {echoed}"}},
        }
        body = json.dumps(bodies[status]).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-request-id", echoed)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_key_that_a_server_echoes_reaches_no_file(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Neither the journal, compressed bodies included, nor the table, in plain or in base64."""
    monkeypatch.setenv("CANARY_KEY", CANARY)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        provider = {"base_url": f"http://127.0.0.1:{server.server_port}/{status}/v1", "api_key_env": "CANARY_KEY"}
        job = bench(rows=3, provider=provider, retry={"attempts": 2, "max_wait_s": 0.01})
        said: list[Event] = []
        closing = pipeline.run(job.job, yes=True, observe=said.append)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert closing.rows == 3
    written = [path.read_bytes() for path in job.job.parent.rglob("*") if path.is_file()]
    replies = [json.dumps(pipeline.show(job.job, row)) for row in range(3)]
    table = str(pq.read_table(closing.output).to_pylist())
    for secret in (CANARY, b64encode(CANARY.encode()).decode()):
        assert not [content for content in written if secret.encode() in content]
        assert secret not in "".join(replies) + table + str(said)


def test_a_cell_nested_without_end_fails_its_row_alone(bench: Callable[..., Bench], provider: Provider) -> None:
    """A list of a thousand levels is one bad row."""
    job = bench(provider, prompt={"messages": "text"})
    deep = '[{"role": "user", "content": [{"image": ' + "[" * 1000 + '"x"' + "]" * 1000 + "}]}]"
    turns = [deep, *(json.dumps([{"role": "user", "content": f"t{number}"}]) for number in range(9))]
    job.fill([{"id": f"r{number}", "text": turn} for number, turn in enumerate(turns)])
    assert job.run().by_status == {"failed": 1, "ok": 9}


@pytest.mark.parametrize("identity", ["stat", "content"])
def test_a_file_whose_name_is_no_text_harms_no_other_row(
    bench: Callable[..., Bench], provider: Provider, identity: str
) -> None:
    """A cell may lead to one over a link; names go into the journal, which takes texts only."""
    job = bench(provider, prompt=[{"text": "#{{ id }}#"}, {"image": "photo"}], media={"identity": identity})
    odd = Path(os.fsdecode(os.fsencode(job.folder) + b"/odd\xff.png"))
    Image.new("RGB", (8, 8), "red").save(odd, "PNG")
    Image.new("RGB", (8, 8), "blue").save(job.folder / "good.png")
    (job.folder / "link.png").symlink_to(odd)
    job.fill([{"id": "good", "photo": "good.png"}, {"id": "odd", "photo": "link.png"}])
    job.run()
    job.run()
    assert job.by_id()["good"]["status"] == "ok"
    assert provider.ledger.asked()["good"] == 1
    assert provider.ledger.asked()["odd"] <= 1


def test_a_folder_with_a_name_that_is_no_text_is_asked_about_all_the_same(
    bench: Callable[..., Bench], provider: Provider
) -> None:
    """Only the row of that file fails, and says which it is."""
    job = bench(provider, input="photos", prompt=[{"text": "#{{ name }}#"}, {"image": "path"}])
    (job.folder / "photos").mkdir()
    Image.new("RGB", (8, 8), "blue").save(job.folder / "photos" / "good.png")
    (job.folder / "photos" / os.fsdecode(b"odd\xff.png")).write_bytes((job.folder / "photos" / "good.png").read_bytes())
    job.run()
    good, odd = job.table()
    assert (good["status"], odd["status"]) == ("ok", "failed")
    assert "odd\\\\xff.png" in odd["error_message"]
    assert provider.ledger.asked() == {"good": 1}


def test_an_observer_that_raises_ends_the_run_in_order(bench: Callable[..., Bench], provider: Provider) -> None:
    """What is on its way comes home, the table is written, and the same command goes on."""
    job = bench(provider, rows=40, limits={"concurrency": 8})
    heard = 0

    def stumble(event: Event) -> None:
        nonlocal heard
        heard += isinstance(event, RowFinished)
        if heard == 5:
            raise ZeroDivisionError

    with pytest.raises(Crashed, match="ZeroDivisionError"):
        pipeline.run(job.job, yes=True, observe=stumble)
    answered = len(provider.ledger.requests())
    assert answered < 40
    assert job.column("status").count("ok") == answered
    assert job.run().by_status == {"ok": 40}
    assert len(provider.ledger.requests()) == 40


def test_a_server_that_takes_money_and_answers_nothing_is_left_soon(
    bench: Callable[..., Bench], play: Callable[..., Provider]
) -> None:
    """All rows in the air must not use up all their attempts before the first one ends."""
    provider = play({"faults": [{"every": 1, "fault": "half_body"}]})
    job = bench(provider, rows=1500, retry={"attempts": 5, "max_wait_s": 0.05}, stop_after=10)
    with pytest.raises(ProviderRefused, match="may have been paid and none succeeded"):
        job.run()
    assert len(provider.ledger.executed()) < 10 * 5 + 2 * 64


def test_switching_dedupe_off_pays_for_no_answer_again(bench: Callable[..., Bench], provider: Provider) -> None:
    """The first row with a question keeps its answer, whichever way the switch is turned."""
    job = bench(provider, rows=20)
    for sets in ((), ("dedupe=false",), (), ("dedupe=false",)):
        assert job.run(*sets).by_status == {"ok": 20}
    assert len(provider.ledger.requests()) == 20


def test_a_mistake_of_ours_has_an_exit_code_of_its_own() -> None:
    """It is told apart from everything that people can mend."""
    codes = {kind.exit_code for kind in RunError.__subclasses__() if kind is not Crashed}
    assert Crashed(ValueError("x")).exit_code not in codes
