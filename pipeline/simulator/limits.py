"""Requests and tokens per minute over a sliding window, and the headers that tell of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from pipeline.simulator.problems import RequestError

__all__ = ["Limits", "Window"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the script allows; None is unlimited."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    window_s: float = 60.0
    headers: str = "told"
    """told | unknown (the -1 and 0 that some hosts send) | absent"""


class Window:
    """What was let through within the last window. A refused request takes nothing from it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._admitted: deque[tuple[float, int]] = deque()
        self._tokens = 0

    def admit(self, now: float, tokens: int) -> None:
        """Let the request through, or raise 429 with the time to wait."""
        limits = self._limits
        if limits.requests_per_minute is None and limits.tokens_per_minute is None:
            return
        self._forget(now)
        if limits.tokens_per_minute is not None and tokens > limits.tokens_per_minute:
            raise self._refused("tokens", f"Request too large: requested {tokens}.", None)
        if limits.requests_per_minute is not None and len(self._admitted) >= limits.requests_per_minute:
            oldest = self._admitted[len(self._admitted) - limits.requests_per_minute][0]
            raise self._refused("requests", "Rate limit reached for requests.", oldest + limits.window_s - now)
        if limits.tokens_per_minute is not None and self._tokens + tokens > limits.tokens_per_minute:
            raise self._refused("tokens", "Rate limit reached for tokens.", self._wait_for(tokens, now))
        self._admitted.append((now, tokens))
        self._tokens += tokens

    def headers(self, now: float) -> dict[str, str]:
        """The `x-ratelimit-*` headers as they stand now."""
        self._forget(now)
        reset = duration(self._admitted[0][0] + self._limits.window_s - now) if self._admitted else "0s"
        told: dict[str, str] = {}
        used = {"requests": len(self._admitted), "tokens": self._tokens}
        for name, limit in (("requests", self._limits.requests_per_minute), ("tokens", self._limits.tokens_per_minute)):
            if self._limits.headers == "unknown":
                told[f"x-ratelimit-remaining-{name}"], told[f"x-ratelimit-reset-{name}"] = "-1", "0"
            elif limit is not None and self._limits.headers == "told":
                told[f"x-ratelimit-limit-{name}"] = str(limit)
                told[f"x-ratelimit-remaining-{name}"] = str(max(0, limit - used[name]))
                told[f"x-ratelimit-reset-{name}"] = reset
        return told

    def _forget(self, now: float) -> None:
        while self._admitted and self._admitted[0][0] <= now - self._limits.window_s:
            self._tokens -= self._admitted.popleft()[1]

    def _wait_for(self, tokens: int, now: float) -> float:
        """How long until enough has left the window."""
        assert self._limits.tokens_per_minute is not None
        excess = self._tokens + tokens - self._limits.tokens_per_minute
        for when, weight in self._admitted:
            excess -= weight
            if excess <= 0:
                return when + self._limits.window_s - now
        return self._limits.window_s

    def _refused(self, kind: str, message: str, wait: float | None) -> RequestError:
        error = RequestError(message, status=429, code="rate_limit_exceeded", kind=kind)
        if wait is not None:
            wait = max(wait, 0.001)
            error.headers = {"retry-after": str(int(-(-wait // 1))), "retry-after-ms": str(int(-(-wait * 1000 // 1)))}
        return error


def duration(seconds: float) -> str:
    """A duration the way the headers write it: `12ms`, `1s`, `6m0s`, `1h2m3s`."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{left}s"
    return f"{minutes}m{left}s" if minutes else f"{left}s"
