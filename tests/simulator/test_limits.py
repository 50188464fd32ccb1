"""Rate limits: a sliding window, the headers that tell of it, and 429 when it is full."""

from __future__ import annotations

import pytest

from pipeline.simulator.limits import Limits, Window, duration
from pipeline.simulator.problems import RequestError


def test_requests_over_the_limit_are_refused_with_the_time_to_wait(play, ask):
    """The third of two allowed gets 429, its wait, and what is left."""
    simulator = play({"limits": {"requests_per_minute": 2, "tokens_per_minute": 10_000}})
    replies = [ask(simulator) for _ in range(3)]

    assert [reply.status_code for reply in replies] == [200, 200, 429]
    assert replies[2].json()["error"]["code"] == "rate_limit_exceeded"
    assert 0 < int(replies[2].headers["retry-after"]) <= 60
    assert [reply.headers["x-ratelimit-remaining-requests"] for reply in replies] == ["1", "0", "0"]
    assert replies[0].headers["x-ratelimit-limit-requests"] == "2"
    assert int(replies[0].headers["x-ratelimit-remaining-tokens"]) < 10_000
    assert replies[0].headers["x-ratelimit-reset-requests"] in ("59s", "1m0s")
    assert [record["outcome"] for record in simulator.requests()] == ["executed", "executed", "refused"]


def test_tokens_over_the_limit_are_refused(play, ask):
    """The tokens of what was let through count, and one request above the limit never passes."""
    simulator = play({"limits": {"tokens_per_minute": 60}})

    assert [ask(simulator).status_code for _ in range(3)] == [200, 200, 429]
    large = ask(play({"limits": {"tokens_per_minute": 5}}))
    assert large.status_code == 429
    assert "retry-after" not in large.headers


def test_without_limits_there_are_no_headers(provider, ask):
    """Nothing is said of limits that do not exist."""
    assert not [name for name in ask(provider).headers if name.startswith("x-ratelimit")]


def test_headers_can_be_withheld_or_say_unknown(play, ask):
    """Some hosts enforce limits silently, and some send -1 and 0."""
    silent = ask(play({"limits": {"requests_per_minute": 5, "headers": "absent"}})).headers
    unknown = ask(play({"limits": {"requests_per_minute": 5, "headers": "unknown"}})).headers

    assert not [name for name in silent if name.startswith("x-ratelimit")]
    assert (unknown["x-ratelimit-remaining-tokens"], unknown["x-ratelimit-reset-tokens"]) == ("-1", "0")


def test_the_window_slides():
    """A place is free again exactly one window after it was taken."""
    window = Window(Limits(requests_per_minute=2))
    window.admit(0.0, 1)
    window.admit(10.0, 1)
    with pytest.raises(RequestError) as caught:
        window.admit(59.5, 1)

    assert caught.value.headers == {"retry-after": "1", "retry-after-ms": "500"}
    window.admit(60.0, 1)
    with pytest.raises(RequestError):
        window.admit(60.0, 1)


def test_the_wait_for_tokens_lasts_until_enough_have_left():
    """Two old requests must go before a large one fits."""
    window = Window(Limits(tokens_per_minute=100))
    window.admit(0.0, 40)
    window.admit(20.0, 40)
    with pytest.raises(RequestError) as caught:
        window.admit(30.0, 90)

    assert caught.value.headers["retry-after"] == "50"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.012, "12ms"), (1, "1s"), (60, "1m0s"), (360, "6m0s"), (3723, "1h2m3s"), (0, "0ms")]
)
def test_durations_are_written_as_the_headers_write_them(seconds, text):
    """Milliseconds, seconds, minutes and hours in one word."""
    assert duration(seconds) == text
