"""From an answer in whatever shape to a ``Reply`` in one.

The shape of the body leads, never the vendor: both gateways answer in more than one shape, wrapped or not. Only the
member that tells the shape must be there; everything else may be missing, null or of another type. Whatever comes in, a
``Reply`` or an ``AttemptError`` comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from pipeline.errors import AttemptError, Sent
from pipeline.records import Reply, Status, Usage
from pipeline.wire.items import Found, found_in
from pipeline.wire.signals import attempt_error, failure, origin, refusal, said, with_headers
from pipeline.wire.slim import slim
from pipeline.wire.sse import EventReader, assemble
from pipeline.wire.tolerant import NotJsonError, mapping_at, number_at, read, reports_failure, tamed, text_at

__all__ = ["decode", "read_answer", "slim"]

Body = Mapping[str, object]


def read_answer(
    http_status: int, headers: Mapping[str, str], content: bytes, *, now: float, background: bool = False
) -> Reply:
    """Return the reply that a whole HTTP answer holds; raise ``AttemptError`` for every other answer.

    ``headers`` are by their lower-case names, ``now`` is wall time in seconds. ``background`` says that an unfinished response is what was
    asked for.
    """
    if not 200 <= http_status < 300:
        raise failure(http_status, headers, _error_body(content), now)
    try:
        return _decoded(_body(headers.get("content-type", "").lower(), content), headers, background=background)
    except AttemptError as error:
        raise with_headers(error, http_status, headers, now) from error.__cause__


def _error_body(content: bytes) -> object:
    try:
        return read(content)
    except NotJsonError:
        return content.decode("utf-8", errors="replace")


def _body(content_type: str, content: bytes) -> object:
    """Return the body of a success: a stream put together, or JSON; safe to walk and to write."""
    start = content[:100].lstrip()
    # Gateways stream unasked, and label streams as text; and an error may come as JSON under a stream's label.
    if not start.startswith(b"{") and ("text/event-stream" in content_type or start.startswith((b"data:", b"event:"))):
        reader = EventReader()
        return tamed(assemble(reader.feed(content) + reader.close()))
    try:
        return read(content)
    except NotJsonError as error:
        beginning = content[:2000].decode("utf-8", errors="replace")
        what = "stops in the middle" if error.cut else "is no JSON"
        message = f"the answer {what}: {beginning}" if content else "the answer is empty"
        # The model may have run and been billed: a success came, only not whole.
        raise attempt_error("bad_body", message, sent=Sent.MAYBE, transient=error.cut) from error


def decode(body: object, *, background: bool = False) -> Reply:
    """Return the reply that a decoded JSON body holds.

    Raises ``AttemptError`` where the body says no, where the response failed (its reply is attached, so that its usage
    counts), where it is not finished (unless ``background``), and where it has no known shape.
    """
    return _decoded(tamed(body), _NO_HEADERS, background=background)


_NO_HEADERS: Mapping[str, str] = {}


def _decoded(body: object, headers: Mapping[str, str], *, background: bool) -> Reply:
    answer = _unwrapped(body)
    found = found_in(answer)
    error = answer.get("error")
    # With an output or choices the status decides: one of OpenAI's examples is completed and yet shows an error.
    if error and not (isinstance(answer.get("output"), list) or isinstance(answer.get("choices"), list)):
        reply = _reply(answer, Found(state="failed"), headers)
        raise refusal(answer, reply=reply if reply.response_id or reply.usage != Usage() else None)
    if found is None:
        reply = _reply(answer, Found(state="failed"), headers)
        message = f"the answer has none of the known shapes: {said(answer).message}"
        raise attempt_error("unrecognised", message, sent=Sent.ANSWERED, reply=reply)
    reply = _reply(answer, found, headers)
    if background and reply.status is Status.EMPTY and text_at(answer, "status") not in (None, *_STATES):
        reply = replace(reply, status=Status.PENDING)  # in a word of the server's own: a paid answer hangs on it
    if reply.status is Status.FAILED:
        raise refusal({"error": error or "the response failed without saying why"}, reply=reply)
    if reply.status is Status.PENDING and not background:
        raise attempt_error("in_progress", "the response came back unfinished", sent=Sent.MAYBE, reply=reply)
    return reply


def _unwrapped(body: object) -> Body:
    """Return the body without its envelope. An envelope that reports a failure is one, also with HTTP 200."""
    if not isinstance(body, dict):
        message = f"the answer has none of the known shapes: {body!s:.500}"
        raise attempt_error("unrecognised", message, sent=Sent.ANSWERED)
    if reports_failure(body):
        raise refusal(body)
    inner = body.get("data")
    if not isinstance(inner, dict):
        return body
    return inner if "code" in body or not body.keys() & {"output", "choices"} else body


def _reply(answer: Body, found: Found, headers: Mapping[str, str]) -> Reply:
    state = _state(answer, found)
    status = _status(
        state, found, reason := found.reason or text_at(mapping_at(answer, "incomplete_details"), "reason")
    )
    # A finished answer may still show an error or a reason, as an example of OpenAI's does; they explain nothing then.
    ended_badly = status in (Status.FAILED, Status.CANCELLED)
    words = said({"error": answer["error"]}) if ended_badly and answer.get("error") else None
    whence = origin(headers)
    return Reply(
        status=status,
        text=found.text,
        refusal=found.refusal,
        tool_calls=tuple(found.calls),
        annotations=tuple(found.annotations),
        sources=found.sources,
        searches=found.searches,
        pictures=tuple(found.pictures),
        confidence=found.confidence,
        phase=found.phase,
        reasoning_summary=found.reasoning_summary,
        usage=_usage(answer, ended_badly=ended_badly),
        model=text_at(answer, "model"),
        service_tier=text_at(answer, "service_tier"),
        response_id=text_at(answer, "id"),
        created=_created(answer),
        incomplete_reason=reason if state == "incomplete" else None,
        error_code=words.code if words else None,
        error_message=words.message if words else None,
        request_id=whence["request_id"],
        simulated=whence["simulated"],
        poll_after_s=whence["poll_after_s"],
        raw=answer,
    )


_STATES: Mapping[str, str] = {
    "completed": "completed",
    "incomplete": "incomplete",
    "failed": "failed",
    "cancelled": "cancelled",
    "canceled": "cancelled",
    "queued": "pending",
    "in_progress": "pending",
}


def _state(answer: Body, found: Found) -> str:
    """Return the state of the response: a cut-off choice, else a known status, else what the content suggests."""
    known = _STATES.get(text_at(answer, "status") or "")
    if found.state is not None and known in (None, "completed"):
        return found.state
    if known is not None:
        return known
    return "failed" if answer.get("error") and not found.anything else "completed"


def _status(state: str, found: Found, reason: str | None) -> Status:
    if state == "completed":
        return _completed(found)
    if state == "incomplete":
        return Status.FILTERED if reason == "content_filter" else Status.TRUNCATED
    return Status(state)


def _completed(found: Found) -> Status:
    if found.refusal is not None:
        return Status.REFUSED
    if found.text.strip():
        return Status.OK
    if found.calls:
        return Status.TOOL_CALLS
    return Status.OK if found.pictures else Status.EMPTY


class _Names(NamedTuple):
    """What a shape calls the tokens that go in and come out, and where it has the parts of each."""

    taken: str
    given: str
    taken_details: str
    given_details: str


_RESPONSES = _Names("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details")
_CHAT = _Names("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details")
_OF_CHAT = frozenset(_CHAT)


_Figures = tuple[int | None, ...]
"""Tokens as a body reports them, in the order of ``Usage``."""


def _usage(answer: Body, *, ended_badly: bool) -> Usage:
    """Return the reported tokens.

    A missing total is the sum of the two; reasoning and cached tokens are parts of them. Some count reasoning beside the output: where only
    that makes up the total, it is added. Nothing is answered for no tokens at all, so zeros tell nothing then.
    """
    reported = mapping_at(answer, "usage")
    taken, cached, given, thought, total, written = _figures(reported)
    if taken == given == 0 and not ended_badly:
        taken = cached = given = thought = written = None
        total = total or None
    elif taken is not None and given is not None:
        if thought and total == taken + given + thought:
            given += thought
        total = taken + given if total is None else total
    return Usage(taken, cached, given, thought, total, written, _cost(number_at(reported, "cost")))


def _figures(usage: Body) -> _Figures:
    """Return each figure under the first of its names. A 0 gives way to another name: gateways that mix the shapes fill one with zeros."""
    found = _named(usage, _RESPONSES)
    if _OF_CHAT.isdisjoint(usage):
        return found
    pairs = zip(found, _named(usage, _CHAT), strict=True)
    return tuple(one if one or other is None else other for one, other in pairs)


def _named(usage: Body, names: _Names) -> _Figures:
    taken, given = mapping_at(usage, names.taken_details), mapping_at(usage, names.given_details)
    return (
        _count(usage.get(names.taken)),
        _count(taken.get("cached_tokens")),
        _count(usage.get(names.given)),
        _count(given.get("reasoning_tokens")),
        _count(usage.get("total_tokens")),
        _count(taken.get("cache_write_tokens")),
    )


def _count(value: object) -> int | None:
    """Return a count of tokens.

    Fractions, text, negative and absurd numbers are unknown rather than guessed at: those from 2^40 on, a million of which no journal could
    add up.
    """
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**40 else None


def _cost(value: float | None) -> float | None:
    """Return a cost as a number of the vendor's own unit; NaN fails the comparison."""
    return float(value) if value is not None and 0 <= value < 2**53 else None


# The end of the year 9999: beyond it no calendar can show the moment.
_LAST_MOMENT_S = 253_402_300_799


def _created(answer: Body) -> float | None:
    created = number_at(answer, "created_at", "created")
    # NaN fails the comparison too.
    return float(created) if created is not None and 0 <= created <= _LAST_MOMENT_S else None
