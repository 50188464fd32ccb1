"""Each fault puts on the wire what its row says, and the ledger says whether it was executed."""

from __future__ import annotations

import contextlib
import json
import socket
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx
import orjson
import pytest

from pipeline.simulator.delivery import WIRES
from pipeline.simulator.faults import CHANGES, KINDS

BODY = {"model": "gpt-5", "input": "Hello there"}

ERRORS = {
    "rate_limit": 429,
    "quota": 429,
    "unauthorized": 401,
    "forbidden": 403,
    "payment": 402,
    "bad_request": 400,
    "not_found": 404,
    "too_large": 413,
    "server_error": 500,
    "overloaded": 503,
}
ANSWERS = ["failed", "incomplete", "filtered", "refusal", "in_progress", "no_usage", "null_details", "chat_shape"]
BODIES = ["bad_gateway_html", "html_200", "empty_200", "envelope_401", "envelope_429", "error_200", "bad_json"]
WIRED = ["stall", "stall_body", "slow_drip", "reset_before", "reset_after", "half_body", "close_idle", "stream_cut"]


@contextlib.contextmanager
def connected(simulator):
    """A raw connection that gives up after five seconds."""
    parts = urlsplit(simulator.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as sock:
        yield sock


def post(sock, body=None, path="/v1/responses"):
    """Send one request by hand."""
    data = orjson.dumps(body or BODY)
    sock.sendall(b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (path.encode(), len(data), data))


def read_all(sock):
    """All bytes until the end of the connection."""
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


def read_some(sock, enough):
    """Bytes until `enough` says so."""
    data = b""
    while not enough(data):
        data += sock.recv(65536)
    return data


def announced(data):
    """The body's announced length and the bytes of it that came."""
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return int(length.split(b":")[1]), len(body)


def struck(play, kind, **options):
    """A simulator whose first request meets the fault."""
    return play({"faults": [{"nth": 1, "fault": kind, **options}]})


def test_every_kind_of_fault_is_tested_here():
    """The lists of this file name all rows of the table, and each row names a known wire and change."""
    assert {*ERRORS, *ANSWERS, *BODIES, *WIRED} == set(KINDS)
    assert {kind.wire for kind in KINDS.values()} <= set(WIRES)
    assert {kind.change for kind in KINDS.values() if kind.change} == set(CHANGES)


@pytest.mark.parametrize("dialect", ["openai", "qingbo", "apimart"])
@pytest.mark.parametrize(("kind", "status"), ERRORS.items())
def test_refusals_have_their_status_and_are_not_charged(play, ask, kind, status, dialect):
    """Status and the dialect's error object, nothing executed."""
    simulator = struck(play, kind)
    reply = ask(simulator, dialect=dialect)

    assert reply.status_code == status
    assert set(reply.json()["error"]) >= {"message", "type", "code"}
    record = simulator.requests()[0]
    assert (record["outcome"], record["executed"], record["charged"]) == (f"fault:{kind}", False, False)
    assert (record["status"], simulator.stats.executed) == (status, 0)


def test_the_wait_is_said_in_seconds_milliseconds_or_as_a_date(play, ask):
    """Each form of Retry-After is sent as asked; a rate limit alone says one second."""
    assert ask(struck(play, "rate_limit")).headers["retry-after"] == "1"
    assert ask(struck(play, "rate_limit", retry_after=2.5)).headers["retry-after"] == "2.5"
    millis = ask(struck(play, "overloaded", retry_after_ms=250)).headers
    assert millis["retry-after-ms"] == "250"
    assert "retry-after" not in millis
    assert parsedate_to_datetime(ask(struck(play, "rate_limit", retry_after_date=60)).headers["retry-after"])
    assert "retry-after" not in ask(struck(play, "quota")).headers


def test_status_message_and_code_can_be_chosen(play, ask):
    """Options of a rule win over its kind's row."""
    reply = ask(struck(play, "overloaded", status=529, message="Busy.", code="slow_down"))

    assert reply.status_code == 529
    assert (reply.json()["error"]["message"], reply.json()["error"]["code"]) == ("Busy.", "slow_down")


def test_any_header_can_be_added(play, ask):
    """A script adds headers to what its fault sends."""
    for kind in ("server_error", "bad_gateway_html"):
        assert ask(struck(play, kind, headers={"x-should-retry": "false"})).headers["x-should-retry"] == "false"


def test_bodies_that_are_no_answer(play, ask):
    """HTML, nothing, envelopes with an error code and a bare error come as their rows say."""
    html = ask(struck(play, "bad_gateway_html"))
    assert (html.status_code, html.headers["content-type"]) == (502, "text/html")
    assert ask(struck(play, "html_200")).text.startswith("<html>")
    assert ask(struck(play, "empty_200")).content == b""
    assert ask(struck(play, "envelope_401")).json()["code"] == 401
    assert ask(struck(play, "envelope_429")).json() == {"code": 429, "message": "too many requests", "data": None}
    assert "error" in ask(struck(play, "error_200")).json()


def test_bad_json_is_a_whole_http_reply_with_half_an_object(play, ask):
    """The length is right, the JSON is not, and the request was executed."""
    simulator = struck(play, "bad_json")
    reply = ask(simulator)

    assert reply.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        reply.json()
    assert simulator.requests()[0]["charged"] is True
    events = ask(struck(play, "bad_json"), stream=True).text.strip().split("\n\n")
    with pytest.raises(json.JSONDecodeError):
        json.loads(events[-1].partition("data: ")[2])


def test_answers_that_are_not_as_wished(play, ask):
    """Each change shows in the body, and all but a failure are charged."""
    body = {kind: ask(struck(play, kind)).json() for kind in ANSWERS}

    assert body["failed"]["status"] == "failed"
    assert body["failed"]["error"]["code"] == "server_error"
    assert body["failed"]["usage"] is None
    assert body["incomplete"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert body["incomplete"]["output"][0]["content"][0]["text"]
    assert body["filtered"]["incomplete_details"] == {"reason": "content_filter"}
    assert body["refusal"]["output"][0]["content"][0]["type"] == "refusal"
    assert body["in_progress"]["status"] == "in_progress"
    assert "usage" not in body["no_usage"]
    assert body["null_details"]["usage"]["input_tokens_details"] is None
    assert body["chat_shape"]["choices"][0]["message"]["content"]
    for kind in ANSWERS:
        simulator = struck(play, kind)
        ask(simulator)
        record = simulator.requests()[0]
        assert (record["executed"], record["charged"]) == (True, kind != "failed")


def test_a_failure_carries_the_code_asked_for(play, ask):
    """`code` of a failed answer is the script's."""
    assert ask(struck(play, "failed", code="invalid_image")).json()["error"]["code"] == "invalid_image"


def test_a_stall_answers_nothing_for_as_long_as_the_client_waits(play):
    """The request is taken and no byte ever comes; nothing was executed."""
    simulator = struck(play, "stall")
    with connected(simulator) as sock:
        post(sock)
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)

    assert simulator.requests()[0]["executed"] is False


def test_a_fault_can_be_told_to_execute_first(play, ask):
    """`executed: true` turns a stall or an error into an ambiguous one that was paid."""
    simulator = play({"faults": [{"fault": "server_error", "executed": True}]})

    assert ask(simulator).status_code == 500
    assert simulator.requests()[0]["charged"] is True
    assert simulator.requests()[0]["usage"]["total_tokens"] > 0


def test_a_stalled_body_stops_half_way(play):
    """Head and half of the body come, then silence; it was executed."""
    simulator = struck(play, "stall_body")
    with connected(simulator) as sock:
        post(sock)
        data = read_some(sock, lambda data: b"\r\n\r\n" in data and announced(data)[1] >= announced(data)[0] // 2)
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)

    length, came = announced(data)
    assert came == length // 2
    assert simulator.requests()[0]["charged"] is True


def test_a_slow_drip_is_whole_in_the_end(play, ask):
    """Byte by byte, the whole answer comes."""
    simulator = struck(play, "slow_drip", gap_s=0.00001)

    assert ask(simulator).json()["status"] == "completed"


@pytest.mark.parametrize(("kind", "executed"), [("reset_before", False), ("reset_after", True)])
def test_a_reset_is_a_reset(play, kind, executed):
    """The peer sees ECONNRESET, not an orderly end; the ledger knows whether the request ran."""
    simulator = struck(play, kind)
    with connected(simulator) as sock:
        post(sock)
        with pytest.raises(ConnectionResetError):
            sock.recv(65536)

    assert simulator.requests()[0]["executed"] is executed


def test_half_a_body_is_cut_in_order(play):
    """The connection ends before the announced length is reached."""
    simulator = struck(play, "half_body")
    with connected(simulator) as sock:
        post(sock)
        length, came = announced(read_all(sock))

    assert 0 < came < length
    assert simulator.requests()[0]["charged"] is True


def test_an_idle_connection_is_closed_without_a_word(play):
    """The answer is whole and promises nothing, and then the connection is gone."""
    with connected(struck(play, "close_idle")) as sock:
        post(sock)
        data = read_all(sock)

    assert announced(data)[0] == announced(data)[1]
    assert b"connection: close" not in data.lower()


@pytest.mark.parametrize("dialect", ["openai", "qingbo", "apimart"])
def test_a_cut_stream_ends_without_its_terminal_event(play, ask, dialect):
    """The HTTP reply is whole, the events are not."""
    whole = ask(play(), dialect=dialect, stream=True).text
    cut = ask(struck(play, "stream_cut"), dialect=dialect, stream=True).text

    assert "response.completed" in whole or "finish_reason" in whole
    assert "response.completed" not in cut
    assert "[DONE]" not in cut
    assert '"usage":{' not in cut
    assert '"finish_reason":"stop"' not in cut


def test_wire_faults_strike_streams_too(play, http):
    """Half a stream is an HTTP body without its end."""
    simulator = struck(play, "half_body")
    with pytest.raises(httpx.RemoteProtocolError):
        http.post(simulator.base_url() + "/responses", json={**BODY, "stream": True})


def test_a_refused_answer_streams_as_refusal_and_a_failure_as_failed(play, ask):
    """The terminal event fits the state."""
    assert "event: response.refusal.delta" in ask(struck(play, "refusal"), stream=True).text
    assert "event: response.failed" in ask(struck(play, "failed"), stream=True).text
    assert "event: response.incomplete" in ask(struck(play, "filtered"), stream=True).text


def test_rules_match_by_number_text_model_and_share(play, ask):
    """`every`, `nth`, `text`, `model` and `probability` choose the requests; the first rule wins."""
    every = play({"faults": [{"every": 3, "fault": "server_error"}]})
    assert [ask(every).status_code for _ in range(6)] == [200, 200, 500, 200, 200, 500]
    nth = play({"faults": [{"nth": [2, 3], "fault": "not_found"}, {"nth": 3, "fault": "server_error"}]})
    assert [ask(nth).status_code for _ in range(4)] == [200, 404, 404, 200]
    text = play({"faults": [{"text": "poison", "fault": "server_error", "times": 2}]})
    assert [ask(text, "a poison pill").status_code for _ in range(3)] == [500, 500, 200]
    assert [ask(text, given).status_code for given in ("poison", "harmless")] == [500, 200]
    model = play({"faults": [{"model": "bad", "fault": "not_found"}]})
    assert [ask(model, {"model": name, "input": "x"}).status_code for name in ("bad", "good")] == [404, 200]
    share = play({"faults": [{"probability": 0.3, "fault": "server_error"}]})
    failed = [ask(share, f"row {n}").status_code == 500 for n in range(300)]
    assert 60 < sum(failed) < 120


def test_chance_depends_on_the_request_and_not_on_the_order(play, ask):
    """Sent in another order, the same requests fail."""
    rows = [f"row {n}" for n in range(40)]
    script = {"faults": [{"probability": 0.5, "fault": "server_error"}]}
    first, second = play(script), play(script)
    forward = {row: ask(first, row).status_code for row in rows}
    backward = {row: ask(second, row).status_code for row in reversed(rows)}

    assert forward == backward
    assert set(forward.values()) == {200, 500}


def test_faults_can_strike_polls(play, ask, http):
    """A rule with `on: retrieve` leaves the submission alone."""
    simulator = play({"faults": [{"on": "retrieve", "nth": 1, "fault": "server_error"}]})
    made = ask(simulator, background=True).json()
    url = f"{simulator.base_url()}/responses/{made['id']}"

    assert [http.get(url).status_code for _ in range(2)] == [500, 200]


def test_an_abandoned_stall_leaves_the_server_serving(play, ask):
    """A client that gives up frees its place; others are answered, and nothing is in flight in the end."""
    simulator = play({"faults": [{"text": "hang", "fault": "stall"}]})
    with connected(simulator) as sock:
        post(sock, {"model": "m", "input": "hang"})
        assert ask(simulator).status_code == 200

    assert ask(simulator).status_code == 200
    assert simulator.stats.in_flight == 0
