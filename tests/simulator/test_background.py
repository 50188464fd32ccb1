"""Responses that are fetched later: their states, their end, and what the ledger says of them."""

from __future__ import annotations

import json

import pytest

HOUR = {"latency_s": 3600}


@pytest.fixture
def submit(ask):
    """Begin a background response."""

    def send(simulator, text="Hello there", **more):
        return ask(simulator, text, background=True, **more)

    return send


@pytest.fixture
def at(http):
    """Call something of a kept response."""

    def call(simulator, made, rest="", method="GET", dialect="openai"):
        return http.request(method, f"{simulator.base_url(dialect)}/responses/{made['id']}{rest}")

    return call


def test_a_script_counts_the_fetches_until_the_answer(play, submit, at, ask, said):
    """Queued when submitted, in progress when fetched, done with the fetch of that number, by no clock."""
    simulator = play({"background": {"polls": 3}})
    made = submit(simulator).json()
    fetched = [at(simulator, made) for _ in range(4)]

    assert (made["status"], made["output"], made["usage"], made["background"]) == ("queued", [], None, True)
    assert [reply.json()["status"] for reply in fetched] == ["in_progress", "in_progress", "completed", "completed"]
    assert said(fetched[2]) == said(ask(simulator))


@pytest.mark.parametrize(
    ("script", "hint"),
    [(HOUR, None), ({**HOUR, "background": {"poll_after_ms": 20}}, "20")],
    ids=["silent", "scripted"],
)
def test_the_server_says_when_to_ask_again(play, submit, at, script, hint):
    """Where the script has a hint, it comes until the response is over; afterwards there is nothing to wait for."""
    simulator = play(script)
    submitted = submit(simulator)
    made = submitted.json()
    fetched = at(simulator, made)

    assert submitted.headers.get("openai-poll-after-ms") == hint
    assert fetched.headers.get("openai-poll-after-ms") == hint
    at(simulator, made, "/cancel", "POST")
    assert "openai-poll-after-ms" not in at(simulator, made).headers


def test_cancelling_may_be_repeated_and_spares_what_is_over(play, submit, at):
    """Only what still runs is cancelled."""
    waiting, quick = play(HOUR), play()
    for simulator, status in ((waiting, "cancelled"), (quick, "completed")):
        made = submit(simulator).json()
        statuses = [at(simulator, made, "/cancel", "POST").json()["status"] for _ in range(2)]
        assert statuses == [status, status]


def test_only_background_responses_can_be_cancelled(provider, ask, at):
    """The others are over before anyone could."""
    reply = at(provider, ask(provider).json(), "/cancel", "POST")

    assert (reply.status_code, reply.json()["error"]["message"]) == (400, "Cannot cancel a synchronous response.")


def test_a_background_response_must_be_stored(play, submit):
    """Without storing there would be nothing to fetch; nothing is executed."""
    simulator = play()
    reply = submit(simulator, store=False)

    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "background")
    assert simulator.stats.executed == 0


@pytest.mark.parametrize("script", [{}, {"background": {"polls": 1}}], ids=["by the clock", "by fetches"])
def test_a_finished_response_expires(play, submit, at, script):
    """Kept for no time at all, it is gone as soon as it is done, for every call."""
    background = script.get("background", {}) | {"kept_s": 0}
    simulator = play({**script, "background": background})
    made = submit(simulator).json()

    for rest, method in (("", "GET"), ("/cancel", "POST"), ("", "DELETE"), ("/input_items", "GET")):
        reply = at(simulator, made, rest, method)
        assert (reply.status_code, made["id"] in reply.json()["error"]["message"]) == (404, True)


def test_what_is_not_over_does_not_expire(play, submit, at):
    """The time runs from the end of the work."""
    simulator = play({**HOUR, "background": {"kept_s": 0}})

    assert at(simulator, submit(simulator).json()).json()["status"] == "queued"


@pytest.mark.parametrize("dialect", ["qingbo", "apimart"])
def test_gateways_answer_at_once_and_keep_nothing(provider, submit, at, ask, dialect):
    """They take the parameter without a meaning, and none of the calls exists there."""
    made = ask(provider, dialect=dialect, background=True).json()
    made = made.get("data", made)

    assert "choices" in made or made["status"] == "completed"
    for rest, method in (("", "GET"), ("/cancel", "POST"), ("", "DELETE"), ("/input_items", "GET")):
        assert at(provider, made, rest, method, dialect).status_code == 404


def events(text):
    """The JSON of each event."""
    return [json.loads(line.removeprefix("data: ")) for line in text.split("\n") if line.startswith("data: ")]


def test_a_background_stream_is_resumed_after_the_event_seen_last(play, submit, at):
    """The rest has the same events under the same numbers; a new stream from the start has them all."""
    simulator = play()
    sent = events(submit(simulator, stream=True).text)
    made = sent[0]["response"]
    rest = events(at(simulator, made, "?stream=true&starting_after=4").text)

    assert [event["type"] for event in sent[:3]] == ["response.created", "response.queued", "response.in_progress"]
    assert [event["sequence_number"] for event in rest] == list(range(5, len(sent)))
    assert rest == sent[5:]
    assert events(at(simulator, made, "?stream=true").text) == sent


def test_a_cancelled_stream_ends_by_saying_so(play, http):
    """There is no answer in it."""
    simulator = play(HOUR)
    body = {"model": "m", "input": "Hello", "background": True, "stream": True}
    url = simulator.base_url() + "/responses"
    with http.stream("POST", url, json=body) as reply:
        first = next(line for line in reply.iter_lines() if line.startswith("data: "))
    made = json.loads(first.removeprefix("data: "))["response"]
    http.post(f"{url}/{made['id']}/cancel")

    assert events(http.get(f"{url}/{made['id']}?stream=true").text)[-1]["type"] == "response.cancelled"


def test_what_has_no_stream_cannot_be_resumed(provider, submit, ask, at):
    """It must have been begun as a background stream, and the place must be a number."""
    for made in (submit(provider).json(), ask(provider).json()):
        assert at(provider, made, "?stream=true").status_code == 400
    made = events(submit(provider, stream=True).text)[0]["response"]
    assert at(provider, made, "?stream=true&starting_after=x").status_code == 400


def test_the_ledger_tells_the_life_of_each_response_by_its_id(play, submit, at, tmp_path):
    """Executed when accepted; fetched, cancelled and deleted afterwards, in memory and on disk."""
    path = tmp_path / "ledger.jsonl"
    simulator = play(HOUR, ledger=path)
    made = submit(simulator).json()
    for rest, method in (("", "GET"), ("/cancel", "POST"), ("", "DELETE")):
        at(simulator, made, rest, method)
    record = simulator.requests()[0]
    told = [(event["event"], event.get("status")) for event in simulator.events() if event["event"] != "answered"]

    assert (record["response_id"], record["executed"], record["background"]) == (made["id"], True, True)
    assert told == [("fetched", "queued"), ("cancelled", "cancelled"), ("deleted", None)]
    assert all(event["response_id"] == made["id"] for event in simulator.events() if event["event"] != "answered")
    written = [json.loads(line).get("event") for line in path.read_text().splitlines()]
    assert written[0] is None
