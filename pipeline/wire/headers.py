"""What the headers of an answer say about waiting and about limits. Whatever makes no sense counts as not said.

Headers come by their lower-case names, as a transport gives them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

# No limit of these services is longer than a day; beyond a week a number is a time stamp or a mistake.
_LONGEST_WAIT_S = 7 * 86400.0
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECONDS_PER: Mapping[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """What is left of the limits, and in how many seconds they are whole again. None is unknown."""

    limit_requests: int | None = None
    limit_tokens: int | None = None
    remaining_requests: int | None = None
    remaining_tokens: int | None = None
    reset_requests_s: float | None = None
    reset_tokens_s: float | None = None


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """Return how many seconds the server asks to wait, or None.

    ``retry-after-ms`` comes before ``retry-after``, which holds seconds or an HTTP date. A date is compared with the
    server's own ``Date``, so that a wrong clock here does not matter, or else with ``now`` (wall time in seconds).
    Zero, the past and nonsense ask for nothing.
    """
    asked = headers.get("retry-after", "")
    for wait in (
        _seconds(headers.get("retry-after-ms", ""), 0.001),
        _seconds(asked),
        _until(asked, headers.get("date", ""), now),
    ):
        if wait is not None and 0 < wait <= _LONGEST_WAIT_S:
            return wait
    return None


def poll_after_s(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds to wait before an unfinished response is looked at again (``openai-poll-after-ms``), or None."""
    if (asked := headers.get("openai-poll-after-ms")) is None:
        return None
    wait = _seconds(asked, 0.001)
    return wait if wait is not None and 0 < wait <= _LONGEST_WAIT_S else None


def rate_headers(headers: Mapping[str, str]) -> RateHeaders:
    """Return what the ``x-ratelimit-*`` headers say."""
    if _SAY_LIMITS.isdisjoint(headers):
        return _UNKNOWN
    requests, tokens = _window(headers, _REQUESTS), _window(headers, _TOKENS)
    return RateHeaders(requests[0], tokens[0], requests[1], tokens[1], requests[2], tokens[2])


_UNKNOWN = RateHeaders()
_REQUESTS = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")
_TOKENS = ("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens")
_SAY_LIMITS = frozenset((*_REQUESTS, *_TOKENS))


def _window(headers: Mapping[str, str], names: tuple[str, str, str]) -> tuple[int | None, int | None, float | None]:
    limit_name, remaining_name, reset_name = names
    limit = _count(headers.get(limit_name, ""))
    remaining = _count(headers.get(remaining_name, ""))
    reset_s = duration_s(headers.get(reset_name, ""))
    # Some hosts send zeros for what they do not know: nothing left, and whole again at once, cannot both be true.
    unknown = remaining == 0 and reset_s == 0
    return limit or None, None if unknown else remaining, None if unknown else reset_s


def duration_s(text: str) -> float | None:
    """Return a duration such as ``12ms``, ``6m0s``, ``1h2m3s`` or a bare number of seconds, or None."""
    text = text.strip()
    if text[-1:] not in _SECONDS_PER:  # each unit ends in one of a single letter
        seconds = _seconds(text)
    else:
        pieces = _DURATION.findall(text)
        whole = sum(map(len, map("".join, pieces))) == len(text)
        seconds = sum([float(number) * _SECONDS_PER[unit] for number, unit in pieces]) if whole else None
    return seconds if seconds is not None and seconds <= _LONGEST_WAIT_S else None


def _seconds(text: str, unit: float = 1.0) -> float | None:
    # Not `float()` alone, which also reads nan, inf, 1e9 and 1_000.
    number = text.strip()  # of more than `float` itself would strip
    return float(number) * unit if _NUMBER.fullmatch(number) else None


def _until(date: str, server_date: str, now: float) -> float | None:
    moment = _moment(date)
    if moment is None:
        return None
    server_now = _moment(server_date)
    return moment - (now if server_now is None else server_now)


def _moment(date: str) -> float | None:
    try:
        parsed = parsedate_to_datetime(date)
        # HTTP dates are GMT; one without a zone would be read as local time.
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _count(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None
