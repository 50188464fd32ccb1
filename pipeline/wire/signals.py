"""What a failure means: one table from HTTP status and error code to what is done about it.

A failure is named by its ``kind``. The kind says whose problem it is and whether waiting can mend it; the tables below
say which kind a code or a status is. A known code wins over the status, for vendors put quota under 429 and failures
into a 200. The table is read by ``failure`` (any other answer than success) and by ``decode`` (a success that is none).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypedDict

from pipeline.errors import AttemptError, Scope, Sent
from pipeline.records import Reply
from pipeline.wire.headers import RateHeaders, poll_after_s, rate_headers, retry_after_s
from pipeline.wire.tolerant import mapping_at, text_at
from pipeline.wire.wording import presentable

__all__ = [
    "CODES",
    "KINDS",
    "STATUSES",
    "Kind",
    "RateHeaders",
    "attempt_error",
    "failure",
    "origin",
    "rate_headers",
    "refusal",
    "retry_after_s",
    "said",
    "with_headers",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of failure asks for: whose it is, whether waiting helps, and what a person can do."""

    transient: bool = False
    scope: Scope = "row"
    hint: str | None = None


KINDS: Mapping[str, Kind] = {
    "rate_limit": Kind(
        transient=True, hint="lower limits.requests_per_minute or limits.tokens_per_minute if it happens often"
    ),
    "overloaded": Kind(transient=True),
    "server": Kind(transient=True),
    "timeout": Kind(transient=True),
    "conflict": Kind(transient=True),
    "in_progress": Kind(transient=True),
    "stream_cut": Kind(transient=True),
    "gone": Kind(
        transient=True, hint="run the same command sooner: providers keep background answers for a while only"
    ),
    "cancelled": Kind(transient=True),
    "image_download": Kind(
        transient=True, hint="the provider could not fetch the picture; give a local file instead of a URL"
    ),
    "quota": Kind(
        scope="run", hint="raise the quota or the spend limit at the provider, then start the same command again"
    ),
    "payment": Kind(scope="run", hint="top up the account, then start the same command again"),
    "auth": Kind(scope="run", hint="check the key in the variable that api_key_env names"),
    "forbidden": Kind(scope="run", hint="the key may not use this model, or not from this address or country"),
    "blocked": Kind(hint="a firewall before the provider refused this request; look at what the row holds"),
    "proxy": Kind(scope="run", hint="the proxy asks for a login; check the proxy settings"),
    "not_found": Kind(hint="check the model's name and the provider's base_url"),
    "too_large": Kind(hint="send smaller pictures, or give them as URLs"),
    "bad_request": Kind(),
    "context_length": Kind(hint="the input is longer than the model's context; shorten it or choose another model"),
    "image": Kind(hint="the provider cannot use this picture"),
    "content_policy": Kind(),
    "redirect": Kind(hint="requests are never redirected, for they carry the key; correct the provider's base_url"),
    "bad_body": Kind(),
    "unrecognised": Kind(hint="the answer has none of the known shapes; is this address an endpoint for responses?"),
    "provider_error": Kind(),
}

# Codes and types share a table: qingbo puts into `type` what others put into `code`. OpenAI's reference lists 18 codes
# (server_error to image_file_not_found); the rest is from the vendors' error pages and newer SDKs. General types such
# as invalid_request_error are left to the status.
CODES: Mapping[str, str] = {
    "server_error": "server",
    "bad_gateway": "server",
    "vector_store_timeout": "server",
    "rate_limit_exceeded": "rate_limit",
    "rate_limit_error": "rate_limit",
    "slow_down": "rate_limit",
    "server_is_overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "failed_to_download_image": "image_download",
    "invalid_prompt": "bad_request",
    "data_residency_mismatch": "bad_request",
    "context_length_exceeded": "context_length",
    "invalid_image": "image",
    "invalid_image_format": "image",
    "invalid_base64_image": "image",
    "invalid_image_url": "image",
    "image_too_large": "image",
    "image_too_small": "image",
    "image_parse_error": "image",
    "invalid_image_mode": "image",
    "image_file_too_large": "image",
    "unsupported_image_media_type": "image",
    "empty_image_file": "image",
    "image_file_not_found": "image",
    "image_content_policy_violation": "content_policy",
    "content_policy_violation": "content_policy",
    "bio_policy": "content_policy",
    "misalignment_policy_violation": "content_policy",
    "insufficient_quota": "quota",
    "credit_balance_exhausted": "quota",
    "organization_spend_limit_exceeded": "quota",
    "project_spend_limit_exceeded": "quota",
    "organization_usage_limit_exceeded": "quota",
    "billing_hard_limit_reached": "quota",
    "billing_not_active": "quota",
    "payment_required": "payment",
    "invalid_api_key": "auth",
    "authentication_error": "auth",
    "permission_error": "forbidden",
    "unsupported_country_region_territory": "forbidden",
    "model_not_found": "not_found",
}


class Meaning(NamedTuple):
    """What an HTTP status means where the code says nothing, and whether the request may have been worked on."""

    kind: str
    sent: Sent = Sent.NEVER


