"""Faults by script: one row per kind says whether the request was executed and what goes on the wire."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from pipeline.simulator.answers import Answer
from pipeline.simulator.problems import RequestError

__all__ = ["CHANGES", "KINDS", "Fault", "FaultBook", "Kind", "Rule"]


@dataclass(frozen=True, slots=True)
class Kind:
    """What one kind of fault does."""

    executed: bool
    """Whether the model ran, so that the answer is charged."""
    status: int = 200
    message: str | None = None
    """An error in the dialect's shape is sent."""
    code: str | None = None
    type: str = "invalid_request_error"
    body: bytes | None = None
    """These very bytes are sent."""
    content_type: str = "application/json"
    change: str = ""
    """How the answer is changed, a name in `CHANGES`."""
    charged: bool | None = None
    """None: as executed."""
    wire: str = "whole"
    """How the bytes go out, a name in `delivery.WIRES`."""


_HTML = b"<html>\r\n<head><title>%s</title></head>\r\n<body><center><h1>%s</h1></center></body>\r\n</html>\r\n"

KINDS: Mapping[str, Kind] = {
    # refused, in the dialect's error shape
    "rate_limit": Kind(False, 429, "Rate limit reached for requests.", "rate_limit_exceeded", "requests"),
    "quota": Kind(False, 429, "You exceeded your current quota.", "insufficient_quota", "insufficient_quota"),
    "unauthorized": Kind(False, 401, "Incorrect API key provided.", "invalid_api_key"),
    "forbidden": Kind(
        False, 403, "Country, region, or territory not supported.", "unsupported_country_region_territory"
    ),
    "payment": Kind(False, 402, "Insufficient account balance.", "insufficient_balance", "payment_required"),
    "bad_request": Kind(False, 400, "The request is not valid.", "invalid_value"),
    "not_found": Kind(False, 404, "The model does not exist or you do not have access to it.", "model_not_found"),
    "too_large": Kind(False, 413, "The request body is too large.", "request_too_large"),
    "server_error": Kind(
        False, 500, "The server had an error while processing your request.", "server_error", "server_error"
    ),
    "overloaded": Kind(False, 503, "The server is overloaded.", "server_is_overloaded", "server_error"),
    # bytes that are no answer
    "bad_gateway_html": Kind(
        False, 502, body=_HTML % (b"502 Bad Gateway", b"502 Bad Gateway"), content_type="text/html"
    ),
    "html_200": Kind(False, 200, body=_HTML % (b"Welcome", b"Welcome"), content_type="text/html"),
    "empty_200": Kind(False, 200, body=b""),
    "envelope_401": Kind(False, 200, body=b'{"code":401,"message":"invalid token","data":null}'),
    "envelope_429": Kind(False, 200, body=b'{"code":429,"message":"too many requests","data":null}'),
    "error_200": Kind(
        False,
        200,
        body=b'{"error":{"message":"upstream error","type":"server_error","param":null,"code":"server_error"}}',
    ),
    "bad_json": Kind(True, wire="half_json"),
    # an answer that is not as wished
    "failed": Kind(True, change="failed", charged=False),
    "incomplete": Kind(True, change="incomplete"),
    "filtered": Kind(True, change="filtered"),
    "refusal": Kind(True, change="refusal"),
    "in_progress": Kind(True, change="in_progress"),
    "no_usage": Kind(True, change="no_usage"),
    "null_details": Kind(True, change="null_details"),
    "chat_shape": Kind(True, change="chat_shape"),
    # the connection
    "stall": Kind(False, wire="silence"),
    "stall_body": Kind(True, wire="half_then_silence"),
    "slow_drip": Kind(True, wire="drip"),
    "reset_before": Kind(False, wire="reset"),
    "reset_after": Kind(True, wire="reset"),
    "half_body": Kind(True, wire="half_then_close"),
    "close_idle": Kind(True, wire="whole_then_close"),
    "stream_cut": Kind(True, wire="no_terminal_event"),
}


def _failed(answer: Answer, options: Mapping[str, Any]) -> Answer:
    code = options.get("code", "server_error")
    message = options.get("message", f"The request failed: {code}.")
    return replace(answer, status="failed", error=(code, message), usage_form="null", text="", calls=(), hosted=())


