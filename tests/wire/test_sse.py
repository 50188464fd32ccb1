"""A stream gives the same body however its bytes are cut, and half a stream is never an answer."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import AttemptError, Sent
from pipeline.records import Status
from pipeline.wire import sse
from pipeline.wire.decode import decode
from pipeline.wire.sse import Event, EventReader, assemble, has_text


def read(*pieces: bytes) -> list[Event]:
    reader = EventReader()
    events = [event for piece in pieces for event in reader.feed(piece)]
    return events + reader.close()


def events(*payloads: object) -> list[Event]:
    return [Event("message", p if isinstance(p, str) else orjson.dumps(p).decode()) for p in payloads]


def delta(finish_reason: str | None = None, **fields: object) -> dict[str, object]:
    return {"id": "c1", "choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]}


# Bytes to events


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: x\n\n", [Event("message", "x")]),
        (b"data:x\n\n", [Event("message", "x")]),
        (b"data:  x \n\n", [Event("message", " x ")]),
        (b"event: e\ndata: x\n\n", [Event("e", "x")]),
        (b"data: x\r\n\r\n", [Event("message", "x")]),
        (b"data: x\r\r", [Event("message", "x")]),
        (b"data: x\r\n\rdata: y\n\r\n", [Event("message", "x"), Event("message", "y")]),
        (b"data: a\ndata: b\ndata:\n\n", [Event("message", "a\nb\n")]),
        (b"data\n\n", [Event("message", "")]),
        (b": ping\n\n: ping\ndata: x\n: ping\n\n", [Event("message", "x")]),
        (b"id: 7\nretry: 10\nodd: 1\ndata: x\n\n", [Event("message", "x")]),
        (b"event: e\n\ndata: x\n\n", [Event("message", "x")]),
        (b"\xef\xbb\xbfdata: x\n\n", [Event("message", "x")]),
        (b"\n\n\ndata: x\n\n\n\ndata: y\n\n", [Event("message", "x"), Event("message", "y")]),
        (b"data: x\n", [Event("message", "x")]),
        (b"data: x", [Event("message", "x")]),
        (b"event: e", []),
        (b"", []),
        ("data: 日本\n\n".encode(), [Event("message", "日本")]),
        (b"data: \xff\n\n", [Event("message", "\ufffd")]),
        ("data: a\u2028b\n\n".encode(), [Event("message", "a\u2028b")]),
    ],
)
def test_the_rules_of_event_streams_hold(stream: bytes, expected: list[Event]) -> None:
    """All line ends, comments, several data lines and missing blanks at the end are read as the standard has them."""
    assert read(stream) == expected
    assert read(*(bytes([byte]) for byte in stream)) == expected


@given(
    st.lists(
        st.sampled_from([b"data: x", b"data:\xe6\x97\xa5", b"event: e", b": c", b"\n", b"\r", b"\r\n", b"\xef\xbb\xbf"])
    ),
    st.lists(st.integers(0, 200)),
)
def test_events_do_not_depend_on_how_the_bytes_are_cut(tokens: list[bytes], cuts: list[int]) -> None:
    """Any stream, cut anywhere, gives the events of the uncut one."""
    stream = b"".join(tokens)
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(edges)]

    assert read(*pieces) == read(stream)


GOLDEN = {path.name: path.read_bytes() for path in sorted(Path(__file__).with_name("golden").glob("*.sse.*.txt"))}
ANSWERS = {
    "openai.sse.text.txt": (Status.OK, "Tokyo", None, 23),
    "openai.sse.incomplete.txt": (Status.TRUNCATED, "東京 is", None, 25),
    "gateway.sse.chat-text.txt": (Status.OK, "東京 (Tōkyō) 🗼", None, 25),
    "gateway.sse.chat-enveloped.txt": (Status.OK, "東京 (Tōkyō) 🗼", None, 25),
    "gateway.sse.chat-tool-calls.txt": (Status.TOOL_CALLS, "", {"city": "東京"}, 25),
    "gateway.sse.chat-function-call.txt": (Status.TOOL_CALLS, "", {"city": "東京"}, 25),
}
"""Status, text, arguments of the call, and tokens that each golden stream adds up to."""


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_stream_is_read_to_its_answer(name: str) -> None:
    """Events of the Responses API and chunks of a chat, in an envelope or not, calls of either age."""
    answer = decode(assemble(read(GOLDEN[name])))
    call = answer.tool_calls[0].parsed if answer.tool_calls else None
    assert (answer.status, answer.text, call, answer.usage.total_tokens) == ANSWERS[name]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_stream_gives_one_body_in_pieces_of_any_size(name: str, size: int, line_end: bytes) -> None:
    """Whatever ends its lines, and also where a piece ends within a character."""
    stream = GOLDEN[name].replace(b"\n", line_end)
    pieces = (stream[start : start + size] for start in range(0, len(stream), size))
    assert assemble(read(*pieces)) == assemble(read(GOLDEN[name]))


@given(
    st.sampled_from(sorted(GOLDEN)), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.lists(st.floats(0, 1), max_size=60)
)
def test_a_golden_stream_gives_one_body_wherever_it_is_cut(name: str, line_end: bytes, cuts: list[float]) -> None:
    """Any cuts at all, several at one place among them."""
    stream = GOLDEN[name].replace(b"\n", line_end)
    edges = [0, *sorted(int(cut * len(stream)) for cut in cuts), len(stream)]
    assert assemble(read(*(stream[start:end] for start, end in pairwise(edges)))) == assemble(read(GOLDEN[name]))


@pytest.mark.parametrize(
    "stream", [b"data: " + b"x" * 200, b"x" * 200, (b"data: " + b"x" * 20 + b"\n") * 10, b": " + b"x" * 200 + b"\n"]
)
@pytest.mark.parametrize("size", [1, 50, 1000])
def test_an_event_without_end_is_given_up(stream: bytes, size: int) -> None:
    """Memory is bounded, whether the event is one line or many, and however it arrives."""
    reader = EventReader(max_event_bytes=100)
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    with pytest.raises(AttemptError, match="larger than 100 bytes") as caught:
        list(map(reader.feed, pieces))

    assert (caught.value.kind, caught.value.transient, caught.value.sent) == ("bad_body", False, Sent.MAYBE)


def test_many_small_events_are_not_one_large_one() -> None:
    """The bound is on an event, not on the stream."""
    reader = EventReader(max_event_bytes=100)

    assert len([event for _ in range(100) for event in reader.feed(b"data: 1234567890\n\n")]) == 100


# Events to a body


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete", "response.failed", "response.cancelled"])
def test_the_response_of_the_terminal_event_is_the_body(kind: str) -> None:
    """Each terminal event carries the whole response; what follows it is not read."""
    final = {"id": "resp_1", "output": []}

    stream = events(
        {"type": "response.created", "response": {"id": "resp_1"}}, {"type": kind, "response": final}, "junk"
    )
    assert assemble(stream) == final


def test_the_events_name_stands_in_for_a_missing_type() -> None:
    """The type in the data leads; without it the ``event:`` line does."""
    data = orjson.dumps({"response": {"id": "resp_1"}}).decode()

    assert assemble([Event("response.completed", data)]) == {"id": "resp_1"}


def test_unknown_events_and_broken_data_are_skipped() -> None:
    """What a newer server adds, or a broken one garbles, costs nothing while the final event comes."""
    final = {"id": "resp_1", "output": []}
    stream = events(
        {
            "type": "response.not_invented_yet",
            "code": "print(1)",
            "delta": "x",
            "obfuscation": "yyy",
            "sequence_number": 3,
        },
        "{broken",
        "7",
        '"text"',
        "",
        {"type": "response.completed", "response": final},
    )

    assert assemble(stream) == final


@pytest.mark.parametrize(
    ("stream", "kind", "message"),
    [
        (
            events({"type": "error", "code": "rate_limit_exceeded", "message": "slow", "param": None}),
            "rate_limit",
            "slow",
        ),
        (events({"type": "error", "error": {"code": "server_error", "message": "bad"}}), "server", "bad"),
        ([Event("error", '{"code": "insufficient_quota", "message": "no money"}')], "quota", "no money"),
        ([Event("error", "plain words")], "provider_error", "plain words"),
        (events({"error": {"message": "m", "code": 401}}), "auth", "m"),
        (events({"code": 429, "message": "too many"}), "rate_limit", "too many"),
        (events(delta(content="half"), {"error": {"message": "m", "code": 500}}), "server", "m"),
        (events(delta(content="half"), {**delta("error"), "error": {"message": "m", "code": 502}}), "server", "m"),
    ],
)
def test_an_error_in_the_stream_ends_it(stream: list[Event], kind: str, message: str) -> None:
    """An error event, with a type or bare, becomes the failure that the same error would be in a plain answer."""
    with pytest.raises(AttemptError) as caught:
        decode(assemble(stream))

    assert (caught.value.kind, caught.value.message) == (kind, message)


@pytest.mark.parametrize(
    "body",
    [
        {"id": "resp_1", "output": [{"type": "message", "content": "hi"}]},
        {"code": 200, "data": {"output": [{"type": "message", "content": "hi"}]}},
        {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]},
    ],
)
def test_a_whole_answer_in_one_event_is_an_answer(body: dict[str, Any]) -> None:
    """A server that wraps its plain answer into an event is understood."""
    assert decode(assemble(events(body, "[DONE]"))).text == "hi"


@pytest.mark.parametrize(
    "stream",
    [
        [],
        events("[DONE]"),
        events({"type": "response.created", "response": {"id": "resp_1"}}),
        events({"type": "response.output_text.done", "text": "all of it"}),
        events({"type": "response.completed"}),
        events({"type": "response.completed", "response": None}),
        events('{"type": "response.completed", "response": {"id": "resp_1"'),
        events(delta(content="half a sent")),
    ],
)
def test_a_stream_without_its_end_is_a_fault_and_no_answer(stream: list[Event]) -> None:
    """However much text came, it may be half of it, and it may have been billed."""
    with pytest.raises(AttemptError) as caught:
        assemble(stream)

    assert (caught.value.kind, caught.value.transient, caught.value.sent) == ("stream_cut", True, Sent.MAYBE)


def test_the_id_of_a_cut_response_is_kept() -> None:
    """A provider that stores answers can be asked for it later."""
    with pytest.raises(AttemptError) as caught:
        assemble(events({"type": "response.created", "response": {"id": "resp_1", "model": "m"}}, {"type": "x"}))

    assert caught.value.reply is not None
    assert caught.value.reply.response_id == "resp_1"


@given(st.integers(0, 3000))
def test_a_stream_cut_anywhere_is_whole_or_a_fault(cut: int) -> None:
    """No prefix of a stream gives another answer than the whole."""
    stream = b"".join(
        b"data: %s\n\n" % orjson.dumps(payload)
        for payload in (
            {"type": "response.created", "response": {"id": "r"}},
            {"type": "response.output_text.delta", "delta": "日本" * 20},
            {
                "type": "response.completed",
                "response": {"id": "r", "output": [{"type": "message", "content": "日本" * 20}]},
            },
        )
    )
    try:
        assert decode(assemble(read(stream[:cut]))).text == "日本" * 20
    except AttemptError as error:
        assert error.kind == "stream_cut"  # noqa: PT017 - either outcome is right, depending on the cut


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"type": "response.output_text.delta", "delta": "x"}, True),
        ({"type": "response.output_text.delta", "delta": ""}, False),
        ({"type": "response.reasoning_summary_text.delta", "delta": "x"}, False),
        ({"type": "response.function_call_arguments.delta", "delta": "{"}, False),
        ({"type": "response.completed", "response": {"output_text": "x"}}, False),
        (delta(content="x"), True),
        (delta(role="assistant", content=""), False),
        (delta(tool_calls=[{"index": 0}]), False),
        (delta("stop"), False),
        ({"choices": None}, False),
        ([1], False),
        ("[DONE]", False),
        ("no JSON", False),
    ],
)
def test_only_a_piece_of_the_answers_text_is_text(payload: object, expected: bool) -> None:
    """Neither what opens and ends a stream, nor reasoning, calls and empty pieces."""
    (event,) = events(payload)
    assert has_text(event) is expected


def test_an_events_name_may_say_that_it_is_text() -> None:
    """Where the payload does not repeat it."""
    assert has_text(Event("response.output_text.delta", '{"delta": "x"}'))


# Chat-style streams


def test_chat_chunks_add_up_to_a_chat_body() -> None:
    """Text, finish reason and the usage of a last chunk without choices end in one body."""
    stream = events(
        delta(role="assistant", content=""),
        delta(content="To"),
        delta(content="kyo"),
        delta("stop"),
        {"id": "c1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}, "model": "gpt-5"},
        "[DONE]",
        "never read",
    )
    body = assemble(stream)

    assert body["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "Tokyo"}, "finish_reason": "stop"}
    ]
    answer = decode(body)
    assert (answer.text, answer.model, answer.response_id, answer.usage.total_tokens) == ("Tokyo", "gpt-5", "c1", 5)


def test_chat_tool_calls_are_put_together_by_their_index() -> None:
    """The pieces of two calls, interleaved, become two whole calls."""
    stream = events(
        delta(tool_calls=[{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]),
        delta(tool_calls=[{"index": 1, "id": "b", "function": {"name": "g", "arguments": '{"y"'}}]),
        delta(
            tool_calls=[
                {"index": 0, "function": {"arguments": '{"x":'}},
                {"index": 1, "function": {"arguments": ":2}"}},
            ]
        ),
        delta(tool_calls=[{"index": 0, "function": {"arguments": "1}"}}, None]),
        delta("tool_calls"),
        "[DONE]",
    )
    calls = decode(assemble(stream)).tool_calls

    assert [(c.call_id, c.name, c.parsed) for c in calls] == [("a", "f", {"x": 1}), ("b", "g", {"y": 2})]


def test_events_in_an_envelope_are_events() -> None:
    """Those of the Responses API too; the first piece of text is told in either."""
    final = {"id": "resp_1", "output": []}
    piece = {"type": "response.output_text.delta", "delta": "x"}
    stream = events(
        {"code": 200, "data": piece}, {"code": 200, "data": {"type": "response.completed", "response": final}}
    )
    assert assemble(stream) == final
    assert [has_text(event) for event in stream] == [True, False]
    assert has_text(*events({"code": 200, "data": delta(content="x")}))


def test_an_envelope_with_a_failure_is_one_amid_a_stream() -> None:
    """Whatever it holds besides."""
    with pytest.raises(AttemptError, match="no more"):
        decode(assemble(events(delta(content="x"), {"code": 500, "message": "no more", "data": delta(content="y")})))


def test_a_chat_stream_ends_with_a_reason_or_with_done() -> None:
    """Some servers leave out one or the other; neither alone is a cut."""
    assert decode(assemble(events(delta(content="x"), delta("stop")))).text == "x"
    assert decode(assemble(events(delta(content="x"), "[DONE]"))).text == "x"


def test_a_chat_refusal_is_put_together_too() -> None:
    """A refusal that comes in pieces lands in its own field."""
    answer = decode(assemble(events(delta(refusal="I ca"), delta(refusal="nnot."), delta("stop"), "[DONE]")))

    assert (answer.text, answer.refusal) == ("", "I cannot.")


def test_only_the_first_choice_counts() -> None:
    """A second choice is not mixed into the first."""
    second = {"choices": [{"index": 1, "delta": {"content": "second"}, "finish_reason": "length"}]}

    assert assemble(events(delta(content="first"), second, delta("stop")))["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "first"}, "finish_reason": "stop"}
    ]


KEYS = st.sampled_from(
    ["type", "response", "choices", "delta", "message", "content", "tool_calls", "function", "index", "error", "code"]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.text()
    | st.sampled_from(["error", "response.completed", "stop"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)


@given(st.lists(JSON, max_size=5))
def test_whatever_events_come_a_body_or_an_attempt_error_comes_out(payloads: list[object]) -> None:
    """No event makes the assembly stumble."""
    try:
        body = assemble(events(*payloads))
    except AttemptError:
        return
    assert isinstance(body, dict)


_NAMES = st.sampled_from(["type", "error", "choices", "response", "output", "data", "code", "delta", "id"])
_WORDS = st.sampled_from(["error", "response.completed", "response.output_text.delta", 'say "error"', "", "words"])
_PAYLOADS = st.dictionaries(
    _NAMES,
    st.recursive(
        _WORDS | st.none() | st.integers(0, 1),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_NAMES, inner, max_size=3),
        max_leaves=5,
    ),
)


@given(st.lists(st.tuples(_WORDS, _PAYLOADS), max_size=4))
def test_an_event_that_is_passed_over_unread_says_nothing_when_it_is_read(
    sent: list[tuple[str, dict[str, Any]]],
) -> None:
    """Nor does it bring text."""
    events = [Event(name, orjson.dumps(payload).decode()) for name, payload in sent]
    quickly = _assembled(events), list(map(has_text, events))
    with pytest.MonkeyPatch.context() as patched:
        for words in ("_TELLING", "_MAY_BE_TEXT"):
            patched.setattr(sse, words, ("",))  # then every event is read
        assert quickly == (_assembled(events), list(map(has_text, events)))


def _assembled(events: list[Event]) -> object:
    try:
        return assemble(events)
    except AttemptError as error:
        return error.message
