"""Server-sent events: bytes in any pieces to events, and events to the body that a plain answer would have been.

A stream has no decoder of its own. ``assemble`` gives back a body and ``decode`` reads it, so that what works for one
delivery works for all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pipeline.errors import AttemptError, Sent
from pipeline.records import Reply, Status
from pipeline.wire.signals import attempt_error
from pipeline.wire.tolerant import NotJsonError, mapping_at, mappings_at, parse, reports_failure, text_at

__all__ = ["Event", "EventReader", "assemble", "has_text"]

# The largest event is the last one, which holds the whole body: a few generated pictures as base64, at most.
MAX_EVENT_BYTES = 64 * 1024 * 1024

DONE = "[DONE]"
# The first is the one of OpenAI's page; the others are known from its SDK and from qingbo's newer pages.
TERMINALS = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})

_TEXT = "response.output_text.delta"

# What an event's data must hold to say anything to `assemble`, or to `has_text`: one of the members that these look at, perhaps in escapes.
# Nearly all events of a stream hold none, and to look for them takes half of the time that it takes to read an event.
_TELLING = ('"error"', '"choices"', '"response"', '"output"', '"data"', '"code"', "\\u")
_MAY_BE_TEXT = (f'"{_TEXT}"', '"choices"', "\\u")

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Event(NamedTuple):
    """One event: its name (``message`` where the stream gives none) and its data, the lines joined with newlines."""

    name: str
    data: str


class EventReader:
    """Cuts a stream of bytes into events, whichever way the bytes are cut into pieces.

    Lines may end in ``\\n``, ``\\r\\n`` or ``\\r``; comments are skipped. It holds the unfinished line and the lines of
    the unfinished event, never more than ``max_event_bytes`` of them.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._line = bytearray()
        self._after_return = False
        self._started = False
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[Event]:
        """Take the next bytes and return the events they complete.

        Raises ``AttemptError`` for an event that is too large.
        """
        if not piece:
            return []
        if self._after_return and piece.startswith(b"\n"):
            piece = piece[1:]
        self._after_return = piece.endswith(b"\r")
        # Nearly no server sends returns; a split by one byte takes a tenth of the time of one by a pattern.
        *ended, rest = _LINE_END.split(piece) if b"\r" in piece else piece.split(b"\n")
        events: list[Event] = []
        for line in ended:
            whole = line
            if self._line:
                self._line += line
                whole = bytes(self._line)
                self._line.clear()
            if self._size + len(whole) > self._max_event_bytes:
                raise self._too_large()
            self._take_line(whole, events)
        self._line += rest
        if self._size + len(self._line) > self._max_event_bytes:
            raise self._too_large()
        return events

    def close(self) -> list[Event]:
        """Take the end of the stream. An event without its closing blank line counts: some servers leave it out."""
        events: list[Event] = []
        if self._line:
            self._take_line(bytes(self._line), events)
        self._dispatch(events)
        return events

    def _take_line(self, line: bytes, events: list[Event]) -> None:
        if not self._started:
            self._started = True
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            self._dispatch(events)
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            self._size += len(value)
        elif name == b"event":
            self._name = value.removeprefix(b" ").decode("utf-8", errors="replace")

    def _dispatch(self, events: list[Event]) -> None:
        if self._data:
            # Decoded only when whole, so that a piece may end inside a character.
            data = b"\n".join(self._data).decode("utf-8", errors="replace")
            events.append(Event(self._name or "message", data))
            self._data.clear()
        self._name, self._size = "", 0

    def _too_large(self) -> AttemptError:
        message = f"an event of the stream is larger than {self._max_event_bytes} bytes"
        return attempt_error("bad_body", message, sent=Sent.MAYBE)


def assemble(events: Iterable[Event]) -> dict[str, object]:
    """Return the body that the events of one answer add up to; an error event gives an error body.

    Raises ``AttemptError`` of the kind ``stream_cut`` where the stream ends without saying that it is finished: what
    came may be half an answer, and may have been billed.
    """
    begun: Mapping[str, object] = {}
    chat = _Chat()
    for event in events:
        if event.data.strip() == DONE:
            chat.done = True
            break
        if event.name != "error" and not _mentions(event.data, _TELLING):
            continue
        payload = _unwrapped(_payload(event))
        kind = text_at(payload, "type") or event.name
        if kind == "error" or payload.get("error"):
            return {"error": payload.get("error") or payload or event.data}
        if "choices" in payload:
            chat.add(payload)
        elif kind in TERMINALS and mapping_at(payload, "response"):
            return dict(mapping_at(payload, "response"))
        elif _is_whole_body(payload):
            return payload
        else:
            begun = mapping_at(payload, "response") or begun
    if not chat.finished:
        raise _cut(begun)
    return chat.body()