# A refusal before any work counts as never sent. Behind a 5xx of a gateway the model may have run (seen), so these may
# have been paid.
STATUSES: Mapping[int, Meaning] = {
    400: Meaning("bad_request"),
    401: Meaning("auth"),
    402: Meaning("payment"),
    403: Meaning("forbidden"),
    404: Meaning("not_found"),
    407: Meaning("proxy"),
    408: Meaning("timeout", Sent.MAYBE),
    409: Meaning("conflict"),
    413: Meaning("too_large"),
    422: Meaning("bad_request"),
    425: Meaning("conflict"),
    429: Meaning("rate_limit"),
    503: Meaning("overloaded"),
    529: Meaning("overloaded"),
}
_CLASSES: Mapping[int, Meaning] = {3: Meaning("redirect"), 4: Meaning("bad_request"), 5: Meaning("server", Sent.MAYBE)}
_SUCCESS = Meaning("provider_error", Sent.ANSWERED)


def _meaning(http_status: int) -> Meaning:
    return STATUSES.get(http_status) or _CLASSES.get(http_status // 100, _SUCCESS)


@dataclass(frozen=True, slots=True)
class Said:
    """What an error body says, whichever way it says it. ``code`` is text even where the vendor sends a number."""

    message: str
    code: str | None = None
    type: str | None = None


def said(body: object) -> Said:
    """Read an error body: an ``error`` object or text, ``message`` or ``msg``, ``detail``, or the body as it stands."""
    if not isinstance(body, Mapping):
        return Said(presentable(body) if body else "")
    inner = mapping_at(body, "error")
    candidates = (
        text_at(inner, "message", "msg"),
        text_at(body, "error", "message", "msg"),
        body.get("detail"),
        body.get("error"),
    )
    message = next((candidate for candidate in candidates if candidate), body or "")
    return Said(presentable(message), code=_code(inner) or _code(body), type=text_at(inner, "type"))


def _code(source: Mapping[str, object]) -> str | None:
    code = source.get("code")
    named = isinstance(code, str | int) and not isinstance(code, bool)
    return presentable(code, limit=100) or None if named else None


def failure(http_status: int, headers: Mapping[str, str], body: object, now: float) -> AttemptError:
    """Return what an answer other than a success means.

    ``headers`` are by their lower-case names, ``body`` is the parsed JSON, or the text where it is none. ``now`` is wall time in seconds,
    for a ``Retry-After`` that is a date.
    """
    error = refusal(body, http_status=http_status)
    return with_headers(error, http_status, headers, now)


def refusal(body: object, *, http_status: int = 200, reply: Reply | None = None) -> AttemptError:
    """Return what an error body means. In a success a numeric code stands for the status (apimart's envelope)."""
    words = said(body)
    effective = http_status
    if http_status < 300 and words.code is not None and re.fullmatch("[1-5][0-9]{2}", words.code):
        effective = int(words.code)
    by_status = _meaning(effective)
    kind = CODES.get(words.code or "") or CODES.get(words.type or "") or by_status.kind
    if kind == "forbidden" and not isinstance(body, Mapping):
        kind = "blocked"  # a page, not the API: it may be about this row's text alone
    message = words.message or f"HTTP {http_status} without a message"
    sent = Sent.ANSWERED if reply is not None else by_status.sent
    return attempt_error(kind, message, sent=sent, code=words.code or words.type, http_status=http_status, reply=reply)


def attempt_error(
    kind: str,
    message: str,
    *,
    sent: Sent,
    transient: bool | None = None,
    code: str | None = None,
    http_status: int | None = None,
    reply: Reply | None = None,
) -> AttemptError:
    """Return an ``AttemptError`` with the scope, the hint and (unless given) the transience of its kind."""
    facts = KINDS[kind]
    return AttemptError(
        presentable(message),
        kind=kind,
        sent=sent,
        transient=facts.transient if transient is None else transient,
        scope=facts.scope,
        hint=facts.hint,
        code=code,
        http_status=http_status,
        reply=reply,
    )


_VERDICTS: Mapping[str, bool] = {"true": True, "false": False}


def with_headers(error: AttemptError, http_status: int, headers: Mapping[str, str], now: float) -> AttemptError:
    """Return the error with what the headers say: the wait, the request id, the server's own verdict on trying again."""
    return AttemptError(
        error.message,
        kind=error.kind,
        sent=error.sent,
        transient=_VERDICTS.get(headers.get("x-should-retry", "").strip().lower(), error.transient),
        scope=error.scope,
        http_status=http_status,
        code=error.code,
        retry_after_s=retry_after_s(headers, now),
        request_id=headers.get("x-request-id"),
        reply=None if error.reply is None else replace(error.reply, **origin(headers)),
        hint=error.hint,
    )


class Origin(TypedDict):
    """The members of a ``Reply`` that come from headers: where it is from, and when to look again."""

    request_id: str | None
    simulated: bool
    poll_after_s: float | None


def origin(headers: Mapping[str, str]) -> Origin:
    """Return what the headers, by their lower-case names, say of a reply."""
    return {
        "request_id": headers.get("x-request-id"),
        "simulated": headers.get("x-simulated", "").strip().lower() == "true",
        "poll_after_s": poll_after_s(headers),
    }
