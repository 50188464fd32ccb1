"""The ledger is the judge: what is in it happened, and it is durable before the answer leaves."""

from __future__ import annotations

import hashlib
import json
import os

import orjson
import pytest


def lines(path):
    """The ledger's lines."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_is_synced_before_its_answer_arrives(play, ask, tmp_path, monkeypatch):
    """When a client holds an answer, an fsync has covered its line."""
    path = tmp_path / "ledger.jsonl"
    synced: list[int] = []
    real = os.fsync

    def watched(fd: int) -> None:
        real(fd)
        synced.append(path.read_bytes().count(b'"outcome"'))

    monkeypatch.setattr("pipeline.simulator.ledger.os.fsync", watched)
    simulator = play(ledger=path)
    for n in range(1, 6):
        response_id = ask(simulator, f"row {n}").json()["id"]
        assert max(synced) >= n
        assert lines(path)[-1].get("event") == "answered" or response_id in path.read_text()


def test_a_record_says_what_was_asked_and_what_it_cost(play, ask, shown, picture, tmp_path):
    """Number, digest of the body, first words, images, usage, id and status are there."""
    path = tmp_path / "ledger.jsonl"
    simulator = play(ledger=path)
    body = shown(picture(), text="x" * 300)
    reply = ask(simulator, body, "qingbo")
    record = simulator.requests()[0]

    assert record["n"] == 1
    assert (record["dialect"], record["path"]) == ("qingbo", "/qingbo/v1/responses")
    assert record["body_sha256"] == hashlib.sha256(reply.request.content).hexdigest()
    assert record["request_text"] == "x" * 200
    assert (record["images"], record["model"]) == (1, "gpt-5")
    assert (record["outcome"], record["executed"], record["charged"], record["status"]) == ("executed", True, True, 200)
    assert record["usage"] == reply.json()["usage"]
    assert record["response_id"] == reply.json()["id"]
    assert orjson.loads(path.read_bytes().splitlines()[0]) == record


def test_refusals_are_recorded_and_not_charged(play, ask):
    """A bad request has its line, with the reason."""
    simulator = play()
    ask(simulator, temperature=9)
    record = simulator.requests()[0]

    assert (record["outcome"], record["charged"], record["status"]) == ("refused", False, 400)
    assert "temperature" in record["error"]


def test_answered_follows_execution_and_never_comes_for_a_cut_answer(play, tmp_path):
    """Only a reply handed over whole is called answered."""
    import httpx

    path = tmp_path / "ledger.jsonl"
    from pipeline.simulator import Simulator

    with (
        Simulator(script={"faults": [{"nth": 2, "fault": "half_body"}]}, ledger=path) as simulator,
        httpx.Client(trust_env=False) as http,
    ):
        url = simulator.base_url() + "/responses"
        assert http.post(url, json={"model": "m", "input": "one"}).status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            http.post(url, json={"model": "m", "input": "two"})
        stats = simulator.stats

    told = [(line["n"], line.get("event", "record")) for line in lines(path)]
    assert told == [(1, "record"), (1, "answered"), (2, "record")]
    assert (stats.executed, stats.charged, stats.answered) == (2, 2, 1)


def test_a_ledger_is_continued_by_the_next_simulator(play, ask, tmp_path):
    """The file is appended to, never overwritten."""
    path = tmp_path / "ledger.jsonl"
    for _ in range(2):
        ask(play(ledger=path))

    assert sum("outcome" in line for line in lines(path)) == 2


def test_what_ran_is_recorded_though_the_client_has_gone(play, tmp_path):
    """A client that leaves during the latency has been charged all the same."""
    import socket
    from urllib.parse import urlsplit

    from pipeline.simulator import Simulator

    body = b'{"model":"m","input":"x"}'
    head = b"POST /v1/responses HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body)
    with Simulator(script={"latency_s": 0.2}) as simulator:
        parts = urlsplit(simulator.url)
        with socket.create_connection((parts.hostname, parts.port)) as sock:
            sock.sendall(head + body)
        with socket.create_connection((parts.hostname, parts.port)) as sock:
            sock.sendall(head + body)
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        stats = simulator.stats

    assert (stats.executed, stats.answered) == (2, 1)
