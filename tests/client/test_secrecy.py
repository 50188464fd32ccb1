"""Whatever an answer echoes of our secrets becomes stars."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.client.exchange import Answer
from pipeline.client.secrecy import Stars
from pipeline.errors import AttemptError, Sent
from pipeline.records import Reply, Status, ToolCall
from pipeline.wire.decode import read_answer

SECRET = 'mcp/t0ken"with\\odd+signs~'
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)


@pytest.mark.parametrize(
    "spelled",
    [
        str,
        lambda secret: json.dumps(secret)[1:-1],
        lambda secret: json.dumps(secret)[1:-1].replace("/", "\\/"),
        lambda secret: quote(secret, safe=""),
        lambda secret: b64encode(secret.encode()).decode(),
        lambda secret: urlsafe_b64encode(secret.encode()).decode(),
    ],
    ids=["plain", "json", "json-slashes", "url", "base64", "base64url"],
)
def test_every_usual_spelling_is_found_in_headers_and_body(spelled: Callable[[str], str]) -> None:
    """As it was sent, escaped, or encoded: stars stand in its place and the rest is left."""
    echo = spelled(SECRET)
    answer = Stars([SECRET]).answer(Answer(200, {"x-echo": f"a {echo} b"}, f"c {echo} d".encode()))
    assert answer.headers["x-echo"].startswith("a ***")
    assert answer.headers["x-echo"].endswith(" b")
    assert echo.rstrip("=").encode() not in answer.content
    assert answer.content.startswith(b"c ***")


@given(SECRETS, st.binary(max_size=5), st.binary(max_size=5))
def test_base64_is_found_whatever_stands_around_the_secret(secret: str, before: bytes, after: bytes) -> None:
    """A header that was encoded as a whole holds the token at any of three offsets; too little is left to read it."""
    echo = b64encode(before + secret.encode() + after)
    left = Stars([secret]).answer(Answer(200, {}, echo)).content
    assert b"***" in left
    assert len(left.replace(b"***", b"")) <= len(echo) - 4 * (len(secret) // 3) + 4


@given(SECRETS)
def test_what_only_reading_brings_to_light_is_found_in_replies_and_errors(secret: str) -> None:
    """Escapes of every character, and a stream's pieces put together, are plain only when they are read."""
    echo = f"it is {secret}"
    reply = Reply(
        Status.OK,
        echo,
        tool_calls=(ToolCall(echo, "f", echo, {"a": [echo]}),),
        annotations=({"title": echo},),
        raw={"output": [{"text": echo, echo: (1, None)}]},
    )
    stars = Stars([secret])
    starred = stars.reply(reply)
    assert starred.text == "it is ***"
    assert starred.tool_calls == (ToolCall("it is ***", "f", "it is ***", {"a": ["it is ***"]}),)
    assert starred.annotations == ({"title": "it is ***"},)
    assert starred.raw == {"output": [{"text": "it is ***", "it is ***": (1, None)}]}
    assert starred.status is Status.OK
    error = AttemptError(
        echo, kind="server", sent=Sent.ANSWERED, transient=True, code=echo, request_id=echo, reply=reply
    )
    stars.hide_in(error)
    assert (str(error), error.message, error.code, error.request_id) == ("it is ***",) * 4
    assert error.reply == starred


def test_a_placeholder_is_not_looked_for() -> None:
    """A key of a few letters would turn up in plain words."""
    answer = Answer(200, {"a": "test"}, b"test")
    assert Stars(["test", None, ""]).answer(answer) == answer


def test_a_secret_that_holds_another_is_starred_as_a_whole() -> None:
    """Nothing of the longer one is left beside the stars."""
    assert Stars(["abcdefgh", "abcdefgh-ijkl"]).answer(Answer(200, {}, b"abcdefgh-ijkl")).content == b"***"


def test_an_answer_without_a_secret_is_not_copied() -> None:
    """Nearly every answer is one, and is handed on as it came."""
    answer = Answer(200, {"x-request-id": "req_1"}, b"c d")
    assert Stars([SECRET]).answer(answer) is answer


def test_a_reply_whose_body_can_hide_nothing_is_not_copied() -> None:
    """To go through all of its texts would take longer than to read it."""
    body = b'{"output_text": "she said \\"no\\"\\n\\u65e5"}'
    reply = read_answer(200, {}, body, now=0.0)
    assert Stars(["sk-0123456789"]).reply(reply, body) is reply