def _incomplete(answer: Answer, options: Mapping[str, Any]) -> Answer:  # noqa: ARG001 - one signature for all changes
    return replace(
        answer, status="incomplete", reason="max_output_tokens", text=answer.text[: len(answer.text) // 2], calls=()
    )


def _filtered(answer: Answer, options: Mapping[str, Any]) -> Answer:  # noqa: ARG001
    return replace(answer, status="incomplete", reason="content_filter", text="", calls=())


def _refusal(answer: Answer, options: Mapping[str, Any]) -> Answer:
    return replace(answer, refusal=options.get("message", "I cannot help with that."), text="", calls=())


def _in_progress(answer: Answer, options: Mapping[str, Any]) -> Answer:  # noqa: ARG001
    return replace(answer, status="in_progress", usage_form="null", text="", calls=(), hosted=())


def _no_usage(answer: Answer, options: Mapping[str, Any]) -> Answer:  # noqa: ARG001
    return replace(answer, usage_form="absent")


def _null_details(answer: Answer, options: Mapping[str, Any]) -> Answer:  # noqa: ARG001
    return replace(answer, usage_form="null_details")


def _chat_shape(answer: Answer, options: Mapping[str, Any]) -> Answer:  # noqa: ARG001
    return replace(answer, shape="chat")


CHANGES: Mapping[str, Callable[[Answer, Mapping[str, Any]], Answer]] = {
    "failed": _failed,
    "incomplete": _incomplete,
    "filtered": _filtered,
    "refusal": _refusal,
    "in_progress": _in_progress,
    "no_usage": _no_usage,
    "null_details": _null_details,
    "chat_shape": _chat_shape,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault about to happen."""

    name: str
    kind: Kind
    options: Mapping[str, Any]

    @property
    def executed(self) -> bool:
        """Whether the model runs; a script may say otherwise than the kind does."""
        return bool(self.options.get("executed", self.kind.executed))

    @property
    def charged(self) -> bool:
        """Whether the request is paid."""
        return self.executed if self.kind.charged is None or "executed" in self.options else self.kind.charged

    @property
    def instead(self) -> bool:
        """Whether something else than the answer is sent."""
        return self.kind.message is not None or self.kind.body is not None

    @property
    def status(self) -> int | None:
        """The HTTP status the client gets to see, if any."""
        if self.kind.wire in ("silence", "reset"):
            return None
        return int(self.options.get("status", self.kind.status)) if self.kind.message is not None else self.kind.status

    def change(self, answer: Answer) -> Answer:
        """The answer as this fault leaves it."""
        return CHANGES[self.kind.change](answer, self.options) if self.kind.change else answer

    def error(self) -> RequestError | None:
        """The error to send instead of an answer."""
        if self.kind.message is None:
            return None
        error = RequestError(
            self.options.get("message", self.kind.message),
            status=self.status or self.kind.status,
            code=self.options.get("code", self.kind.code),
            kind=self.kind.type,
        )
        error.headers = self.headers()
        return error

    def headers(self) -> dict[str, str]:
        """The headers this fault adds: the time to wait, and whatever the script gives."""
        headers = {str(name): str(value) for name, value in self.options.get("headers", {}).items()}
        seconds, millis, date = (
            self.options.get(name) for name in ("retry_after", "retry_after_ms", "retry_after_date")
        )
        if seconds is None and millis is None and date is None and self.name == "rate_limit":
            seconds = 1
        if seconds is not None:
            headers["retry-after"] = f"{seconds:g}"
        if millis is not None:
            headers["retry-after-ms"] = f"{millis:g}"
        if date is not None:
            headers["retry-after"] = format_datetime(datetime.now(UTC) + timedelta(seconds=date), usegmt=True)
        return headers


@dataclass(frozen=True, slots=True)
class Rule:
    """When a fault happens: every matcher given must agree, and none given means always."""

    fault: str
    every: int | None = None
    nth: Sequence[int] = ()
    probability: float | None = None
    text: str | None = None
    model: str | None = None
    times: int | None = None
    """At most so often for each distinct request body."""
    on: str = "create"
    options: Mapping[str, Any] = field(default_factory=dict)


class FaultBook:
    """The script's rules, and how often each has struck each request."""

    def __init__(self, rules: Sequence[Rule], seed: int) -> None:
        self.rules = tuple(rules)
        self._seed = seed
        self._struck: Counter[tuple[int, bytes]] = Counter()
        self._seen: Counter[bytes] = Counter()

    def match(self, on: str, n: int, digest: bytes, text: str, model: str) -> Fault | None:
        """The fault of the first rule that matches the n-th request of its kind."""
        if not self.rules:
            return None
        self._seen[digest] += 1
        for index, rule in enumerate(self.rules):
            if rule.on == on and self._matches(index, rule, n, digest, text, model):
                self._struck[index, digest] += 1
                return Fault(rule.fault, KINDS[rule.fault], rule.options)
        return None

    def _matches(self, index: int, rule: Rule, n: int, digest: bytes, text: str, model: str) -> bool:
        if rule.times is not None and self._struck[index, digest] >= rule.times:
            return False
        return (
            (rule.every is None or n % rule.every == 0)
            and (not rule.nth or n in rule.nth)
            and (rule.text is None or rule.text in text)
            and (rule.model is None or rule.model == model)
            and (rule.probability is None or self._chance(index, digest) < rule.probability)
        )

    def _chance(self, index: int, digest: bytes) -> float:
        """Drawn from the body and its attempt, not from the order of arrival: concurrency changes nothing."""
        drawn = hashlib.sha256(b"%d/%d/%d/%b" % (self._seed, index, self._seen[digest], digest)).digest()
        return int.from_bytes(drawn[:7], "big") / 2**56
