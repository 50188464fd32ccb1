"""The server speaks HTTP/1.1 well, survives what is not HTTP, and leaves nothing open."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from urllib.parse import urlsplit

import httpx
import orjson
import pytest

from pipeline.simulator import Simulator

BODY = b'{"model":"m","input":"Hello"}'
HEAD = b"POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(BODY)


def connect(simulator):
    """A raw connection."""
    parts = urlsplit(simulator.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=5)


def reply_of(sock):
    """One reply with a length: its status and its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        body += sock.recv(65536)
    return int(head[9:12]), body


def test_every_reply_says_that_it_is_simulated(provider, ask, http):
    """Answers, errors and streams carry the header, a request id and a processing time."""
    replies = [ask(provider), ask(provider, temperature=9), ask(provider, stream=True), http.get(provider.url + "/x")]

    for reply in replies:
        assert reply.headers["x-simulated"] == "true"
        assert reply.headers["x-request-id"].startswith("req_")
        assert reply.headers["openai-processing-ms"].isdigit()


def test_a_connection_is_kept_and_requests_in_one_piece_are_answered_in_order(provider):
    """Three requests sent at once get three answers on the same connection."""
    with connect(provider) as sock:
        sock.sendall((HEAD + BODY) * 3)
        data = b""
        while data.count(b"completed_at") < 3:
            data += sock.recv(65536)

    assert data.count(b"HTTP/1.1 200 OK") == 3


def test_a_hundred_requests_in_one_piece_are_all_answered(provider):
    """Reading pauses while many wait, and goes on."""
    with connect(provider) as sock:
        sock.sendall((HEAD + BODY) * 100)
        data = b""
        while data.count(b"completed_at") < 100:
            data += sock.recv(1 << 20)

    assert provider.stats.answered == 100


def test_a_request_may_come_byte_by_byte_or_in_chunks(provider):
    """The pieces of a request may be cut anywhere."""
    with connect(provider) as sock:
        for byte in HEAD + BODY:
            sock.sendall(bytes([byte]))
        assert reply_of(sock)[0] == 200
        sock.sendall(b"POST /v1/responses HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
        sock.sendall(b"5\r\n" + BODY[:5] + b"\r\n%x\r\n" % len(BODY[5:]) + BODY[5:] + b"\r\n0\r\n\r\n")
        assert reply_of(sock)[0] == 200


def test_a_client_that_asks_first_is_told_to_go_on(provider):
    """`Expect: 100-continue` is answered before the body comes."""
    with connect(provider) as sock:
        sock.sendall(HEAD.replace(b"host: x", b"expect: 100-continue"))
        assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(BODY)
        assert reply_of(sock)[0] == 200


def test_a_client_that_wants_to_close_is_closed(provider):
    """`Connection: close` ends the connection after the answer."""
    with connect(provider) as sock:
        sock.sendall(HEAD.replace(b"host: x", b"connection: close") + BODY)
        assert reply_of(sock)[0] == 200
        assert sock.recv(1) == b""


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00 hello", b"GET\r\n\r\n", b"NONSENSE / HTTP/1.1\r\n\r\n"])
def test_what_is_no_http_gets_400_and_the_end(provider, ask, junk):
    """Junk closes its own connection and harms no other."""
    with connect(provider) as sock:
        sock.sendall(junk)
        assert sock.recv(65536).startswith(b"HTTP/1.1 400")
        assert sock.recv(1) == b""

    assert ask(provider).status_code == 200


def test_a_body_over_the_cap_is_413(provider, http, monkeypatch):
    """Announced or counted, too large is too large, in the dialect's error shape."""
    monkeypatch.setattr("pipeline.simulator.connection.MAX_BODY", 1000)
    url = provider.base_url() + "/responses"
    for content in (b"x" * 2000, iter([b"x" * 600, b"x" * 600])):
        reply = http.post(url, content=content)
        assert (reply.status_code, reply.json()["error"]["code"]) == (413, "request_too_large")
    assert http.post(url, content=BODY).status_code == 200


def test_an_accident_of_our_own_is_500_and_no_end(provider, ask, monkeypatch, caplog):
    """An unforeseen error is logged and answered; the server goes on."""
    from pipeline.simulator import endpoints as module

    def broken(*_, **__):
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(module, "answer", broken)
        assert ask(provider).status_code == 500
    assert ask(provider).status_code == 200
    assert provider.stats.errors == {"internal": 1}
    assert "ZeroDivisionError" in caplog.text


def test_the_peak_counts_requests_in_flight_at_once(play):
    """Five requests that wait together are a peak of five."""
    simulator = play({"latency_s": 0.2})
    socks = [connect(simulator) for _ in range(5)]
    for sock in socks:
        sock.sendall(HEAD + BODY)
    for sock in socks:
        assert reply_of(sock)[0] == 200
        sock.close()

    assert simulator.stats.peak == 5


def test_leaving_the_context_ends_everything():
    """Open connections are dropped, the thread ends, the port is free again."""
    before = threading.active_count()
    with Simulator(script={"latency_s": 3600}) as simulator:
        sock = connect(simulator)
        sock.sendall(HEAD + BODY)
        port = urlsplit(simulator.url).port
    with sock, contextlib.suppress(ConnectionResetError):
        assert sock.recv(1) == b""

    assert threading.active_count() == before
    with Simulator(port=port) as again:
        assert urlsplit(again.url).port == port


def test_a_port_in_use_is_an_error_at_once(provider):
    """The second simulator on a port fails when it is opened."""
    port = urlsplit(provider.url).port
    with pytest.raises(OSError, match="in use"), Simulator(port=port):
        pass


SERVE = """
import sys
from pathlib import Path
from pipeline.simulator import serve
serve("127.0.0.1", 0, {"seed": 3}, Path(sys.argv[1]), lambda url: print(url, flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_runs_until_a_signal(tmp_path, number):
    """`serve` says where it listens, answers, and ends in order when told."""
    ledger = tmp_path / "ledger.jsonl"
    command = [sys.executable, "-c", SERVE, str(ledger)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        reply = httpx.post(url + "/v1/responses", content=BODY, trust_env=False)
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=10)

    assert reply.status_code == 200
    assert (process.returncode, errors) == (0, "")
    assert orjson.loads(ledger.read_bytes().splitlines()[0])["outcome"] == "executed"