# How a server may spell a character of JSON: as it is, or with an escape.
def _spelled(text: str, escaped: list[bool]) -> str:
    return "".join(
        f"\\u{ord(each):04x}" if much else json.dumps(each)[1:-1] for each, much in zip(text, escaped, strict=True)
    )


@st.composite
def _bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    """A secret and a body of one of the known shapes, which echoes it here and there: whole, escaped, cut in two, or not at all."""
    secret = draw(SECRETS)

    def echo() -> str:
        text = draw(st.sampled_from(["", "words \\n", secret, secret[:5], secret[5:], secret[1:]]))
        text = (
            text
            if text.startswith("words")
            else _spelled(text, draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text))))
        )
        return f'"{text}"'

    def slashed(text: str) -> str:
        return text.replace("/", "\\/") if draw(st.booleans()) else text

    part = lambda: f'{{"type": "output_text", "text": {echo()}, "annotations": [{{"title": {echo()}}}]}}'  # noqa: E731
    message = f'{{"type": "message", "content": [{part()}, {part()}]}}'
    call = f'{{"type": "function_call", "name": "f", "arguments": {draw(st.sampled_from([echo(), f"[{echo()}]"]))}}}'
    reasoning = f'{{"type": "reasoning", "summary": [{{"text": {echo()}}}, {{"text": {echo()}}}]}}'
    items = draw(st.lists(st.sampled_from([message, call, reasoning]), max_size=3))
    name = draw(st.sampled_from(["id", "model", "error", "status", "metadata"]))
    body = slashed(f'{{"output": [{", ".join(items)}], {echo()}: {echo()}, "{name}": {echo()}}}')
    if draw(st.booleans()):
        body = f'data: {{"choices": [{{"delta": {{"content": {echo()}}}}}]}}\n\ndata: {body}\n\n'
    return secret, body.encode()


@given(_bodies())
def test_the_short_way_past_a_reply_finds_what_the_long_way_finds(given: tuple[str, bytes]) -> None:
    """Whatever the body, to look at it spares going through the reply only where that would change nothing."""
    secret, content = given
    stars = Stars([secret])
    answer = stars.answer(Answer(200, {"x-request-id": "req_1"}, content))
    with suppress(AttemptError):
        reply = read_answer(200, answer.headers, answer.content, now=0.0)
        assert stars.reply(reply, answer.content) == stars.reply(reply)


def _said(*parts: str) -> bytes:
    return json.dumps({"output": [{"content": [{"text": part} for part in parts]}]}).encode()


@pytest.mark.parametrize(
    ("secret", "body"),
    [
        ("sk-0123456789", b'{"output_text": "x", "metadata": {"key": "sk-0123456789"}}'),
        ("sk-0123456789", b'{"output_text": "s\\u006b-0123456789"}'),
        ("a/b/c/d/e/f", b'{"output_text": "a/b/c\\/d/e\\/f"}'),
        ("sk-0123456789", _said("sk-0123", "456789")),
        (
            "sk-0123456789",
            b'{"output": [{"content": [{"type": "refusal", "refusal": "sk-01"}, {"type": "refusal", "refusal": "23456789"}]}]}',
        ),
        (
            "sk-0123456789",
            b'data: {"choices": [{"delta": {"content": "sk-01"}}]}\n\n'
            b'data: {"choices": [{"delta": {"content": "23456789"}, "finish_reason": "stop"}]}\n\n',
        ),
        ('{"a":"0123"}', b'{"output": [{"type": "function_call", "name": "f", "arguments": {"a": "0123"}}]}'),
        ("sk 0123456789", b'{"status": "cancelled", "error": {"message": "sk  0123456789"}, "output": []}'),
        ("geheim-schl\u00fcssel", _said("geheim-schl\u00fcssel")),
        ("lines\nbreak", _said("lines\nbreak")),
    ],
    ids=[
        "plain",
        "escape",
        "slashes",
        "parts",
        "refusal",
        "stream",
        "arguments",
        "message",
        "not ASCII",
        "not printable",
    ],
)
def test_a_body_that_hides_a_secret_is_gone_through_text_by_text(secret: str, body: bytes) -> None:
    """Only when it is read and put together is the secret plain."""
    stars = Stars([secret])
    reply = read_answer(200, {}, body, now=0.0)
    assert stars.reply(reply, body) == stars.reply(reply) != reply


def test_a_request_id_is_looked_at_though_it_is_in_no_body() -> None:
    """It comes from a header."""
    body = _said("fine")
    reply = read_answer(200, {"x-request-id": "for sk-0123456789"}, body, now=0.0)
    assert Stars(["sk-0123456789"]).reply(reply, body).request_id == "for ***"
