"""Whatever an answer echoes of our secrets becomes stars."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.client.exchange import Answer
from pipeline.client.secrecy import Stars
from pipeline.errors import AttemptError, Sent
from pipeline.records import Reply, Status, ToolCall

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
