"""What headers say about waiting and limits is read in every form, and nonsense says nothing."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.wire.headers import duration_s, poll_after_s
from pipeline.wire.signals import RateHeaders, rate_headers, retry_after_s

NOW = 1763600000.0  # Thu, 20 Nov 2025 00:53:20 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "-5", "retry-after": "9"}, 9.0),
        ({"retry-after": "Thu, 20 Nov 2025 00:53:50 GMT"}, 30.0),
        ({"retry-after": "Thu, 20 Nov 2025 00:53:50 -0000"}, 30.0),
        ({"retry-after": "Thu, 20 Nov 2025 01:53:50 +0100"}, 30.0),
        ({"retry-after": "Thu, 20 Nov 2025 12:00:30 GMT", "date": "Thu, 20 Nov 2025 12:00:00 GMT"}, 30.0),
        ({"retry-after": "Thu, 20 Nov 2025 00:53:50 GMT", "date": "yesterday"}, 30.0),
        ({"retry-after": "Thu, 20 Nov 2025 00:53:10 GMT"}, None),
        ({"retry-after": "Thu, 20 Nov 2025 11:59:30 GMT", "date": "Thu, 20 Nov 2025 12:00:00 GMT"}, None),
        ({"retry-after": "Thu, 20 Nov 2099 00:00:00 GMT"}, None),
        ({"retry-after": "Thu, 99 Nov 2025 00:00:00 GMT"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "1_0"}, None),
        ({"retry-after": "\u0667"}, None),
        ({"retry-after": "1763600060"}, None),
        ({"retry-after": "9" * 400}, None),
        ({}, None),
    ],
)
def test_the_wait_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds first, then seconds, then a date by the server's own clock; the past, zero and nonsense ask for nothing."""
    assert retry_after_s(headers, NOW) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12ms", 0.012),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("1h2m3s", 3723.0),
        ("1m30.5s", 90.5),
        ("2d", 172800.0),
        ("45", 45.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("0s", 0.0),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("1 s", None),
        ("s1", None),
        ("1s!", None),
        ("1763600060", None),
    ],
)
def test_a_duration_is_read_with_units_or_bare(text: str, seconds: float | None) -> None:
    """All the forms in which servers write the time until a limit is whole again."""
    assert duration_s(text) == seconds


def test_the_limits_are_read_from_the_six_headers() -> None:
    """Limits, what is left of them, and when they are whole again, for requests and for tokens."""
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-limit-tokens": "200000",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-reset-tokens": "6m0s",
    }

    assert rate_headers(headers) == RateHeaders(500, 200000, 0, 149984, 0.12, 360.0)


@pytest.mark.parametrize(
    ("limit", "remaining", "reset", "expected"),
    [
        ("-1", "-1", "0", RateHeaders(reset_requests_s=0.0)),
        ("0", "0", "0", RateHeaders()),
        ("500", "0", "0s", RateHeaders(limit_requests=500)),
        ("500", "0", "1s", RateHeaders(limit_requests=500, remaining_requests=0, reset_requests_s=1.0)),
        ("500", "0", "", RateHeaders(limit_requests=500, remaining_requests=0)),
        ("500", "499", "0", RateHeaders(limit_requests=500, remaining_requests=499, reset_requests_s=0.0)),
        ("many", "1.5", "soon", RateHeaders()),
        ("9" * 30, "", "", RateHeaders()),
    ],
)
def test_a_limit_that_cannot_be_true_is_unknown(limit: str, remaining: str, reset: str, expected: RateHeaders) -> None:
    """Minus one, a limit of zero, and nothing left of what is whole again at once are ways to say: no idea."""
    headers = {
        "x-ratelimit-limit-requests": limit,
        "x-ratelimit-remaining-requests": remaining,
        "x-ratelimit-reset-requests": reset,
    }

    assert rate_headers(headers) == expected


@pytest.mark.parametrize(
    ("said", "seconds"), [("1500", 1.5), (" 20 ", 0.02), ("0", None), ("-5", None), ("soon", None), ("1e3", None)]
)
def test_the_provider_says_when_to_look_again(said: str, seconds: float | None) -> None:
    """In milliseconds; what makes no sense is not said."""
    assert poll_after_s({"openai-poll-after-ms": said}) == seconds
    assert poll_after_s({}) is None


def test_without_headers_nothing_is_known() -> None:
    """Gateways send none of them."""
    assert rate_headers({}) == RateHeaders()


@given(st.text(), st.text(), st.text())
@example("", "0\x1f", "")
def test_no_header_makes_the_reader_stumble(wait: str, millis: str, date: str) -> None:
    """Whatever a server sends, the wait is a sensible number of seconds or unknown."""
    seconds = retry_after_s({"retry-after": wait, "retry-after-ms": millis, "date": date}, NOW)

    assert seconds is None or 0 < seconds <= 7 * 86400
    assert rate_headers({"x-ratelimit-remaining-tokens": wait, "x-ratelimit-reset-tokens": millis}).limit_tokens is None