def has_text(event: Event) -> bool:
    """Say whether an event brings a piece of the answer's text."""
    if event.name != _TEXT and not _mentions(event.data, _MAY_BE_TEXT):
        return False
    payload = _unwrapped(_payload(event))
    if (text_at(payload, "type") or event.name) == _TEXT:
        return bool(text_at(payload, "delta"))
    return any(text_at(mapping_at(choice, "delta"), "content") for choice in mappings_at(payload, "choices"))


def _mentions(data: str, words: tuple[str, ...]) -> bool:
    for word in words:  # noqa: SIM110 - `any` with a generator takes half as long again, for each event of a stream
        if word in data:
            return True
    return False


def _payload(event: Event) -> dict[str, object]:
    """Return an event's JSON object; whatever else it holds says nothing to us."""
    try:
        value = parse(event.data)
    except NotJsonError:
        return {}
    return value if isinstance(value, dict) else {}


def _unwrapped(payload: dict[str, object]) -> dict[str, object]:
    """Return a piece of a stream without the envelope that a gateway may put around each; whole answers keep theirs."""
    inner = payload.get("data")
    if not isinstance(inner, dict) or "type" in payload or reports_failure(payload):
        return payload
    is_event = (text_at(inner, "type") or "").startswith("response.")
    is_chunk = "choices" in inner and not any("message" in choice for choice in mappings_at(inner, "choices"))
    return inner if is_event or is_chunk else payload


def _is_whole_body(payload: Mapping[str, object]) -> bool:
    """Say whether a server put a plain answer, or an envelope, into one event."""
    return "type" not in payload and any(payload.get(name) for name in ("output", "data", "code"))


def _cut(begun: Mapping[str, object]) -> AttemptError:
    # The id allows to fetch the answer later, where the provider stores answers.
    reply = Reply(Status.FAILED, response_id=text_at(begun, "id"), model=text_at(begun, "model"), raw=begun)
    return attempt_error(
        "stream_cut", "the stream ended before its final event", sent=Sent.MAYBE, reply=reply if begun else None
    )


@dataclass(slots=True)
class _Call:
    """A tool call as its pieces come in: the id and the name at first, then the arguments bit by bit."""

    call_id: str | None = None
    name: str = ""
    arguments: str = ""

    def add(self, delta: Mapping[str, object]) -> None:
        function = mapping_at(delta, "function")
        self.call_id = text_at(delta, "id") or self.call_id
        self.name = text_at(function, "name") or self.name
        self.arguments += text_at(function, "arguments") or ""

    def body(self) -> dict[str, object]:
        return {"id": self.call_id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


@dataclass(slots=True)
class _Chat:
    """The first choice of a chat-style stream, added up chunk by chunk."""

    done: bool = False
    top: dict[str, object] = field(default_factory=dict)
    text: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    calls: dict[object, _Call] = field(default_factory=dict)
    annotations: list[object] = field(default_factory=list)
    logprobs: list[object] = field(default_factory=list)
    # The older `function_call`, of which there is one at most.
    function: _Call = field(default_factory=_Call)
    finish_reason: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the stream said that it is over. ``[DONE]`` without a single chunk is no answer."""
        return self.finish_reason is not None or (self.done and bool(self.top))

    def add(self, chunk: Mapping[str, object]) -> None:
        # Usage comes in one chunk, often the last; a null in another one must not hide it.
        self.top |= {name: value for name, value in chunk.items() if name != "choices" and value is not None}
        for choice in mappings_at(chunk, "choices"):
            if choice.get("index", 0) != 0:
                continue
            delta = mapping_at(choice, "delta") or mapping_at(choice, "message")
            self.text.append(text_at(delta, "content") or "")
            self.refusal.append(text_at(delta, "refusal") or "")
            self.annotations += mappings_at(delta, "annotations")
            self.logprobs += mappings_at(mapping_at(choice, "logprobs"), "content")
            self.function.add({"function": delta.get("function_call")})
            for position, call in enumerate(mappings_at(delta, "tool_calls")):
                index = call.get("index", position)
                self.calls.setdefault(index if isinstance(index, int) else position, _Call()).add(call)
            self.finish_reason = text_at(choice, "finish_reason") or self.finish_reason

    def body(self) -> dict[str, object]:
        message: dict[str, object] = {"role": "assistant", "content": "".join(self.text) or None}
        if any(self.refusal):
            message["refusal"] = "".join(self.refusal)
        if self.calls:
            message["tool_calls"] = [call.body() for call in self.calls.values()]
        if self.function.name:
            message["function_call"] = {"name": self.function.name, "arguments": self.function.arguments}
        if self.annotations:
            message["annotations"] = self.annotations
        choice: dict[str, object] = {"index": 0, "message": message, "finish_reason": self.finish_reason}
        if self.logprobs:
            choice["logprobs"] = {"content": self.logprobs}
        return {**self.top, "choices": [choice]}
